"""What was issued stays as it was, and is held beside what then happened."""

from datetime import timedelta
from uuid import uuid4

import pytest

from hybridtwin.events import Profile
from hybridtwin.forecast import EventProbabilities, ForecastReport, Nadir
from hybridtwin.trust import Trust
from hybridtwin.units import from_mg_dl
from serving.store import issued, patients
from serving.store.errors import UnknownError, VaultError
from serving.store.tables import Issued

STEP = timedelta(minutes=5)


def _forecast(now, unit="mg/dL", steps=6):
    times = [now + (k + 1) * STEP for k in range(steps)]
    values = [from_mg_dl(120.0 + k, unit) for k in range(steps)]
    return ForecastReport(
        participant="me",
        plan="as usual",
        unit=unit,
        issued=now,
        last_reading=values[0],
        last_reading_time=now,
        times=times,
        expected=values,
        levels=[0.5],
        quantiles=[values],
        events=EventProbabilities(below_70=0, below_54=0, above_180=0, above_250=0),
        nadir=Nadir(time=times[0], median=values[0], low=values[0]),
        trust=Trust(level="full"),
    )


def test_documents_come_back_as_they_were_newest_first(database, vault, patient, now):
    times = [now + i * timedelta(hours=1) for i in range(4)]
    with database.session() as session:
        ids = [
            issued.keep(session, vault, patient.id, "belief", time, f"twin {i}", bytes([i, 255]))
            for i, time in enumerate(times)
        ]
        issued.keep(session, vault, patient.id, "review", now, "twin", b"{}")
    with database.reading() as session:
        found = issued.find(session, vault, patient.id, "belief")
        assert [(one.id, one.time, one.model, one.content) for one in reversed(found)] == [
            (ids[i], times[i], f"twin {i}", bytes([i, 255])) for i in range(4)
        ]
        part = issued.find(session, vault, patient.id, "belief", times[1], times[2])
        assert part == found[1:3]
        assert issued.find(session, vault, patient.id, "belief", limit=1) == found[:1]
        assert issued.get(session, vault, patient.id, ids[2]) == found[1]


def test_documents_are_of_one_person(database, vault, patient, now):
    with database.session() as session:
        other = patients.create(session, vault, Profile())
        kept = issued.keep(session, vault, patient.id, "belief", now, "twin", b"{}")
        for whose, which in ((other.id, kept), (patient.id, uuid4())):
            with pytest.raises(UnknownError):
                issued.get(session, vault, whose, which)
        session.get_one(Issued, kept).patient_id = other.id
        session.flush()
        with pytest.raises(VaultError):
            issued.get(session, vault, other.id, kept)


@pytest.mark.parametrize("unit", ["mg/dL", "mmol/L"])
def test_a_forecast_stands_beside_the_readings_nearest_to_its_times(
    database, vault, patient, send, now, unit
):
    report = _forecast(now, unit)
    content = report.model_dump_json().encode()
    with database.session() as session:
        kept = issued.keep(session, vault, patient.id, "forecast", now, "twin", content)
    minute = timedelta(minutes=1)
    readings = {
        report.times[0]: 101,
        report.times[1] + 2 * minute: 102,
        report.times[1] - minute: 103,  # nearer
        report.times[3] - 2 * minute: 104,
        report.times[5] + 2.4 * minute: 105,
        report.times[5] + 30 * minute: 106,
    }
    rows = [{"time": time.isoformat(), "value": value} for time, value in readings.items()]
    send(now + timedelta(hours=2), glucose=rows)
    with database.reading() as session:
        document = issued.get(session, vault, patient.id, kept)
        found = issued.compare(session, vault, patient.id, document)
    assert found.report == report
    expected = [101, 103, None, 104, None, 105]
    assert found.observed == [None if x is None else from_mg_dl(x, unit) for x in expected]


def test_a_forecast_whose_time_has_not_come_has_nothing_beside_it(database, vault, patient, now):
    content = _forecast(now).model_dump_json().encode()
    with database.session() as session:
        kept = issued.keep(session, vault, patient.id, "forecast", now, "twin", content)
        document = issued.get(session, vault, patient.id, kept)
        assert issued.compare(session, vault, patient.id, document).observed == 6 * [None]


def test_thinning_keeps_beliefs_behind_forecasts_and_of_earlier_hours(
    database, vault, patient, now
):
    def keep(kind, minutes):
        time = now + timedelta(minutes=minutes)
        return issued.keep(session, vault, patient.id, kind, time, "twin", b"said")

    with database.session() as session:
        earlier = keep("belief", -5)
        dropped = [keep("belief", minutes) for minutes in (0, 5, 15)]
        asked_for, forecast = keep("belief", 10), keep("forecast", 10)
        review = keep("review", 20)
        issued.thin(session, patient.id, now)
    with database.reading() as session:
        left = {one.id for one in issued.announced(session, patient.id, now - timedelta(hours=1))}
    assert left == {earlier, asked_for, forecast, review}
    assert not left & set(dropped)


def test_only_comparisons_can_be_dropped_and_only_the_patient_s(database, vault, patient, now):
    with database.session() as session:
        other = patients.create(session, vault, Profile(participant="other")).id
        forecast, kept, another = (
            issued.keep(session, vault, patient.id, kind, now, "twin 1", b"said")
            for kind in ("forecast", "comparison", "comparison")
        )
    for patient_id, document in ((patient.id, forecast), (other, kept), (patient.id, uuid4())):
        with pytest.raises(UnknownError), database.session() as session:
            issued.drop_comparison(session, patient_id, document)
    with database.session() as session:
        issued.drop_comparison(session, patient.id, kept)
        left = issued.find(session, vault, patient.id, "comparison")
        assert [one.id for one in left] == [another]
        assert issued.get(session, vault, patient.id, forecast).content == b"said"
