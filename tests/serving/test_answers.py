from datetime import datetime, timedelta

import pytest

from hybridtwin.registry import load_twin


def _ask(client, path, question):
    response = client.post(path, json=question)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_forecast_is_ordered_quantiles_on_the_grid_ahead(client, question, now):
    answer = _ask(client, "/v1/forecast", question())
    times = [datetime.fromisoformat(time) for time in answer["times"]]
    assert [time - now for time in times] == [timedelta(minutes=5 * k) for k in range(1, 25)]
    assert times[0].utcoffset() == timedelta(hours=1)  # Berlin, in winter
    for values in zip(*answer["quantiles"], strict=True):
        assert list(values) == sorted(values)
        assert all(20 <= value <= 600 for value in values)
    assert len(answer["expected"]) == 24
    assert answer["last_reading"] == pytest.approx(question()["glucose"][-1]["value"], abs=0.1)


def test_both_units_tell_the_same(client, question):
    mg = _ask(client, "/v1/forecast", question())
    mmol = _ask(client, "/v1/forecast", question(unit="mmol/L"))
    assert mmol["unit"] == "mmol/L"
    assert [18.0156 * value for value in mmol["expected"]] == pytest.approx(mg["expected"], abs=0.5)
    assert 18.0156 * mmol["nadir"]["low"] == pytest.approx(mg["nadir"]["low"], abs=0.5)


def test_the_service_says_which_twin_answers(client):
    told = client.get("/v1/model").json()
    config = load_twin(None).config
    assert (told["name"], told["version"]) == (config.name, config.version)


def test_a_month_of_readings_is_answered(client, question):
    assert client.post("/v1/forecast", json=question(days=29.9)).status_code == 200


def test_more_insulin_lowers_and_more_carbs_raises(client, question, now):
    at = (now + timedelta(minutes=3)).isoformat()
    plans = [
        {"name": "usual", "mode": "complete"},
        {"name": "bolus", "mode": "complete", "insulin": [{"time": at, "dose_u": 3}]},
        {"name": "snack", "mode": "complete", "meals": [{"time": at, "carbs_g": 40}]},
    ]
    answer = _ask(client, "/v1/scenario", question(plans=plans, horizon_min=240))
    usual, *others = answer["forecasts"]
    bolus, snack = answer["differences"]
    assert bolus["mean"] < -1
    assert snack["mean"] > 1
    for difference, forecast in zip(answer["differences"], others, strict=True):
        assert difference["against"] == "usual"
        assert difference["plan"] == forecast["plan"]
        change = [a - b for a, b in zip(forecast["expected"], usual["expected"], strict=True)]
        assert difference["expected"] == pytest.approx(change, abs=0.11)
        below = forecast["events"]["below_70"] - usual["events"]["below_70"]
        assert difference["below_70"] == pytest.approx(below, abs=1e-3)


@pytest.mark.parametrize("offset_min", [0, 1, 2, 3, 4])
def test_a_dose_given_right_now_counts_wherever_the_reading_lies_on_the_grid(
    client, question, now, offset_min
):
    moved = now + timedelta(minutes=offset_min)
    readings = [
        {"time": (moved - timedelta(minutes=5 * back)).isoformat(), "value": 140}
        for back in reversed(range(60))
    ]
    plans = [
        {"name": "usual"},
        {"name": "bolus", "insulin": [{"time": moved.isoformat(), "dose_u": 3}]},
    ]
    asked = question(glucose=readings, now=moved.isoformat(), plans=plans, insulin=None)
    answer = _ask(client, "/v1/scenario", asked)
    assert answer["differences"][0]["mean"] < -1


def test_unknown_insulin_is_missing_and_not_none(client, question):
    def notes(answer):
        return {(note["kind"], note["text"].split(" for ")[0]) for note in answer["trust"]["notes"]}

    unknown = _ask(client, "/v1/forecast", question(insulin=None))
    none = _ask(client, "/v1/forecast", question(insulin=[]))
    missing = ("missing", "No record of boluses")
    assert missing in notes(unknown)
    assert missing not in notes(none)
    assert unknown["expected"] != none["expected"]
    absent = question()
    del absent["insulin"]
    assert _ask(client, "/v1/forecast", absent) == unknown


def test_an_aged_reading_is_said_to_be_stale(client, question, now):
    answer = _ask(client, "/v1/forecast", question(now=(now + timedelta(minutes=30)).isoformat()))
    assert "stale" in {note["kind"] for note in answer["trust"]["notes"]}


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_those_who_run_it_can_see_how_it_does(client, path):
    assert client.get(path).status_code == 200


def test_metrics_count_the_forecasts(client, question):
    _ask(client, "/v1/forecast", question())
    lines = client.get("/metrics").text.splitlines()
    assert any("_total" in line and 'endpoint="/v1/forecast"' in line for line in lines)


def test_the_same_question_has_the_same_answer(client, question):
    answers = [_ask(client, "/v1/forecast", question()) for _ in range(2)]
    assert answers[0] == answers[1]
