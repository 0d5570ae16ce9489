"""Work beside requests: beliefs follow readings, twins are fitted, nights reviewed, news told."""

import base64
import json
import time
import uuid

import httpx
import pytest
import torch

from hybridtwin.assimilation.hindcasts import lately_missed
from hybridtwin.assimilation.misses import misses_from_bytes
from hybridtwin.events import GlucoseReading, Profile
from hybridtwin.record import from_events
from hybridtwin.registry import load_twin
from serving.client import Client, ServiceError
from tests.serving.v1.site import Site, batch, evening_zone, lively, readings

PATIENCE_S = 180


def client_of(site: Site, person) -> Client:
    key = person.headers["Authorization"].removeprefix("Bearer ")
    return Client(str(site.client.base_url), key, timeout_s=60)


def eventually(look):
    """What `look` finds, once it finds anything."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def finished(twin: Client, job: uuid.UUID):
    return eventually(lambda: (now := twin.job(job)).state in {"done", "failed"} and now)


@pytest.fixture
def ann(any_site):
    path, person = any_site.patient(name="Ann", clinic="north")
    person.put(f"{path}/consents/care", version="1")
    return uuid.UUID(path.rsplit("/", 1)[1]), person


def test_new_readings_move_the_belief_by_themselves(any_site, ann):
    patient, person = ann
    path = f"/v1/patients/{patient}"
    person.post(f"{path}/observations", **batch(6, glucose=readings(6, until_min=-10)))
    first = eventually(lambda: person.get(f"{path}/beliefs")["beliefs"])[0]
    new = batch(glucose=readings(0.25))
    person.post(f"{path}/observations", **new)

    def later():
        newest = person.get(f"{path}/beliefs")["beliefs"][0]
        return newest if newest["last_reading_time"] > first["last_reading_time"] else None

    moved = eventually(later)
    # What changes nothing asks for nothing.
    person.post(f"{path}/observations", **new)
    time.sleep(3)
    assert person.get(f"{path}/beliefs")["beliefs"][0] == moved


def test_once_a_day_it_is_learnt_what_forecasts_of_a_patient_missed(any_site, ann):
    patient, person = ann
    path = f"/v1/patients/{patient}"
    known = readings(48, until_min=-30)
    person.post(f"{path}/observations", **batch(48, glucose=known))
    before = eventually(lambda: person.get(f"{path}/beliefs")["beliefs"])[0]
    person.post(f"{path}/observations", **batch(glucose=readings(0.25)))
    eventually(lambda: person.get(f"{path}/beliefs")["beliefs"][0]["time"] > before["time"])
    issued = person.get(f"{path}/export")["issued"]
    [kept] = [one["content"] for one in issued if one["kind"] == "misses"]
    found = misses_from_bytes(base64.urlsafe_b64decode(kept))
    events = [GlucoseReading(time=one["time"], mg_dl=one["value"]) for one in known]
    alone = lately_missed(load_twin(), from_events(Profile(), events))
    assert alone.coefficients_mg_dl.abs().max() > 0.5
    torch.testing.assert_close(found.widening, alone.widening, atol=1e-3, rtol=0)
    torch.testing.assert_close(
        found.coefficients_mg_dl, alone.coefficients_mg_dl, atol=0.05, rtol=0
    )


def test_a_reader_is_told_of_every_new_belief_once(any_site, ann):
    patient, person = ann
    with client_of(any_site, person) as twin:
        twin.send(patient, batch(6, glucose=readings(6, until_min=-10)))
        news = twin.events(patient)
        told = next(news)
        twin.send(patient, batch(glucose=readings(0.25)))
        again = next(news)
    assert (told.kind, again.kind) == ("belief", "belief")
    assert told.id != again.id
    assert told.time < again.time


def test_the_news_end_with_the_share_that_let_them_be_read(any_site, ann):
    patient, person = ann
    path = f"/v1/patients/{patient}"
    person.put(f"{path}/consents/sharing", version="1")
    friend = any_site.person(f"friend {patient}", "caregiver")
    share = person.post(
        f"{path}/shares",
        subject=friend.subject,
        scopes=["read"],
        **{"from": "2026-01-01T00:00:00Z", "until": "2099-01-01T00:00:00Z"},
    )
    with any_site.client.stream("GET", f"{path}/events", headers=friend.headers) as stream:
        assert stream.status_code == 200
        person.delete(f"{path}/shares/{share['id']}")
        assert not [line for line in stream.iter_lines() if line.startswith("data")]


def test_a_twin_is_fitted_to_a_patient_and_answers_from_then_on(any_site, ann):
    patient, person = ann
    with client_of(any_site, person) as twin:
        twin.send(patient, batch(glucose=readings(72, level=lively)))
        assert twin.belief(patient).model.startswith("population ")
        job = twin.personalise(patient)
        assert (job.kind, job.done) == ("personalise", 0)
        done = finished(twin, job.id)
        assert (done.state, done.done, done.total, done.problem) == ("done", 1, 1, None)
        assert not twin.belief(patient).model.startswith("population ")
        assert not twin.forecast(patient, "mg/dL").model.startswith("population ")


def test_a_patient_without_readings_cannot_be_fitted(any_site, ann):
    patient, person = ann
    with client_of(any_site, person) as twin:
        done = finished(twin, twin.personalise(patient).id)
    assert (done.state, done.problem) == ("failed", "insufficient-history")


def test_the_night_of_a_clinic_is_reviewed_of_those_who_agree(any_site):
    clinic = f"ward-{uuid.uuid4().hex[:8]}"
    agreeing = []
    for number in range(3):
        path, person = any_site.patient(clinic=clinic, profile={"time_zone": evening_zone()})
        person.post(f"{path}/observations", **batch(6))
        if number:
            person.put(f"{path}/consents/care", version="1")
            agreeing.append((path, person))
    profile = {"time_zone": evening_zone()}
    path, odd = any_site.patient(clinic=clinic, profile=profile, consents={"care": "1"})
    impossible = [row | {"value": 20} for row in readings(0.5)]  # nobody's median
    odd.post(f"{path}/observations", **batch(glucose=impossible))
    doctor = any_site.clinician("dr-night", clinic)
    asked = doctor.ask("POST", f"/v1/clinics/{clinic}/reviews")
    assert asked.status_code == 202
    job = eventually(
        lambda: (now := doctor.get(f"/v1/jobs/{asked.json()['id']}"))["state"] == "done" and now
    )
    assert (job["done"], job["total"]) == (3, 4)
    first, *listed = doctor.get(f"/v1/clinics/{clinic}/reviews")["reviews"]
    assert (first["patient"], first["night"]["status"]) == (path.rsplit("/", 1)[1], "refused")
    odd.delete(f"{path}/consents/care")
    assert {one["patient"] for one in listed} == {path.rsplit("/", 1)[1] for path, _ in agreeing}
    lows = [one["night"]["events"]["below_70"] for one in listed]
    assert lows == sorted(lows, reverse=True)
    for one in listed:  # what would help was looked for
        assert bool(one["night"]["advice"]["suggestions"]) is not bool(
            one["night"]["advice"]["silence"]
        )
    for path, person in agreeing:
        (review,) = person.get(f"{path}/reviews")["reviews"]
        assert review in listed
        (behind,) = person.get(f"{path}/forecasts")["forecasts"]
        assert behind["forecast"]["times"][-1] == review["night"]["end"]
        looked = [one for one in person.get(f"{path}/audit")["entries"] if one["outcome"] == "done"]
        assert (doctor.subject, "tonight.read") in {(one["actor"], one["action"]) for one in looked}
    path, person = agreeing[0]
    person.delete(f"{path}/consents/care")
    (left,) = doctor.get(f"/v1/clinics/{clinic}/reviews")["reviews"]
    assert left["patient"] != path.rsplit("/", 1)[1]
    assert any_site.clinician("dr-roe", "south").ask("GET", asked.url.path).status_code == 403


def test_nobody_else_sees_a_job(any_site, ann):
    patient, person = ann
    job = person.ask("POST", f"/v1/patients/{patient}/personalise").json()["id"]
    stranger = any_site.person("shop", "app")
    refused = [stranger.ask("GET", f"/v1/jobs/{one}") for one in (job, str(uuid.uuid4()))]
    assert [answer.status_code for answer in refused] == [404, 404]
    assert json.dumps(refused[0].json()).replace(job, "") == json.dumps(refused[1].json()).replace(
        refused[1].url.path.rsplit("/", 1)[1], ""
    )


def test_the_client_tells_a_refusal_in_the_service_s_words(any_site, ann):
    patient, person = ann
    with client_of(any_site, person) as twin:
        with pytest.raises(ServiceError, match="glucose") as refused:
            twin.forecast(patient, "mg/dL")
        assert refused.value.report.status == 422
    with Client("http://127.0.0.1:1", "htk_none") as nowhere, pytest.raises(httpx.TransportError):
        nowhere.create_patient({})
