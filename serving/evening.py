"""Evening and morning: nights are reviewed where it is late, and later set beside what happened."""

import logging
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, TypeVar

import pandas as pd
from sqlalchemy.orm import Session

from hybridtwin.errors import TwinError
from hybridtwin.forecast import ForecastReport
from hybridtwin.panel import for_each
from hybridtwin.record import Record
from hybridtwin.review.night import NIGHT_END_H
from hybridtwin.review.review import NightReview, NightRisk, refusal, review_night
from hybridtwin.review.settings import ReviewSettings
from hybridtwin.twin import Twin
from serving import clock
from serving.clinic import summary
from serving.clinic.weeks import DAYS, Weeks, weeks
from serving.due import TIMES, has_outcome_due, has_reach, is_review_due, last_night_end
from serving.failures import told
from serving.settings import Settings
from serving.store import audit, consents, issued, jobs, patients, summaries
from serving.store.errors import StoreError, UnknownError
from serving.store.summaries import Summary
from serving.v1.store import Store

if TYPE_CHECKING:
    from serving.jobs import Work

ACTOR: Final = "the evening"
"""Who asks for what nobody asked for."""
REVIEW: Final = ReviewSettings(suggest=True)
"""A clinic is told what would help too."""
_LOOK: Final = timedelta(minutes=1)
_REVISED_DAYS: Final = 3
"""For how long a night is judged anew, for readings that came late."""
AnyPart = TypeVar("AnyPart", bound=summary.Part)
_log = logging.getLogger(__name__)


def look(store: Store, settings: Settings, now: datetime) -> None:
    """Ask for what is due: for every clinic one review, and one judgement of the night."""
    with store.database.reading() as session:
        clinics = summaries.clinics(session)
    for clinic in clinics:
        with store.database.reading() as session:
            people = summaries.of_clinics(session, store.vault, [clinic], [], TIMES)
        due: list[jobs.Kind] = []
        if settings.evening and any(is_review_due(one, settings.evening, now) for one in people):
            due.append("review")
        if any(has_outcome_due(one, now) for one in people):
            due.append("outcome")
        for kind in due:
            with store.database.session() as session:
                if not jobs.under_way(session, kind, [clinic]):
                    jobs.start(session, kind, ACTOR, clinic=clinic)


def start_evenings(store: Store, settings: Settings, stopping: Event) -> None:
    """Look once a minute, in a thread of this process, until `stopping`.

    Every process does: whom one has reviewed is due to no other.
    """

    def keep_looking() -> None:
        while not stopping.wait(clock.wait_s(_LOOK)):
            try:
                look(store, settings, clock.now())
            except TwinError as error:  # a database that is away, or one person's odd row
                _log.warning("the evening waits: %s", error.code)
            except Exception as error:  # or there would be no evening any more
                _log.error("the evening failed: %s", told(error))

    Thread(target=keep_looking, daemon=True).start()


def review(work: "Work") -> Iterator[None]:
    """The coming night of a clinic's patients who consent to care: of all, or of those due.

    Where it is day, a patient is left as they are.
    """
    evening, now = work.settings.evening, clock.now()
    people = [one for one in _in_order(work) if has_reach(one, now)]
    if work.job.actor == ACTOR and evening:
        people = [one for one in people if is_review_due(one, evening, now)]
    with work.store.database.reading() as session:
        total = patients.count(session, str(work.job.clinic))
    for evening_of, found in for_each(_look_at, _evenings(work, people)):
        with suppress(UnknownError):  # erased meanwhile
            _keep(work, evening_of, found, total)
        yield


def outcome(work: "Work") -> Iterator[None]:
    """What happened in the last nights of a clinic's patients who consent to care."""
    people = [one for one in _in_order(work) if has_outcome_due(one, clock.now())]
    for one in people:
        try:
            _judge(work, one, len(people))
        except UnknownError:  # erased meanwhile
            pass
        except StoreError:
            raise
        except TwinError as error:  # one patient's rows must not keep the others waiting
            _log.warning("a night cannot be judged: %s", error.code)
        yield


def keep_lately(work: "Work", patient: uuid.UUID, record: Record) -> None:
    """Show a patient's last readings on the panel."""
    with suppress(TwinError, UnknownError):  # nothing to show, or erased meanwhile
        found = summary.lately(record)
        if found is not None:
            with work.store.database.session() as session:
                _put(session, work, patient, "lately", found.time, found)


def _in_order(work: "Work") -> list[Summary]:
    """Whom a job has yet to do: a job that was cut off goes on behind the last one."""
    with work.store.database.reading() as session:
        people = summaries.of_clinics(session, work.store.vault, [str(work.job.clinic)], [], TIMES)
    last = work.job.last
    return sorted((one for one in people if last is None or one.id > last), key=lambda one: one.id)


@dataclass(frozen=True)
class _Evening:
    """What a night is judged by; a record that cannot be made is the reason why not."""

    patient: uuid.UUID
    known: Record | TwinError
    twin: Twin
    now: pd.Timestamp


def _evenings(work: "Work", people: Iterable[Summary]) -> Iterator[_Evening]:
    """Of everybody who still consents when it is their turn."""
    for one in people:
        with suppress(UnknownError):  # erased meanwhile
            with work.store.database.reading() as session:
                if not consents.may_use(session, one.id, "care"):
                    continue
            known: Record | TwinError
            try:
                known, twin = work.record(one.id, DAYS)
            except (StoreError, UnknownError):
                raise
            except TwinError as error:
                known, twin = error, work.population
            # only now: what came while it was read is no reading from the future
            yield _Evening(one.id, known, twin, pd.Timestamp(clock.now()))


