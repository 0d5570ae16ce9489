"""What is sealed, what is written down, and what nobody finds anywhere."""

import re
import uuid
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import make_url

from serving.access.caller import Role
from serving.access.policy import Action
from tests.serving.v1.site import batch, readings

NAME, DOSE, NOTE, PASSWORD = "Zanzibar Canaryson", 67.7731, "canary stew with rice", "cuckoo"
JSON = {"Content-Type": "application/json"}
# No clock and no duration in a log can show these numbers by chance.
CANARIES = (NAME, NAME.encode().hex(), str(DOSE), "6777.31", NOTE, PASSWORD)


def _mistakes(path, now):
    """Requests about somebody's health, each with something wrong."""
    dose = {"time": now.isoformat(), "dose_u": DOSE}
    meal = {"time": now.isoformat(), "carbs_g": 40, "note": NOTE}
    plan = {"name": "p", "insulin": [dose | {"time": "1999-01-01T00:00:00Z"}]}
    units = {"units": {"glucose": "mg/dL"}}
    good = batch(glucose=[])
    for rows in (
        [dose | {"dose_u": str(DOSE), "time": NOTE}],
        [dose | {"dose_u": -DOSE}],
        [dose | {"dose_u": 10 * DOSE, "duration_min": DOSE, "purpose": "basal"}],
        [dose | {"dose_u": 100 * DOSE}],
        [dose | {"purpose": NOTE, "kind": NAME}],
        [dose | {"time": (now + timedelta(days=9)).isoformat()}],
        [dose, dose | {"dose_u": DOSE / 2}],
        [dose | {NOTE.split()[0]: NAME}],
        [NAME],
        NAME,
    ):
        yield "POST", f"{path}/observations", {"json": good | {"insulin": rows}}
        yield "POST", f"{path}/forecast", {"json": units | {"plan": plan | {"insulin": rows}}}
    yield "POST", f"{path}/observations", {"json": good | {"meals": [meal], "source": NAME}}
    yield "POST", f"{path}/observations", {"json": good | {"meals": [meal]}}
    for level in (10 * DOSE, 100 * DOSE):
        low = [row | {"value": level} for row in readings(2)]
        yield "POST", f"{path}/observations", {"json": good | {"glucose": low}}
    yield "POST", f"{path}/forecast", {"json": units | {"plan": plan}}
    yield "PUT", path, {"json": {"name": NAME, "profile": {"weight_kg": 100 * DOSE}}}
    yield "PUT", path, {"json": {"name": [NAME], "profile": {"time_zone": NAME}}}
    yield "POST", "/v1/patients", {"json": {"name": NAME, "clinic": NOTE, "extra": DOSE}}
    broken = f'{{"name": "{NAME}", "insulin": {DOSE}, '.encode()
    yield "POST", path + "/observations", {"content": broken}
    yield "POST", path + "/observations", {"content": broken + b"\xff\xfe"}
    yield "POST", "/v1/forecast", {"json": batch() | {"insulin": [dose, NOTE], "now": NAME}}
    yield "GET", f"{path}/observations", {"params": {"from": NOTE, "unit": NAME, "limit": DOSE}}


def _heard(site):
    """All that the service ever says of itself."""
    return site.log.read_text() + site.client.get("/metrics").text


def test_nobody_finds_a_canary(any_site):
    now = datetime.now(UTC)
    path, owner = any_site.patient(name=NAME, clinic="north")
    owner.put(f"{path}/consents/care", version="1")
    dose = {"id": NOTE, "time": (now - timedelta(hours=1)).isoformat(), "dose_u": DOSE}
    owner.post(f"{path}/observations", **batch(24, insulin=[dose]))
    owner.post(f"{path}/forecast", units={"glucose": "mg/dL"}, horizon_min=5)
    assert NAME in any_site.clinician().ask("GET", path).text
    refused = []
    for method, asked, more in _mistakes(path, now):
        for person in (owner, any_site.person("odd", "patient"), any_site.nobody()):
            answer = person.ask(method, asked, headers=JSON, **more)
            if person is owner and asked.endswith("observations") and answer.is_success:
                assert answer.json()["refused"], more
            else:
                assert answer.status_code >= 400, (method, asked, more, answer.text)
            refused.append(answer.text)
    owner.delete(path)
    assert len(refused) > 60
    everywhere = "\n".join(refused) + _heard(any_site)
    assert "observations" in everywhere
    assert [canary for canary in CANARIES if canary in everywhere] == []


