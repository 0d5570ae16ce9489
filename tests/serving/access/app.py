"""A small app behind the door, on a real server: one path for each action."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Annotated

import httpx
import uvicorn
from fastapi import Depends, FastAPI

from serving.access.caller import Caller, Role
from serving.access.door import Access, TheCaller, require
from serving.access.issuers import Issuer
from serving.access.limits import rate_limit
from serving.access.policy import Action
from serving.access.relations import SCOPES, Relation, Share, Ties
from serving.access.tokens import verifier
from serving.problems import handle_problems
from serving.store.api_keys import PREFIX
from tests.serving.access.issuer import AUDIENCE, RealIssuer

KEY = PREFIX + "k" * 43
ADA, BO = "ada-s-id", "bo-s-id"
NOW = datetime.now(UTC)
PER_MIN, STRANGERS_PER_MIN = 300, 100


def _ties(issuer: RealIssuer, patient: str) -> Ties:
    """Ada is of the clinic north and shares reading with carl; Bo shares with nobody any more."""
    share = Share(
        f"{issuer.url}#carl",
        frozenset({Relation.READ}),
        NOW - timedelta(hours=1),
        NOW + timedelta(hours=1),
    )
    over = Share(share.subject, SCOPES, NOW - timedelta(hours=2), NOW - timedelta(hours=1))
    known = {
        ADA: Ties(ADA, frozenset({"north"}), (share,), care=True, sharing=True),
        BO: Ties(BO, frozenset({"south"}), (over,), care=True, sharing=True),
    }
    return known.get(patient, Ties(patient))


def small_app(issuer: RealIssuer, clock: Callable[[], float]) -> FastAPI:
    app = FastAPI()
    handle_problems(app)
    robot = Caller("key:robot", "key", frozenset({Role.CLINICIAN}), frozenset({"north"}))
    denied: list[tuple[str, Action, str | None]] = []
    app.state.denied = denied
    app.state.access = Access(
        token=verifier([Issuer(issuer=issuer.url, audience=AUDIENCE)], clock),
        key={KEY: robot}.get,
        ties=lambda patient: _ties(issuer, patient),
        wait_s=rate_limit(PER_MIN, STRANGERS_PER_MIN, clock),
        denied=lambda who, action, patient: denied.append((who.subject, action, patient)),
    )

    @app.get("/me")
    def me(who: TheCaller) -> str:
        return who.subject

    for action in Action:
        may_do = Annotated[Caller, Depends(require(action))]
        for path in ("/patients/{patient}", "/clinics/{clinic}", ""):

            def done(who: may_do) -> str:  # type: ignore[valid-type]
                return "done"

            app.get(f"{path}/{action}")(done)

    @app.get("/broken")
    def broken(who: TheCaller) -> str:
        raise RuntimeError

    return app


@contextmanager
def served(app: FastAPI) -> Iterator[httpx.Client]:
    """The app on a real server of its own."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none"))
    running = Thread(target=server.run)
    running.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        # After an internal error the server hangs up, which a kept connection learns too late.
        once = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", limits=once) as client:
            yield client
    finally:
        server.should_exit = True
        running.join()
