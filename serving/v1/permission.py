"""A permitted request: who does what to whom, and that it is written down.

A route that is about a patient asks for `may(ACTION)`, works in `reading()` or `writing()`, and
nothing that it did goes unaudited. It never computes inside of either.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Path, Request
from sqlalchemy.orm import Session

from serving.access.caller import Caller
from serving.access.door import require
from serving.access.policy import Action
from serving.store import audit
from serving.store.vault import Vault
from serving.v1.access import identifier
from serving.v1.store import Store, TheStore

PatientId = Annotated[uuid.UUID, Path(description="The patient's identifier.")]


@dataclass(frozen=True)
class Permission:
    """What a caller was found to be allowed.

    Attributes:
        store: Where to do it.
        caller: Who.
        action: What.
        patient_id: About whom, if anybody.
    """

    store: Store
    caller: Caller
    action: Action
    patient_id: uuid.UUID | None = None

    @property
    def vault(self) -> Vault:
        """Seals and opens."""
        return self.store.vault

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction to read in; it is written down before anything is answered."""
        with self.store.database.reading() as session:
            yield session
        self.note()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction to write in, the audit's entry with it."""
        with self.store.database.session() as session:
            yield session
            self.append(session)

    def note(self) -> None:
        """Write down that it was done."""
        with self.store.database.session() as session:
            self.append(session)

    def append(self, session: Session) -> None:
        """Write it down in a transaction, as its last step."""
        audit.append(session, self.caller.subject, self.action, self.patient_id)


def may(action: Action) -> Any:
    """A dependency whose value is the permission to do this, for who has it."""

    def permission(
        request: Request, store: TheStore, who: Annotated[Caller, Depends(require(action))]
    ) -> Permission:
        return Permission(store, who, action, identifier(request.path_params.get("patient")))

    return Depends(permission)


def noted(action: Action, clinic_of: Callable[[Request], str | None]) -> Any:
    """A dependency that lets in who may do this to a clinic, and writes it down."""

    def note(store: TheStore, who: Annotated[Caller, Depends(require(action, clinic_of))]) -> None:
        Permission(store, who, action).note()

    return Depends(note)