def _everywhere(site, named):
    """Every route of the API, with canaries wherever something can be said."""
    for path, operations in site.client.get("/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            if (method, path) == ("delete", "/v1/patients/{patient}"):
                continue
            asked = method.upper(), path.format_map(named)
            said = {"query": {}, "header": {}, "path": {}}
            for parameter in operation.get("parameters", ()):
                said[parameter["in"]][parameter["name"]] = NOTE
            yield *asked, {"params": said["query"], "headers": said["header"]}
            if "requestBody" in operation:
                for body in ({"name": [NAME], "note": DOSE}, [NAME, DOSE], NOTE):
                    yield *asked, {"json": body}
                    yield *asked, {"content": str(body), "headers": JSON}


def test_no_route_tells_a_canary(any_site):
    path, owner = any_site.patient(name=NAME, clinic="north")
    owner.put(f"{path}/consents/care", version="1")
    patient = path.rsplit("/", 1)[1]
    somebody = any_site.person("all", *Role, patient=patient, clinics=["north"])
    known = {"patient": patient, "clinic": "north", "purpose": "research"}
    named = defaultdict(lambda: str(uuid.uuid4()), known)
    refused = []
    for method, asked, more in _everywhere(any_site, named):
        answer = somebody.ask(method, asked, **more)
        assert answer.status_code < 500 or answer.status_code == 503, (method, asked, answer.text)
        refused += [answer.text] if answer.is_error else []
    assert len(refused) > 60
    doctor, page = any_site.clinician(), f"/patients/{patient}"
    written = {"clinic": "north", "text": NOTE, "name": NAME, "carbs": str(DOSE)}
    for form in ("follow-up/comment", "follow-up/assign", "follow-up/tag", "scenarios/kept"):
        assert doctor.ask("POST", f"{page}/{form}", data=written).status_code < 500
    assert NOTE in doctor.ask("GET", f"{page}/follow-up").text
    everywhere = "\n".join(refused) + _heard(any_site)
    assert [canary for canary in CANARIES if canary in everywhere] == []


def test_no_patient_is_named_in_figures_that_everyone_may_read(any_site):
    path, owner = any_site.patient()
    for _ in range(2):  # an answer is counted once it is sent
        assert owner.ask("GET", path).status_code == 200
    figures = any_site.client.get("/metrics").text
    assert 'endpoint="/v1/patients/{patient}"' in figures
    assert path.rsplit("/", 1)[1] not in figures


def test_who_asks_writes_nothing_into_the_log(any_site):
    client = any_site.client
    line = "/v1/jobs/%0Aa%20forged%20line"
    assert client.get(line).status_code == 404
    assert client.get(f"/v1/patients/{NAME}", params={"unit": NAME}).status_code == 401
    assert client.get(f"/{NAME}").status_code == 404
    for path in ("/v1/forecast", "/v1/patients", f"/{NAME}"):
        odd = {b"Content-Type": b"\xff\xfe", b"User-Agent": NAME.encode()}
        assert client.post(path, content=b"{}", headers=odd).status_code == 415
    heard = any_site.log.read_text()
    assert "GET /v1/patients/{patient} 401" in heard
    for word in ("forged", NAME, NAME.split()[0], "Traceback"):
        assert word not in heard


def test_neither_keys_nor_tokens_are_in_the_log(any_site):
    path, owner = any_site.patient()
    made = any_site.admin().post("/v1/keys", name="a", roles=["app"])
    machine = any_site.bearer(made["key"])
    assert machine.ask("GET", path).status_code == 404
    heard = _heard(any_site)
    for secret in (made["key"], owner.headers["Authorization"], any_site.master_key):
        assert secret not in heard


def test_the_files_hold_nothing_readable(sqlite_site):
    path, owner = sqlite_site.patient(name=NAME)
    dose = {"time": datetime.now(UTC).isoformat(), "dose_u": DOSE}
    owner.post(f"{path}/observations", **batch(insulin=[dose]))
    home = Path(make_url(sqlite_site.database).database).parent
    files = [file for file in home.iterdir() if file.name.startswith("store.db")]
    assert len(files) >= 2
    stored = b"".join(file.read_bytes() for file in files)
    assert path.rsplit("/", 1)[1].replace("-", "").encode() in stored
    assert [canary for canary in (NAME, str(DOSE)) if canary.encode() in stored] == []


def test_everything_is_written_down_done_and_denied(any_site):
    path, owner = any_site.patient(clinic="north")
    doctor, odd = any_site.clinician(), any_site.person("odd", "patient")
    assert doctor.ask("GET", path).status_code == 404
    owner.put(f"{path}/consents/care", version="1")
    doctor.get(path)
    assert doctor.ask("GET", f"{path}/export").status_code == 403
    assert odd.ask("POST", f"{path}/observations", json=batch()).status_code == 404
    owner.post(f"{path}/observations", **batch(24))
    owner.get(f"{path}/observations")
    owner.post(f"{path}/forecast", units={"glucose": "mg/dL"}, horizon_min=5)
    owner.get(f"{path}/belief")
    owner.get(f"{path}/export")
    assert any_site.nobody().ask("GET", path).status_code == 401
    assert owner.ask("PUT", path, json={}, headers={"If-Match": "9"}).status_code == 412
    entries = owner.get(f"{path}/audit")["entries"]
    kept_after_readings = [one for one in entries if one["action"].endswith(".keep")]
    assert {one["actor"] for one in kept_after_readings} <= {owner.subject}
    asked = [one for one in entries if one not in kept_after_readings]
    assert [(one["actor"], one["action"], one["outcome"]) for one in asked] == [
        (owner.subject, Action.PATIENT_CREATE, "done"),
        (doctor.subject, Action.PATIENT_READ, "denied"),
        (owner.subject, Action.CONSENT_GIVE, "done"),
        (doctor.subject, Action.PATIENT_READ, "done"),
        (doctor.subject, Action.PATIENT_EXPORT, "denied"),
        (odd.subject, Action.OBSERVATIONS_WRITE, "denied"),
        (owner.subject, Action.OBSERVATIONS_WRITE, "done"),
        (owner.subject, Action.OBSERVATIONS_READ, "done"),
        (owner.subject, Action.FORECAST_ASK, "done"),
        (owner.subject, Action.BELIEF_READ, "done"),
        (owner.subject, Action.PATIENT_EXPORT, "done"),
    ]


def test_the_log_is_whole_and_says_where_it_ends(any_site):
    admin = any_site.admin()
    before = admin.get("/v1/audit/head")["head"]
    any_site.patient()
    after = admin.get("/v1/audit/head", anchor=before)["head"]
    assert re.fullmatch(r"\d+:[0-9a-f]{64}", after)
    assert int(after.split(":")[0]) > int(before.split(":")[0])
    other = f"{before.split(':')[0]}:{'0' * 64}"
    assert admin.ask("GET", "/v1/audit/head", params={"anchor": other}).status_code == 409
    assert admin.ask("GET", "/v1/audit/head", params={"anchor": "x"}).status_code == 422
