"""One patient's way through the service, from the first day to the last."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from hybridtwin.physiology.parameters import PARAMETERS
from tests.serving.v1.site import batch, known_day, readings

PROFILE = {"participant": "ann", "time_zone": "Europe/Berlin", "weight_kg": 72}


def _counts(report):
    return {name: report[name] for name in ("accepted", "known", "corrected", "refused")}


def test_a_patient_from_the_first_day_to_the_last(any_site):
    path, ann = any_site.patient(name="Ann", profile=PROFILE, clinic="north")
    assert ann.get("/v1/patients")["patients"] == [
        {"id": path.rsplit("/", 1)[1], "relations": ["own"]}
    ]
    ann.put(f"{path}/consents/care", version="2026-1")

    glucose = readings(48, until_min=-10)
    bolus = {"id": "b1", "time": glucose[-40]["time"], "dose_u": 4}
    days = batch(
        glucose=glucose,
        insulin=[bolus],
        meals=[{"time": glucose[-40]["time"], "carbs_g": 45}],
        complete={"insulin": {"from": glucose[0]["time"], "to": glucose[-1]["time"]}},
    )
    rows = len(glucose) + 3
    first = ann.post(f"{path}/observations", **days)
    assert _counts(first) == {"accepted": rows, "known": 0, "corrected": 0, "refused": 0}
    again = ann.post(f"{path}/observations", **days)
    assert _counts(again) == {"accepted": 0, "known": rows, "corrected": 0, "refused": 0}
    assert [row["id"] for row in again["outcomes"]] == [row["id"] for row in first["outcomes"]]
    corrected = ann.post(f"{path}/observations", **days | {"insulin": [bolus | {"dose_u": 5}]})
    assert _counts(corrected)["corrected"] == 1
    (dose,) = ann.get(f"{path}/observations", kind="insulin", **{"from": glucose[0]["time"]})[
        "rows"
    ]
    assert (dose["sender_id"], dose["event"]["dose_u"]) == ("b1", 5)

    asked = {"units": {"glucose": "mmol/L"}, "horizon_min": 60}
    issued = ann.post(f"{path}/forecast", **asked)
    before = ann.get(f"{path}/forecasts/{issued['id']}")
    assert before["forecast"] == issued["forecast"]
    assert len(before["observed"]) == 12
    assert set(before["observed"]) == {None}
    later = readings(0.25, until_min=0)
    ann.post(f"{path}/observations", **batch(glucose=later))
    compared = ann.get(f"{path}/forecasts/{issued['id']}")
    assert compared["forecast"] == issued["forecast"]
    happened = {datetime.fromisoformat(row["time"]): row["value"] for row in later}
    expected = [
        happened.get(datetime.fromisoformat(time).astimezone(UTC))
        for time in compared["forecast"]["times"]
    ]
    assert any(expected)
    assert compared["observed"] == [
        None if value is None else pytest.approx(value / 18.0156, rel=1e-3) for value in expected
    ]
    assert [one["id"] for one in ann.get(f"{path}/forecasts")["forecasts"]] == [issued["id"]]

    exported = ann.get(f"{path}/export")
    assert exported["patient"]["name"] == "Ann"
    assert {one["kind"] for one in exported["issued"]} >= {"forecast", "belief"}
    doses = [one for one in exported["observations"] if one["kind"] == "insulin"]
    assert sorted(one["event"]["dose_u"] for one in doses) == [4, 5]

    ann.delete(path)
    for gone in ("", "/observations", "/export", f"/forecasts/{issued['id']}", "/belief"):
        assert ann.ask("GET", path + gone).status_code == 404, gone
    assert ann.ask("POST", f"{path}/observations", json=days).status_code == 404
    assert ann.ask("POST", f"{path}/forecast", json=asked).status_code == 404
    assert ann.ask("POST", "/v1/patients", json={"id": path.rsplit("/", 1)[1]}).status_code == 409
    assert ann.get("/v1/patients")["patients"] == []
    assert any_site.admin().get(f"{path}/audit")["entries"][-1]["action"] == "patient.erase"
    ann.delete(path)


def test_a_belief_is_the_bodys_parameters_and_is_kept_with_the_forecast(any_site):
    path, ann = any_site.patient(profile=PROFILE)
    assert ann.ask("GET", f"{path}/belief").status_code == 422
    ann.post(f"{path}/observations", **batch(24))
    now = ann.get(f"{path}/belief")
    priors = {parameter.name: parameter for parameter in PARAMETERS}
    assert [one["name"] for one in now["parameters"]] == list(priors)
    for one in now["parameters"]:
        prior = priors[one["name"]]
        assert one["unit"] == prior.unit
        assert prior.low * 0.999 <= one["low"] <= one["high"] <= prior.high * 1.001
        assert not one["personal"]
    sensitivity = next(x for x in now["parameters"] if x["name"] == "uptake_sensitivity")
    assert sensitivity["low"] < sensitivity["value"] < sensitivity["high"]
    issued = ann.post(f"{path}/forecast", units={"glucose": "mg/dL"}, horizon_min=5)
    behind = next(
        one
        for one in ann.get(f"{path}/beliefs")["beliefs"]
        if datetime.fromisoformat(one["time"])
        == datetime.fromisoformat(issued["forecast"]["issued"])
    )
    assert behind["parameters"] == now["parameters"]


def test_what_was_probably_not_logged_is_told_and_written_nowhere(any_site):
    path, ann = any_site.patient(profile=PROFILE)
    assert ann.ask("GET", f"{path}/unlogged").status_code == 422
    day = known_day()
    for rise, reading in enumerate(day["glucose"][-24:]):  # as nothing that was logged can do
        reading["value"] = min(reading["value"] + 8 * rise, 320)
    ann.post(f"{path}/observations", **day)
    kept = ann.get(f"{path}/observations")
    found = ann.get(f"{path}/unlogged")
    assert [one["kind"] for one in found["unlogged"]] == ["meal"]
    assert 0.8 <= found["unlogged"][0]["probability"] <= 1
    assert found["unlogged"][0]["off_mg_dl"] > 0
    assert ann.get(f"{path}/observations") == kept


def test_a_scenario_says_what_each_plan_changes_and_is_not_kept(any_site):
    path, ann = any_site.patient(profile=PROFILE)
    ann.post(f"{path}/observations", **batch(24))
    dose = {"time": (datetime.now(UTC) + timedelta(minutes=10)).isoformat(), "dose_u": 5}
    plans = [{"name": "usual"}, {"name": "bolus", "insulin": [dose]}]
    found = ann.post(f"{path}/scenario", units={"glucose": "mg/dL"}, plans=plans, horizon_min=240)
    (difference,) = found["differences"]
    assert difference["expected"][-1] < 0
    assert ann.get(f"{path}/forecasts")["forecasts"] == []


def test_good_rows_are_kept_beside_bad_ones(any_site):
    path, ann = any_site.patient()
    now = datetime.now(UTC)
    rows = [
        {"time": now.isoformat(), "dose_u": 2},
        {"time": (now + timedelta(hours=1)).isoformat(), "dose_u": 3},
        {"time": (now - timedelta(hours=1)).isoformat(), "dose_u": 500},
        {"time": (now - timedelta(hours=2)).isoformat()},
    ]
    found = ann.post(f"{path}/observations", **batch(glucose=[], insulin=rows))
    assert _counts(found) == {"accepted": 1, "known": 0, "corrected": 0, "refused": 3}
    assert [one["problem"] and one["problem"]["where"] for one in found["outcomes"]] == [
        None,
        "insulin[1].time",
        "insulin[2].dose_u",
        "insulin[3].dose_u",
    ]
    (kept,) = ann.get(f"{path}/observations", kind="insulin")["rows"]
    ann.delete(f"{path}/observations/{kept['id']}")
    assert ann.get(f"{path}/observations")["rows"] == []
    assert ann.ask("DELETE", f"{path}/observations/{uuid.uuid4()}").is_error


def test_two_editors_do_not_overwrite_each_other(any_site):
    path, ann = any_site.patient(name="Ann", profile=PROFILE)
    read = ann.ask("GET", path)
    etag = read.headers["etag"]
    change = {"name": "Anna", "profile": PROFILE | {"weight_kg": 70}}
    assert ann.ask("PUT", path, json=change).status_code == 428
    done = ann.ask("PUT", path, json=change, headers={"If-Match": etag})
    assert done.status_code == 200
    assert done.headers["etag"] != etag
    assert done.json() == ann.get(path)
    assert (done.json()["name"], done.json()["profile"]["weight_kg"]) == ("Anna", 70)
    for stale in (etag, "nonsense", f"W/{done.headers['etag']}", "*"):
        answer = ann.ask("PUT", path, json=change, headers={"If-Match": stale})
        assert answer.status_code == 412, stale


def test_rows_come_in_pages_and_in_the_unit_asked_for(any_site):
    path, ann = any_site.patient()
    sent = readings(2)
    ann.post(f"{path}/observations", **batch(glucose=sent))
    whole = ann.get(f"{path}/observations", unit="mmol/L")
    assert not whole["more"]
    for row, told in zip(whole["rows"], sent, strict=True):
        assert row["event"]["value"] == pytest.approx(told["value"] / 18.0156, rel=1e-3)
    few = ann.get(f"{path}/observations", limit=10)
    assert few["more"]
    rest = ann.get(f"{path}/observations", **{"from": few["rows"][-1]["event"]["time"]})
    assert rest["rows"][0] == few["rows"][-1]
    assert len(few["rows"]) + len(rest["rows"]) - 1 == len(sent)


def test_a_clinic_enters_whom_it_has_the_consent_of(any_site):
    doctor = any_site.clinician()
    made = doctor.post("/v1/patients", clinic="north", consents={"care": "paper-1"})
    path = f"/v1/patients/{made['id']}"
    assert doctor.get(path)["id"] == made["id"]
    (given,) = doctor.get(f"{path}/consents")["consents"]
    assert (given["purpose"], given["version"]) == ("care", "paper-1")
    actions = [one["action"] for one in any_site.admin().get(f"{path}/audit")["entries"]]
    assert actions[:2] == ["patient.create", "consent.give"]
    assert any_site.clinician("dr-roe", "south").ask("GET", path).status_code == 404
