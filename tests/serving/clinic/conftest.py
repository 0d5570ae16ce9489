import base64
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from starlette.requests import Request

from serving.access.caller import Caller, Role
from serving.access.policy import Action
from serving.clinic.patient import View, read, view_of
from serving.clinic.patient_routes import read_patient
from serving.settings import Settings
from serving.store import summaries
from serving.store.database import open_database
from serving.store.vault import Vault
from serving.v1.permission import Permission
from serving.v1.store import Store
from tests.serving.clinic.ward import fill, fill_page

MASTER_KEY = bytes(range(32))


@dataclass(frozen=True)
class Ward:
    """A few patients in a store.

    Attributes:
        store: Theirs.
        people: By name.
    """

    store: Store
    people: dict[str, uuid.UUID]

    def view(self, name: str, later: timedelta = timedelta()) -> View:
        """What is shown of somebody now, or later."""
        now = datetime.now(UTC) + later
        with self.store.database.reading() as session:
            kept = read(session, self.store.vault, self.people[name], now)
        return view_of(kept, now, Settings())

    def page(self, name: str, reading: str = "en.0.0") -> str:
        """Their page to a clinician, read in a language, a unit and a clock."""
        known_by = self.people[name]
        doctor = Caller("dr", "token", frozenset({Role.CLINICIAN}), clinics=frozenset({"north"}))
        request = Request(
            {
                "type": "http",
                "method": "GET",
                "path": f"/patients/{known_by}",
                "query_string": b"",
                "headers": [(b"cookie", f"hybridtwin-reading={reading}".encode())],
                "state": {},
            }
        )
        permission = Permission(self.store, doctor, Action.PAGE_READ, known_by)
        return bytes(read_patient(request, known_by, permission, Settings()).body).decode()


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """Zoë, of whom four weeks are known, and three of whom little is: refused, silent, stale."""
    url = f"sqlite:///{tmp_path_factory.mktemp('ward') / 'store.db'}"
    key = base64.b64encode(MASTER_KEY).decode()
    vault = Vault(MASTER_KEY)
    with closing(open_database(url)) as database:
        database.migrate()
        fill_page(url, key, "north", "Zoë Page")
        kinds = ["refused", "silent", "stale"]
        fill(url, key, "north", kinds)
        with database.reading() as session:
            found = summaries.of_clinics(session, vault, ["north"], [])
        known = {one.name or "": one.id for one in found}
        names = {
            kind: name
            for name in known
            for kind in kinds
            if name.endswith(f"{kinds.index(kind):04d}")
        }
        yield Ward(
            Store(database, vault),
            {"Zoë": known["Zoë Page"]} | {kind: known[name] for kind, name in names.items()},
        )
