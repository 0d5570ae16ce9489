"""What the door asks, answered from the store and by the trusted issuers."""

import uuid

from sqlalchemy.orm import Session

from serving.access.caller import Caller, Role
from serving.access.door import Access
from serving.access.limits import rate_limit
from serving.access.policy import Action
from serving.access.relations import Relation, Share, Ties
from serving.access.tokens import verifier
from serving.settings import Settings
from serving.store import api_keys, audit, consents, patients, shares
from serving.v1.browsers import browsers_of
from serving.v1.store import Store

_NOBODY = uuid.UUID(int=0)


def access_to(store: Store, settings: Settings) -> Access:
    """The door's questions, put to this store."""

    def key(secret: str) -> Caller | None:
        with store.database.reading() as session:
            found = api_keys.find(session, secret)
        return _caller(found) if found else None

    def ties(patient: str) -> Ties:
        with store.database.reading() as session:
            return ties_of(session, identifier(patient) or _NOBODY)

    def denied(who: Caller, action: Action, patient: str | None) -> None:
        with store.database.session() as session:
            audit.append(session, who.subject, action, identifier(patient), "denied")

    return Access(
        token=verifier(settings.issuers),
        key=key,
        ties=ties,
        wait_s=rate_limit(settings.requests_per_min, settings.strangers_per_min),
        denied=denied,
        browsers=browsers_of(store, settings),
    )


def identifier(patient: str | None) -> uuid.UUID | None:
    """A patient's identifier as it stands in a path or a claim; None for what is none."""
    try:
        return uuid.UUID(patient)
    except (ValueError, TypeError):
        return None


def ties_of(session: Session, patient_id: uuid.UUID) -> Ties:
    """What ties callers to a patient; the same work whether there is one or not."""
    clinic = patients.clinic_of(session, patient_id)
    given = shares.of_patient(session, patient_id)
    agreed = consents.purposes(session, patient_id)
    return Ties(
        patient=str(patient_id),
        clinics=frozenset([clinic] if clinic else []),
        shares=tuple(_share(share) for share in given),
        care="care" in agreed,
        sharing="sharing" in agreed,
    )


def _share(share: shares.Share) -> Share:
    return Share(
        subject=share.subject,
        scopes=frozenset(Relation(scope) for scope in share.scopes),
        begin=share.begin,
        end=share.end,
        revoked=share.revoked is not None,
    )


def _caller(key: api_keys.ApiKey) -> Caller:
    return Caller(
        subject=subject_of(key),
        kind="key",
        roles=frozenset(Role(role) for role in key.roles),
        clinics=frozenset(key.clinics),
        patients=frozenset([str(key.patient_id)] if key.patient_id else []),
    )


def subject_of(key: api_keys.ApiKey) -> str:
    """Whom a share with this key names."""
    return f"key:{key.id}"
