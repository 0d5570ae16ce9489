"""The twin's verbs: what it believes, forecasts, refuses and remembers."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from hybridtwin.errors import HistoryError, ModelError, PlanError, StaleHistoryError, TwinError
from hybridtwin.events import Activity, Dose, Meal
from hybridtwin.neural.spread import LEVELS
from hybridtwin.plan import Plan
from hybridtwin.record import Record
from hybridtwin.registry import IN_THE_BOX, load_twin, save_twin, untrained_twin
from hybridtwin.scenario import compare
from hybridtwin.twin import Twin
from tests.hybridtwin.people import history

MEMBERS = 40


@pytest.fixture(scope="module")
def twin() -> Twin:
    return load_twin()


def minutes(count: float) -> pd.Timedelta:
    return pd.Timedelta(minutes=count)


def test_a_forecast_is_the_same_twice_and_quantiles_rise(twin: Twin) -> None:
    record = history()
    first, again = (
        twin.forecast(twin.believe(record, members=MEMBERS), horizon_min=120) for _ in range(2)
    )
    torch.testing.assert_close(first.paths_mg_dl, again.paths_mg_dl)
    assert (first.quantiles_mg_dl().diff(dim=0) >= 0).all()
    assert first.times[0] == record.glucose["time"].iloc[-1] + minutes(5)
    assert len(first.times) == 24


def test_what_lies_after_now_is_not_looked_at(twin: Twin) -> None:
    record = history(hours=36)
    now = record.glucose["time"].iloc[-1] - minutes(180)
    early = twin.forecast(twin.believe(record, now, MEMBERS), horizon_min=60)
    cut = twin.forecast(twin.believe(record.before(now), None, MEMBERS), horizon_min=60)
    torch.testing.assert_close(early.paths_mg_dl, cut.paths_mg_dl)


@pytest.mark.parametrize("channel", ["bolus", "meals", "basal"])
def test_a_missing_channel_is_not_a_zero(twin: Twin, channel: str) -> None:
    """Unknown doses and none taken are different histories, and the former is said."""
    unknown: Record = history(**{channel if channel != "basal" else "basal_u_h": None})  # type: ignore[arg-type]
    zero = _with_nothing_taken(unknown, channel)
    believed = [twin.believe(record, members=MEMBERS) for record in (unknown, zero)]
    gap = believed[0].present.body - believed[1].present.body
    changed = gap.abs().max() > 1e-3 or not torch.equal(
        believed[0].present.latent, believed[1].present.latent
    )
    assert changed
    words = {"bolus": "boluses", "meals": "meals", "basal": "basal"}[channel]
    missing = [note.text for note in believed[0].trust.notes if note.kind == "missing"]
    assert any(words in text for text in missing)
    assert not any(words in note.text for note in believed[1].trust.notes)
    assert believed[0].trust.level != "full"


def _with_nothing_taken(record: Record, channel: str) -> Record:
    begin, end = record.glucose["time"].iloc[0], record.glucose["time"].iloc[-1]
    if channel == "basal":
        days = pd.date_range(begin, end, freq="24h")
        none = pd.DataFrame(
            {"time": days, "kind": "rapid", "purpose": "basal", "dose_u": 0.0}
        ).assign(duration_min=1440.0, automatic=False)
        rows = pd.concat([record.insulin, none]).sort_values("time")
        return replace(record, insulin=rows)
    span = pd.DataFrame({"channel": [channel], "start": [begin], "end": [end]})
    return replace(record, logged=pd.concat([record.logged, span]))


def test_refusals(twin: Twin) -> None:
    record = history()
    last = record.glucose["time"].iloc[-1]
    with pytest.raises(StaleHistoryError, match="120 minutes old"):
        twin.believe(record, last + minutes(120))
    with pytest.raises(HistoryError, match="too short"):
        twin.believe(history(hours=1))
    with pytest.raises(HistoryError, match="no readings"):
        twin.believe(record.before(record.glucose["time"].iloc[0] - minutes(1)))
    belief = twin.believe(record, members=MEMBERS)
    for plan, message in (
        (Plan(insulin=[Dose(time=last - minutes(30), dose_u=1)]), "before now"),
        (Plan(meals=[Meal(time=last + minutes(500), carbs_g=10)]), "beyond the horizon"),
        (
            Plan(
                insulin=[
                    Dose(time=last + minutes(m), purpose="basal", dose_u=1, duration_min=60)
                    for m in (0, 30)
                ]
            ),
            "begins before",
        ),
        (
            Plan(activity=[Activity(time=last + minutes(m), duration_min=60) for m in (10, 20)]),
            "begins before",
        ),
    ):
        with pytest.raises(PlanError, match=message):
            twin.forecast(belief, plan, horizon_min=240)
    for horizon in (0, 725):
        with pytest.raises(PlanError, match="outside"):
            twin.forecast(belief, horizon_min=horizon)
    with pytest.raises(PlanError, match="used twice"):
        twin.forecasts(belief, [Plan(), Plan()])
    with pytest.raises(PlanError, match="two or more"):
        compare(twin, belief, [Plan()])


def test_an_old_reading_lowers_trust(twin: Twin) -> None:
    record = history()
    now = record.glucose["time"].iloc[-1] + minutes(30)
    belief = twin.believe(record, now, MEMBERS)
    assert any(note.kind == "stale" for note in belief.trust.notes)


def test_a_very_low_reading_is_urgent_and_not_trusted(twin: Twin) -> None:
    belief = twin.believe(history(level_mg_dl=90), members=MEMBERS)
    low = history(level_mg_dl=90)
    low.glucose.loc[low.glucose.index[-1], "mg_dl"] = 50.0
    urgent = twin.believe(low, members=MEMBERS)
    assert belief.trust.level != "low"
    assert urgent.trust.level == "low"
    assert any(note.kind == "urgent" for note in urgent.trust.notes)


@pytest.mark.parametrize("reading", [40.0, 400.0])
def test_a_reading_at_the_end_of_the_sensors_range_is_said(twin: Twin, reading: float) -> None:
    record = history()
    record.glucose.loc[record.glucose.index[-1], "mg_dl"] = reading
    trust = twin.believe(record, members=MEMBERS).trust
    assert any("end of a sensor's range" in note.text for note in trust.notes)
    assert trust.level != "full"


def test_a_dose_between_the_last_reading_and_now_counts(twin: Twin) -> None:
    record = history()
    last = record.glucose["time"].iloc[-1]
    late = Dose(time=last + minutes(3), dose_u=6)
    row = pd.DataFrame([late.model_dump()])
    row["time"] = pd.to_datetime(row["time"], utc=True)
    dosed = replace(record, insulin=pd.concat([record.insulin, row]))
    now = last + minutes(8)
    plain, after = (
        twin.forecast(twin.believe(r, now, MEMBERS), horizon_min=240) for r in (record, dosed)
    )
    assert (after.expected_mg_dl[-1] - plain.expected_mg_dl[-1]) < -5


def test_a_comparison_shares_members_and_chance(twin: Twin) -> None:
    record = history()
    now = record.glucose["time"].iloc[-1]
    belief = twin.believe(record, members=MEMBERS)
    plans = [
        Plan(),
        Plan(name="nothing else"),
        Plan(name="bolus", insulin=[Dose(time=now + minutes(10), dose_u=3)]),
    ]
    scenario = compare(twin, belief, plans, horizon_min=240)
    same, bolus = scenario.difference(1), scenario.difference(2)
    assert max(map(abs, same.expected)) == 0
    assert same.mean_low == same.mean_high == 0
    assert bolus.mean < 0
    assert bolus.mean_low <= bolus.mean <= bolus.mean_high < 0
    in_mmol = scenario.difference(2, "mmol/L")
    assert in_mmol.mean == pytest.approx(bolus.mean / 18.0156, abs=0.01)


def test_a_twin_survives_its_folder(twin: Twin, tmp_path: Path) -> None:
    other = untrained_twin(seed=3)
    loaded = load_twin(save_twin(other, tmp_path / "twin"))
    record = history()
    a, b = (t.forecast(t.believe(record, members=MEMBERS), horizon_min=60) for t in (other, loaded))
    torch.testing.assert_close(a.paths_mg_dl, b.paths_mg_dl)
    (tmp_path / "twin" / "twin.safetensors").write_bytes(b"not weights")
    for source in (tmp_path / "twin", tmp_path / "nowhere"):
        with pytest.raises(ModelError, match="no twin can be read"):
            load_twin(source)


def test_the_shipped_twin_is_small_and_trained(twin: Twin) -> None:
    size = sum(path.stat().st_size for path in IN_THE_BOX.iterdir())
    assert size < 8_000_000
    assert twin.config.version != "untrained"
    card = (IN_THE_BOX / "MODEL_CARD.md").read_text()
    for words in ("AZT1D", "T1D-UOM", "HUPA-UCM", "CC BY 4.0"):
        assert words in card


def test_report_in_both_units(twin: Twin) -> None:
    forecast = twin.forecast(twin.believe(history(), members=MEMBERS), horizon_min=60)
    mg_dl, mmol_l = forecast.report("mg/dL"), forecast.report("mmol/L")
    assert len(mg_dl.quantiles) == len(LEVELS)
    for a, b in zip(mg_dl.expected, mmol_l.expected, strict=True):
        assert b == pytest.approx(a / 18.0156, abs=0.011)
    assert mg_dl.times[0].utcoffset() is not None


def test_every_error_says_where_what_and_what_to_do() -> None:
    error = TwinError.of("glucose[3].mg_dl", "5 is impossible", "Correct it.")
    assert str(error) == "glucose[3].mg_dl: 5 is impossible. Correct it."
