"""Every refusal has one shape, says where, what and what to do, and leaves the service alive."""

import json
from datetime import timedelta

import pytest

KEYS = {"type", "title", "status", "detail", "code", "problems"}


def _refused(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    report = response.json()
    assert set(report) == KEYS
    assert report["status"] == status
    assert report["code"] == code
    assert report["problems"]
    for problem in report["problems"]:
        assert set(problem) == {"where", "what", "advice"}
        assert all(problem.values())
    assert "Traceback" not in response.text
    return report["problems"]


@pytest.fixture(scope="module", autouse=True)
def _alive_afterwards(client, question):
    yield
    assert client.get("/livez").status_code == 200
    assert client.post("/v1/forecast", json=question()).status_code == 200


def _readings(question, change):
    """The readings with one value or time changed in place."""
    rows = question()["glucose"]
    change(rows)
    return {"glucose": rows}


def _value(row, value):
    return lambda rows: rows[row].update(value=value)


def _swap(rows):
    rows[5], rows[6] = rows[6], rows[5]


def _double(rows):
    rows[6]["time"] = rows[5]["time"]


def _naive(rows):
    rows[3]["time"] = "2026-01-30T21:00:00"


def _ancient(rows):
    rows[0]["time"] = "0001-01-01T00:00:00Z"


def _far(rows):
    rows[-1]["time"] = "9999-12-31T23:59:59Z"


def _nan(rows):
    rows[0]["value"] = "NaN"


@pytest.mark.parametrize(
    ("change", "code", "where", "words"),
    [
        (_value(7, 5), "invalid-record", "glucose[7].value", "no possible reading"),
        (_value(7, 2000), "invalid-record", "glucose[7].value", "no possible reading"),
        (_nan, "invalid-request", "glucose[0].value", "number"),
        (_swap, "invalid-record", "glucose[6].time", "before the row above"),
        (_double, "invalid-record", "glucose[6]", "duplicate"),
        (_naive, "invalid-request", "glucose[3].time", "no time zone"),
        (_ancient, "invalid-record", "glucose[0].time", "30 days"),
        (_far, "invalid-record", "glucose[287].time", "after now"),
        (_value(2, "high"), "invalid-request", "glucose[2].value", "number"),
    ],
)
def test_impossible_readings(client, question, change, code, where, words):
    response = client.post("/v1/forecast", json=question(**_readings(question, change)))
    problem = _refused(response, 422, code)[0]
    assert problem["where"] == where
    assert words in problem["what"]


def test_an_empty_history(client, question):
    response = client.post("/v1/forecast", json=question(glucose=[]))
    (problem,) = _refused(response, 422, "insufficient-history")
    assert problem["where"] == "glucose"


def test_too_short_a_history(client, question):
    short = question()["glucose"][-6:]
    response = client.post("/v1/forecast", json=question(glucose=short))
    (problem,) = _refused(response, 422, "insufficient-history")
    assert "6 readings" in problem["what"]


def test_a_last_reading_that_is_too_old(client, question, now):
    later = (now + timedelta(minutes=90)).isoformat()
    response = client.post("/v1/forecast", json=question(now=later))
    (problem,) = _refused(response, 422, "stale-history")
    assert "90 minutes" in problem["what"]


@pytest.mark.parametrize(("sent", "stated"), [("mmol/L", "mg/dL"), ("mg/dL", "mmol/L")])
def test_one_unit_sent_as_the_other(client, question, sent, stated):
    asked = question(unit=sent) | {"units": {"glucose": stated}}
    (problem,) = _refused(client.post("/v1/forecast", json=asked), 422, "invalid-record")
    assert problem["where"] == "units.glucose"
    assert sent in problem["advice"]


@pytest.mark.parametrize(
    ("changes", "where", "words"),
    [
        ({"insulin": [{"time": "T", "dose_u": 500}]}, "insulin[0].dose_u", "too high"),
        ({"insulin": [{"time": "T", "dose_u": 100}]}, "insulin[0]", "80 U"),
        ({"meals": [{"time": "T", "carbs_g": -5}]}, "meals[0].carbs_g", "too low"),
        ({"glucagon": [{"time": "T", "dose_ug": 5000}]}, "glucagon[0].dose_ug", "too high"),
        (
            {"conditions": [{"time": "T", "kind": "boredom", "duration_min": 60}]},
            "conditions[0].kind",
            "not known",
        ),
        ({"profile": {"pregnancy_week": 50}}, "profile.pregnancy_week", "too high"),
        ({"profile": {"medications": ["aspirin"]}}, "profile.medications[0]", "not known"),
        ({"profile": {"features": {"genes": 9}}}, "profile.features.genes", "too high"),
        (
            {"insulin": [{"time": "T", "dose_u": 1, "kind": "moonshine"}]},
            "insulin[0].kind",
            "not known",
        ),
        ({"insulin": [{"time": "T", "dose_u": True}]}, "insulin[0].dose_u", "number"),
        ({"meals": [{"time": "T", "carbs_g": "30"}]}, "meals[0].carbs_g", "number"),
        ({"meals": [{"time": "T", "carbs_g": 30, "liquid": 1}]}, "meals[0].liquid", "boolean"),
        ({"profile": {"egfr_ml_min": True}}, "profile.egfr_ml_min", "number"),
        ({"profile": {"pregnancy_week": True}}, "profile.pregnancy_week", "integer"),
        ({"horizon_min": 900}, "horizon_min", "too high"),
        ({"horizon_min": 0}, "horizon_min", "too low"),
        ({"colour": "blue"}, "colour", "not a known field"),
        ({"profile": {"shoe_size": 43}}, "profile.shoe_size", "not a known field"),
        ({"profile": {"time_zone": "Mars/Olympus"}}, "profile.time_zone", "unknown time zone"),
        ({"units": {}}, "units.glucose", "missing"),
        ({"units": {"glucose": "mg"}}, "units.glucose", "not known"),
        ({"glucose": None}, "glucose", "list"),
        ({"now": "yesterday"}, "now", "not a time"),
        (
            {"plan": {"insulin": [{"time": "2026-01-31T20:35:00", "dose_u": 1}]}},
            "plan.insulin[0].time",
            "zone",
        ),
    ],
)
def test_what_the_description_rules_out(client, question, now, changes, where, words):
    text = json.dumps(question(**changes)).replace('"T"', json.dumps(now.isoformat()))
    response = client.post(
        "/v1/forecast", content=text, headers={"content-type": "application/json"}
    )
    problem = _refused(response, 422, "invalid-request")[0]
    assert problem["where"] == where
    assert words in problem["what"]


def _plan_basal(now, minutes):
    time = (now + timedelta(minutes=minutes)).isoformat()
    return {"time": time, "purpose": "basal", "dose_u": 1, "duration_min": 60}


@pytest.mark.parametrize("minutes", [-60, 200, 10_000_000])
def test_a_plan_outside_its_time(client, question, now, minutes):
    plan = {"meals": [{"time": (now + timedelta(minutes=minutes)).isoformat(), "carbs_g": 20}]}
    response = client.post("/v1/forecast", json=question(plan=plan))
    problem = _refused(response, 422, "invalid-plan")[0]
    assert "meals[0].time" in problem["where"]


def test_a_plan_that_overlaps_itself(client, question, now):
    plan = {"insulin": [_plan_basal(now, 5), _plan_basal(now, 35)]}
    response = client.post("/v1/forecast", json=question(plan=plan))
    (problem,) = _refused(response, 422, "invalid-plan")
    assert "before the one at" in problem["what"]


def test_history_that_has_not_happened_yet(client, question, now):
    later = (now + timedelta(hours=1)).isoformat()
    response = client.post("/v1/forecast", json=question(insulin=[{"time": later, "dose_u": 2}]))
    (problem,) = _refused(response, 422, "invalid-record")
    assert problem["where"] == "insulin[0].time"
    assert "plan" in problem["advice"]


def test_one_plan_is_no_comparison(client, question):
    response = client.post("/v1/scenario", json=question(plans=[{"name": "only"}]))
    (problem,) = _refused(response, 422, "invalid-request")
    assert problem["where"] == "plans"


def test_two_plans_of_one_name(client, question):
    plans = [{"name": "same"}, {"name": "same"}]
    response = client.post("/v1/scenario", json=question(plans=plans))
    (problem,) = _refused(response, 422, "invalid-plan")
    assert "'same'" in problem["what"]


@pytest.mark.parametrize(
    "body", [b'{"units": {"glucose": "mg/dL"}, "glu', b"hello", b"\xff\xfe", b"[" * 100_000]
)
def test_a_body_that_is_not_json(client, body):
    response = client.post(
        "/v1/forecast", content=body, headers={"content-type": "application/json"}
    )
    _refused(response, 400, "not-json")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"text"', b"3"])
def test_json_that_is_not_a_question(client, body):
    response = client.post(
        "/v1/forecast", content=body, headers={"content-type": "application/json"}
    )
    _refused(response, 422, "invalid-request")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_body_not_declared_as_json(client, question, kind):
    headers = {} if kind is None else {"content-type": kind}
    response = client.post("/v1/forecast", content=json.dumps(question()), headers=headers)
    _refused(response, 415, "wrong-content-type")


def test_an_unknown_path(client, tonight, question):
    _refused(client.get("/v2/forecast"), 404, "not-found")
    _refused(client.post("/v1/forecasts", json=question()), 404, "not-found")
    _refused(client.get("/tonight/nobody.svg"), 404, "not-found")
    _refused(client.get("/static/nothing.css"), 404, "not-found")
    _refused(client.get("/v1/%0Aforecast"), 404, "not-found")


def test_a_wrong_method(client):
    response = client.get("/v1/forecast")
    _refused(response, 405, "wrong-method")
    assert response.headers["allow"] == "POST"


def test_a_unit_that_is_none(client):
    (problem,) = _refused(client.get("/v1/tonight?unit=stone"), 422, "invalid-request")
    assert problem["where"] == "unit"


def test_a_body_that_is_too_large(client):
    large = b"[" + b" " * (9 * 2**20) + b"]"
    headers = {"content-type": "application/json"}
    _refused(client.post("/v1/forecast", content=large, headers=headers), 413, "too-large")

    def pieces():
        for _ in range(9):
            yield b" " * 2**20

    _refused(client.post("/v1/forecast", content=pieces(), headers=headers), 413, "too-large")


def test_too_many_rows(client, question):
    rows = question()["meals"] * 3001
    (problem,) = _refused(
        client.post("/v1/forecast", json=question(meals=rows)), 422, "invalid-request"
    )
    assert problem["where"] == "meals"
    assert "3000" in problem["advice"]


def test_many_faults_are_summed_up(client, question):
    rows = [row | {"time": row["time"][:19]} for row in question()["glucose"]]
    problems = _refused(
        client.post("/v1/forecast", json=question(glucose=rows)), 422, "invalid-request"
    )
    assert len(problems) == 11
    assert "278 more" in problems[-1]["what"]
