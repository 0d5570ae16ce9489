"""API keys for machines."""

import uuid
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path
from starlette.exceptions import HTTPException

from hybridtwin.errors import TwinError
from serving.access.door import TheAccess
from serving.access.policy import KEY_ROLES, Action
from serving.store import api_keys
from serving.v1.access import subject_of
from serving.v1.permission import Permission, may
from serving.v1.schema import KeyList, KeyReport, KeyRequest, NewKeyReport

router = APIRouter(tags=["keys and audit"])
_LONGEST: Final = timedelta(days=366)


@router.get("/v1/keys", summary="Which keys are there?")
def read_keys(permission: Annotated[Permission, may(Action.KEY_READ)]) -> KeyList:
    """All that were ever made, revoked ones too."""
    with permission.reading() as session:
        found = api_keys.everything(session)
    return KeyList(keys=[_report(key) for key in found])


@router.post("/v1/keys", status_code=201, summary="Make a key")
def create_key(
    asked: KeyRequest,
    permission: Annotated[Permission, may(Action.KEY_CREATE)],
    access: TheAccess,
) -> NewKeyReport:
    """The key itself is in the answer, and never shown again."""
    if not KEY_ROLES.issuperset(asked.roles):
        access.denied(permission.caller, permission.action, None)
        raise HTTPException(HTTPStatus.FORBIDDEN)
    now = datetime.now(UTC)
    latest = now + _LONGEST
    expires = asked.expires or latest
    if expires <= now:
        raise TwinError.of("expires", "lies in the past", "State when the key is to end.")
    if expires > latest:
        raise TwinError.of("expires", "lies more than a year ahead", "Make a key every year.")
    with permission.writing() as session:
        key, secret = api_keys.create(session, asked.name, asked.roles, expires=expires)
    return NewKeyReport(**dict(_report(key)), key=secret)


@router.delete("/v1/keys/{key}", status_code=204, responses={404: {}}, summary="Revoke a key")
def revoke_key(
    key: Annotated[uuid.UUID, Path(description="The key's identifier.")],
    permission: Annotated[Permission, may(Action.KEY_REVOKE)],
) -> None:
    """From the answer on, it opens nothing."""
    with permission.writing() as session:
        api_keys.revoke(session, key)


def _report(key: api_keys.ApiKey) -> KeyReport:
    return KeyReport.model_validate(
        {
            "id": key.id,
            "subject": subject_of(key),
            "name": key.name,
            "roles": sorted(key.roles),
            "clinics": sorted(key.clinics),
            "patient": key.patient_id,
            "created": key.created,
            "expires": key.expires,
            "revoked": key.revoked,
        }
    )
