"""What a caller is to one patient, here and now."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from serving.access.caller import Caller


class Relation(StrEnum):
    """One tie between a caller and a patient; READ, WRITE and FORECAST are scopes of a share."""

    NONE = "none"
    OWN = "own"
    READ = "read"
    WRITE = "write"
    FORECAST = "forecast"
    CLINIC = "clinic"


SCOPES = frozenset({Relation.READ, Relation.WRITE, Relation.FORECAST})


@dataclass(frozen=True)
class Share:
    """A patient's word that `subject` may act for them from `begin` until `end`."""

    subject: str
    scopes: frozenset[Relation]
    begin: datetime
    end: datetime
    revoked: bool = False


@dataclass(frozen=True)
class Ties:
    """What ties callers to a patient: clinics, shares, and whether the patient consents to both.

    The ties of an unknown patient are empty.
    """

    patient: str
    clinics: frozenset[str] = frozenset()
    shares: tuple[Share, ...] = ()
    care: bool = False
    sharing: bool = False


def relations(caller: Caller, ties: Ties, now: datetime) -> frozenset[Relation]:
    """All that the caller is to the patient at `now`; empty for somebody unrelated.

    A clinic is a tie while the patient consents to care, a share while it lasts and the patient
    consents to sharing.
    """
    found = set()
    if ties.patient in caller.patients:
        found.add(Relation.OWN)
    if ties.care and ties.clinics & caller.clinics:
        found.add(Relation.CLINIC)
    if ties.sharing:
        for share in ties.shares:
            if (
                share.subject == caller.subject
                and not share.revoked
                and share.begin <= now < share.end
            ):
                found |= share.scopes & SCOPES
    return frozenset(found)
