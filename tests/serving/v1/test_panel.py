"""The panel over HTTP: what a review puts there, and how no other page has anything done."""

import re
import time
import uuid

import pytest

from tests.serving.v1.site import batch, evening_zone

PATIENCE_S = 90


def _shown(doctor, patient):
    """What the panel says of one patient, without its markup."""
    page = doctor.ask("GET", "/").text
    found = re.search(
        rf'<section id="(\w+)"(?:(?!</section>).)*?id="p-{patient}".*?</tr>', page, re.S
    )
    if not found:
        return None, ""
    row = found[0][found[0].index(f'id="p-{patient}"') :]
    return found[1], re.sub(r"<[^>]+>|\s+", " ", row)


def _eventually(look):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    return found


def test_a_review_fills_the_panel_and_nobody_is_safe_for_want_of_data(sqlite_site):
    clinic = f"ward-{uuid.uuid4().hex[:8]}"
    people = {}
    for name, hours in (("Ann", 6), ("Silent", 0)):
        profile = {"time_zone": evening_zone()}
        path, person = sqlite_site.patient(name=name, clinic=clinic, profile=profile)
        person.put(f"{path}/consents/care", version="1")
        if hours:
            person.post(f"{path}/observations", **batch(hours))
        people[name] = path.rsplit("/", 1)[1]
    doctor = sqlite_site.clinician("dr-eve", clinic)
    assert _shown(doctor, people["Silent"])[0] == "missing"
    _eventually(lambda: "ago" in _shown(doctor, people["Ann"])[1])  # readings come by themselves
    asked = doctor.ask("POST", "/reviews", data={"clinic": clinic})
    assert asked.status_code == 303
    _eventually(lambda: "not reviewed" not in _shown(doctor, people["Ann"])[1])
    _eventually(lambda: "no forecast" in _shown(doctor, people["Silent"])[1])
    assert _shown(doctor, people["Silent"])[0] == "missing"
    assert "No readings yet" in _shown(doctor, people["Silent"])[1]
    ann, silent = (doctor.ask("GET", f"/patients/{people[name]}").text for name in people)
    assert "The data allow no forecast tonight" in silent
    assert "Not looked for yet" in silent
    assert "Not looked for yet" not in ann  # the review looked, in what little there is
    assert re.search(r"hour by hour.*?<small>\(\d+–\d+\)</small>", ann, re.S), (
        "no forecast behind it"
    )


@pytest.mark.parametrize("step", ["acknowledge", "comment", "assign", "snooze", "tag"])
def test_a_step_needs_a_form_of_the_service_s_own(sqlite_site, step):
    path, person = sqlite_site.patient(name="Bo", clinic="north")
    person.put(f"{path}/consents/care", version="1")
    where = f"/patients/{path.rsplit('/', 1)[1]}/follow-up"
    doctor = sqlite_site.clinician()
    as_json = doctor.ask("POST", f"{where}/{step}", json={"text": "x"})
    assert as_json.status_code == 415
    odd = doctor.ask("POST", f"{where}/{step}", data={"text": "x", "hours": 5})
    assert odd.status_code == 422
    away = doctor.ask("POST", f"{where}/{step}", data={"text": "x", "back": "//evil.example/"})
    assert (away.status_code, away.headers["location"]) == (303, "/")
    said = {"text": "x", "back": where}
    good = doctor.ask("POST", f"{where}/{step}", data=said)
    assert (good.status_code, good.headers["location"]) == (303, where)
