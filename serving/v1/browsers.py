"""People who come by a browser: their sessions in the store, signed in by a trusted issuer."""

import os
from datetime import UTC, datetime, timedelta
from typing import Final

from hybridtwin.errors import ModelError
from serving.access.browser import Browsers
from serving.access.caller import Caller
from serving.access.oidc import Client
from serving.settings import Settings
from serving.store import audit, sessions
from serving.v1.store import Store

CALLBACK: Final = "/signed-in"
_NOTED_PER_IDLE: Final = 30  # how finely the idle time is kept; each note is a write


def browsers_of(store: Store, settings: Settings) -> Browsers | None:
    """How people come in by a browser; None where no issuer signs them in.

    Raises:
        ModelError: The client's secret cannot be read.
    """
    issuer, url = settings.sign_in, settings.public_url
    if issuer is None or issuer.client_id is None or url is None:
        return None
    idle = timedelta(minutes=settings.session_idle_min)
    lasts = timedelta(minutes=settings.session_max_min)

    def find(secret: str, attended: bool) -> Caller | None:
        now = datetime.now(UTC)
        with store.database.reading() as session:
            found = sessions.find(session, store.vault, secret, now, idle)
        if found is None:
            return None
        who, used = found
        if attended and now - used > idle / _NOTED_PER_IDLE:
            with store.database.session() as session:
                sessions.use(session, secret, now)
        return who

    def begin(who: Caller) -> str:
        with store.database.session() as session:
            secret = sessions.begin(session, store.vault, who, datetime.now(UTC), lasts, idle)
            audit.append(session, who.subject, "session.begin")
        return secret

    def end(secret: str) -> None:
        with store.database.session() as session:
            subject = sessions.end(session, secret)
            if subject is not None:
                audit.append(session, subject, "session.end")

    def refused(who: str) -> None:
        with store.database.session() as session:
            audit.append(session, who, "session.begin", outcome="denied")

    client = Client(issuer, issuer.client_id, url + CALLBACK, _secret(settings))
    return Browsers(url, client, find, begin, end, refused)


def _secret(settings: Settings) -> str | None:
    if settings.client_secret_file is not None:
        try:
            return settings.client_secret_file.read_text().strip()
        except OSError as error:
            raise ModelError.of(
                "HYBRIDTWIN_CLIENT_SECRET_FILE",
                f"cannot be read ({os.strerror(error.errno or 0)})",
                "Name a file that holds the secret alone.",
            ) from error
    return settings.client_secret.get_secret_value() if settings.client_secret else None
