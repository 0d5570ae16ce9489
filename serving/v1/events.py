"""What is new of a patient, told as it happens (server-sent events)."""

import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from anyio import sleep, to_thread
from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field

from serving import clock
from serving.access.door import TheAccess, is_allowed
from serving.access.policy import Action
from serving.state import TheStopping
from serving.store import issued
from serving.store.errors import StoreError
from serving.v1.permission import PatientId, Permission, may
from serving.v1.schema import Answer

router = APIRouter(tags=["twin of a patient"])
LOOK_EVERY_S: Final = 1.0
LONGEST_S: Final = 15 * 60
"""Then the reader connects again, with credentials that are checked anew."""
_LATE: Final = timedelta(seconds=30)
"""Of two that were issued at once the later may be there first."""


class NewsReport(Answer):
    """That something is new; what it says is read by its path."""

    id: uuid.UUID = Field(description="Of the forecast, belief, review, twin or comparison.")
    kind: issued.Kind = Field(description="What it is.")
    time: datetime = Field(description="When it was issued.")


def _noted(permission: Annotated[Permission, may(Action.BELIEF_READ)]) -> Permission:
    """Written down before anything is answered, and so refused while it cannot be."""
    permission.note()
    return permission


@router.get(
    "/v1/patients/{patient}/events",
    response_class=EventSourceResponse,
    summary="Tell me what is new",
)
async def follow(
    patient: PatientId,
    permission: Annotated[Permission, Depends(_noted)],
    access: TheAccess,
    stopping: TheStopping,
    wait_s: Annotated[
        int, Query(ge=0, le=LONGEST_S, description="Hang up after so many seconds.")
    ] = LONGEST_S,
    last_event_id: Annotated[
        str | None, Header(description="The last event's id, to go on behind it.")
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    """An event for every new document, while the reader may know: a belief, forecast, review, twin
    or comparison.

    It ends when the service stops; connect again, with the last event's id.
    """
    begin, told = _after(last_event_id)
    end = datetime.now(UTC) + timedelta(seconds=wait_s)

    def look() -> list[issued.Announcement] | None:
        """What was issued lately; None if the reader may no longer know."""
        who = permission.caller
        if not is_allowed(who, permission.action, access.relations(who, str(patient))):
            return None
        with permission.store.database.reading() as session:
            return issued.announced(session, patient, begin)

    while True:
        looked = clock.now()
        with suppress(StoreError):  # away for a while: nothing is told, nothing is passed over
            found = await to_thread.run_sync(look)
            if found is None:
                return
            for each in found:
                if each.id not in told:
                    told.add(each.id)
                    news = NewsReport.model_validate(each)
                    yield ServerSentEvent(event=each.kind, id=_id(each), data=news)
            begin = max(begin, looked - _LATE)
        if datetime.now(UTC) >= end or stopping.is_set():
            return
        await sleep(LOOK_EVERY_S)


def _id(announced: issued.Announcement) -> str:
    return f"{announced.time.isoformat()}/{announced.id}"


def _after(last_event_id: str | None) -> tuple[datetime, set[uuid.UUID]]:
    """From when on to look, and what was told; where nothing readable is said, from lately on.

    Lately, so that nothing is lost between reading what is and following what comes.
    """
    try:
        time, _, told = (last_event_id or "").partition("/")
        return datetime.fromisoformat(time).astimezone(UTC), {uuid.UUID(told)}
    except (ValueError, OverflowError):
        return clock.now() - _LATE, set()