@dataclass(frozen=True)
class _Found:
    """What an evening shows: the coming night, and the weeks before where they hold readings."""

    review: NightReview
    weeks: Weeks | None


def _look_at(evening: _Evening) -> _Found:
    return _Found(_night(evening), _weeks(evening))


def _weeks(evening: _Evening) -> Weeks | None:
    if not isinstance(evening.known, Record):
        return None
    try:
        return weeks(evening.known, evening.now.to_pydatetime())
    except Exception as error:  # one patient's fault must not hide their night
        _log.error("telling the weeks failed: %s", told(error))
        return None


def _night(evening: _Evening) -> NightReview:
    """One patient's fault must not hide the others."""
    if not isinstance(evening.known, Record):
        return refusal(str(evening.patient), str(evening.known))
    try:
        return review_night(evening.twin, evening.known, evening.now, REVIEW)
    except Exception as error:
        _log.error("a review failed: %s", told(error))
        reason = str(error) if isinstance(error, TwinError) else "The review failed."
        return refusal(str(evening.patient), reason)


def _keep(work: "Work", evening: _Evening, found: _Found, total: int) -> None:
    if isinstance(evening.known, Record):
        keep_lately(work, evening.patient, evening.known)

    review_of = found.review

    def also(session: Session) -> None:
        shown = summary.night(review_of, evening.now.to_pydatetime())
        _put(session, work, evening.patient, "night", shown.issued, shown)
        if review_of.risk.status == "refused":
            _put(session, work, evening.patient, "refused", shown.issued, summary.Part())
        if found.weeks:
            _put(session, work, evening.patient, "weeks", found.weeks.end, found.weeks)

    results: dict[issued.Kind, bytes] = {"review": review_of.risk.model_dump_json().encode()}
    if review_of.forecast:
        results["forecast"] = review_of.forecast.report().model_dump_json().encode()
    work.keep(evening.patient, evening.twin, results, total, also, purpose="care")


def _judge(work: "Work", one: Summary, total: int) -> None:
    """Set the last nights beside what happened, those before as they are."""
    zone = one.profile["time_zone"]
    end = pd.Timestamp(last_night_end(zone, clock.now()))
    record, _ = work.record(one.id, _REVISED_DAYS + 2)
    with work.store.database.session() as session:
        jobs.advance(session, work.job, work.worker, total, one.id)
        patients.lock(session, one.id)
        if not consents.may_use(session, one.id, "care"):  # withdrawn meanwhile
            return
        nights = _kept(session, work, one.id, "nights", summary.Nights).nights
        pictures = _kept(session, work, one.id, "night_pictures", summary.NightPictures).nights
        judged = {night.end: night for night in nights}
        drawn = {night.end: night for night in pictures}
        for back in range(_REVISED_DAYS):
            morning = end - pd.DateOffset(days=back)
            review = _as_reviewed(session, work, one.id, morning)
            if review is None:
                continue
            risk = NightRisk.model_validate_json(review.content)
            night = summary.past_night(record, risk, morning)
            judged[night.end] = night
            forecast = _forecast_of(session, work, one.id, review)
            if forecast:
                drawn[night.end] = summary.night_picture(record, forecast, morning)
        kept = summary.Nights(nights=[judged[key] for key in sorted(judged)][-summary.PAST_DAYS :])
        shown = [drawn[key] for key in sorted(drawn)][-summary.PICTURES :]
        time = end.to_pydatetime()
        _put(session, work, one.id, "nights", time, kept)
        _put(session, work, one.id, "night_pictures", time, summary.NightPictures(nights=shown))
        if kept.nights:
            _put(session, work, one.id, "morning", time, kept.nights[-1])
        audit.append(session, work.job.actor, "outcome.keep", one.id)


def _kept(
    session: Session, work: "Work", patient: uuid.UUID, part: summaries.Part, kind: type[AnyPart]
) -> AnyPart:
    """A part as it was put, or an empty one."""
    before = summaries.get(session, work.store.vault, patient, part)
    return kind.model_validate_json(before) if before else kind()


def _as_reviewed(
    session: Session, work: "Work", patient: uuid.UUID, end: pd.Timestamp
) -> issued.Document | None:
    """A night as it was last forecast before it began."""
    begin = end - pd.DateOffset(hours=NIGHT_END_H)
    found = issued.find(
        session,
        work.store.vault,
        patient,
        "review",
        begin=(end - pd.DateOffset(days=1)).to_pydatetime(),
        end=begin.to_pydatetime(),
        limit=1,
    )
    return found[0] if found else None


def _forecast_of(
    session: Session, work: "Work", patient: uuid.UUID, review: issued.Document
) -> ForecastReport | None:
    """The forecast behind a review, kept in the same moment."""
    when = {"begin": review.time, "end": review.time}
    found = issued.find(session, work.store.vault, patient, "forecast", **when, limit=1)
    return ForecastReport.model_validate_json(found[0].content) if found else None


def _put(
    session: Session,
    work: "Work",
    patient: uuid.UUID,
    part: summaries.Part,
    time: datetime,
    content: summary.Part,
) -> None:
    said = content.model_dump_json().encode()
    summaries.put(session, work.store.vault, patient, part, time, said)
