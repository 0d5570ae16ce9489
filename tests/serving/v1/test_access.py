"""Every route, by everybody, in every state of sharing and consent."""

import statistics
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from serving.access.caller import Role
from serving.access.policy import KEY_ROLES
from serving.app import create_app
from serving.clinic.attention import GROUPS
from tests.serving.v1.site import batch, known_day

NOW = datetime.now(UTC)
SHARES = {
    "reader": ("read", -1, 1),
    "writer": ("write", -1, 1),
    "forecaster": ("forecast", -1, 1),
    "too early": ("read write forecast", 1, 2),
    "too late": ("read write forecast", -2, -1),
    "revoked": ("read write forecast", -1, 1),
}
"""Caregivers: what was shared with them, and from when until when, in hours from now."""
OVER = {"too early", "too late", "revoked"}
"""Apps whose share does not hold now."""
TIED = {"owner", "clinician", "reader", "writer", "forecaster"}
NAMED = {"engineer", "admin", "without a role", "role of another system"}
"""Their tokens name the patient and the clinic, which does not help them."""
ANYBODY = {
    "owner",
    "clinician",
    *SHARES,
    "another patient",
    "another clinic's clinician",
    "unrelated app",
}
"""Everybody with a role that treats or lives with diabetes."""
SEE = {"owner", "clinician", "reader"}
WRITE = {"owner", "clinician", "writer"}
ASK = {"owner", "clinician", "forecaster"}
OWN = {"owner"}
ADMIN = {"admin"}
P = "/v1/patients/{patient}"
ROUTES = {
    ("post", "/v1/forecast"): ANYBODY | {"engineer"},
    ("post", "/v1/scenario"): ANYBODY | {"engineer"},
    ("get", "/v1/tonight"): {"clinician"},
    ("post", "/v1/patients"): {"clinician", "unrelated app"} | OVER,
    ("get", "/v1/patients"): ANYBODY,
    ("get", P): SEE,
    ("put", P): WRITE,
    ("delete", P): OWN | ADMIN,
    ("get", f"{P}/export"): OWN,
    ("post", f"{P}/observations"): WRITE,
    ("post", f"{P}/imports"): WRITE,
    ("get", f"{P}/imports/{{job}}"): WRITE,
    ("get", f"{P}/observations"): SEE,
    ("delete", f"{P}/observations/{{row}}"): WRITE,
    ("post", f"{P}/forecast"): ASK,
    ("post", f"{P}/scenario"): ASK,
    ("get", f"{P}/belief"): SEE,
    ("get", f"{P}/beliefs"): SEE,
    ("get", f"{P}/unlogged"): SEE,
    ("get", f"{P}/forecasts"): SEE,
    ("get", f"{P}/events"): SEE,
    ("post", f"{P}/personalise"): WRITE,
    ("post", "/v1/clinics/{clinic}/reviews"): {"clinician"},
    ("get", "/v1/clinics/{clinic}/reviews"): {"clinician"},
    ("get", f"{P}/reviews"): SEE,
    ("get", "/v1/jobs/{job}"): WRITE,
    ("get", f"{P}/forecasts/{{forecast}}"): SEE,
    ("get", f"{P}/consents"): {"owner", "clinician"},
    ("put", f"{P}/consents/{{purpose}}"): OWN,
    ("delete", f"{P}/consents/{{purpose}}"): {"owner", "clinician"},
    ("get", f"{P}/shares"): OWN,
    ("post", f"{P}/shares"): OWN,
    ("delete", f"{P}/shares/{{share}}"): OWN,
    ("get", f"{P}/audit"): OWN | ADMIN,
    ("get", "/v1/research/export"): {"engineer"},
    ("get", "/v1/model"): ANYBODY | {"engineer", "admin"},
    ("get", "/v1/audit"): ADMIN,
    ("get", "/v1/keys"): ADMIN,
    ("post", "/v1/keys"): ADMIN,
    ("delete", "/v1/keys/{key}"): ADMIN,
    ("get", "/v1/audit/head"): ADMIN,
}
"""Who may. A patient's route is hidden from whoever has no tie to them; others are forbidden."""
FOLLOW_UP = "/patients/{patient}/follow-up"
BENCH = "/patients/{patient}/scenarios"
ONE = f"{BENCH}/kept/{{comparison}}"
STEPS = ("acknowledge", "comment", "assign", "snooze", "tag")
CLINICIANS = {"clinician", "another clinic's clinician"}
PAGES = {
    ("get", "/"): CLINICIANS,
    ("get", "/nights"): CLINICIANS,
    ("get", "/panel.csv"): CLINICIANS,
    ("post", "/reviews"): {"clinician"},
    ("get", "/patients/{patient}"): {"clinician"},
    ("get", "/patients/{patient}/report.pdf"): {"clinician"},
    ("get", "/patients/{patient}/help"): ASK,
    ("get", FOLLOW_UP): {"clinician"},
    ("get", BENCH): ASK,
    ("get", f"{BENCH}/kept"): SEE,
    ("post", f"{BENCH}/kept"): {"clinician"},
    ("get", ONE): SEE,
    ("post", f"{ONE}/drop"): {"clinician"},
} | {("post", f"{FOLLOW_UP}/{step}"): {"clinician"} for step in STEPS}
"""Who may, as of routes; each sees the patients of their own clinics."""
SIGN_IN = {"/sign-in", "/signed-in", "/sign-out", "/signed-out", "/reading"}
"""What has to be open to whoever is not signed in."""
OPEN = {"/metrics", "/static", "/openapi.json"}
"""What needs no credentials, beside BentoML's own /livez and /readyz."""
FILE, BYTES = b"of no known format", {"Content-Type": "application/octet-stream"}
UNITS = {"units": {"glucose": "mg/dL"}}


def _everybody(site, patient, owner):
    """All actors, tied to the patient as their names say."""
    people = {
        "owner": owner,
        "clinician": site.clinician(),
        "another patient": site.person("bo", "patient", patient=str(uuid.uuid4())),
        "another clinic's clinician": site.clinician("dr-roe", "south"),
        "unrelated app": site.person("shop", "app"),
        "engineer": site.person("eve", "engineer", patient=patient, clinics=["north"]),
        "admin": site.person("root", "admin", patient=patient, clinics=["north"]),
        "without a role": site.person("nil", patient=patient, clinics=["north"]),
        "role of another system": site.person(
            "odd", "superuser", patient=patient, clinics=["north"]
        ),
    }
    path = f"/v1/patients/{patient}"
    for name, (scopes, begin_h, end_h) in SHARES.items():
        person = site.person(f"{name} {patient}", "app" if name in OVER else "caregiver")
        people[name] = person
        share = owner.post(
            f"{path}/shares",
            subject=person.subject,
            scopes=scopes.split(),
            **{
                "from": (NOW + timedelta(hours=begin_h)).isoformat(),
                "until": (NOW + timedelta(hours=end_h)).isoformat(),
            },
        )
        if name == "revoked":
            owner.delete(f"{path}/shares/{share['id']}")
    return people


def _job(owner, path, template):
    if "/imports/" in template:
        return owner.ask("POST", f"{path}/imports", content=FILE, headers=BYTES).json()["id"]
    return owner.post(f"{path}/personalise")["id"]


def _requests(site, owner, path, route, question):
    """The path of a route about this patient, filled in, and a good body."""
    method, template = route
    share = owner.get(f"{path}/shares")["shares"][0]["id"]
    sent = owner.post(f"{path}/observations", **batch(4))
    key = site.admin().post("/v1/keys", name="spare", roles=["app"])["id"]
    named = {
        "patient": path.rsplit("/", 1)[1],
        "row": sent["outcomes"][0]["id"],
        "share": share,
        "key": key,
        "purpose": "research",
        "forecast": "",
        "clinic": "north",
        "job": _job(owner, path, template),
    }
    if "{forecast}" in template:
        named["forecast"] = owner.post(f"{path}/forecast", **UNITS, horizon_min=5)["id"]
    until = (NOW + timedelta(days=1)).isoformat()
    plans = {"plans": [{"name": "a"}, {"name": "b"}], "horizon_min": 5}
    stateless = question(glucose=[])  # the door is passed, and nothing computed
    body = {
        ("post", "/v1/forecast"): stateless,
        ("post", "/v1/scenario"): stateless | plans,
        ("post", "/v1/patients"): {"clinic": "north"},
        ("put", P): {},
        ("post", f"{P}/observations"): batch(0.5),
        ("post", f"{P}/forecast"): UNITS | {"horizon_min": 5},
        ("post", f"{P}/scenario"): UNITS | plans,
        ("put", f"{P}/consents/{{purpose}}"): {"version": "1"},
        ("post", f"{P}/shares"): {
            "subject": "somebody",
            "scopes": ["read"],
            "from": NOW.isoformat(),
            "until": until,
        },
        ("post", "/v1/keys"): {"name": "another", "roles": ["app"]},
    }.get(route)
    more = {"json": body} if body is not None else {}
    if template.endswith("/imports"):
        more = {"content": FILE, "headers": BYTES}
    if template.endswith("/events"):
        more["params"] = {"wait_s": 0}
    if route == ("put", P):
        more["headers"] = {"If-Match": "1"}
    return method.upper(), template.format(**named), more


def _tied(site):
    path, owner = site.patient(clinic="north")
    for purpose in ("care", "sharing"):
        owner.put(f"{path}/consents/{purpose}", version="1")
    return path, owner


_EXCUSED = {
    ("post", "/v1/forecast"): {422},  # no history
    ("post", "/v1/scenario"): {422},
    ("get", "/v1/tonight"): {503},  # the review may still run
    ("get", "/v1/research/export"): {409},  # too few agree
    ("post", f"{P}/imports"): {409},  # the one before is being read
    ("put", P): {412},  # the one before changed it
}


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_who_may(sqlite_site, question, route):
    path, owner = _tied(sqlite_site)
    people = _everybody(sqlite_site, path.rsplit("/", 1)[1], owner)
    method, filled, more = _requests(sqlite_site, owner, path, route, question)
    assert sqlite_site.nobody().ask(method, filled, **more).status_code == 401
    assert sqlite_site.bearer("forged").ask(method, filled, **more).status_code == 401
    allowed = ROUTES[route]
    seen = {}
    for name in sorted(people, key=lambda name: (name in allowed, name == "owner")):
        answer = people[name].ask(method, filled, **more)
        about_somebody = "{patient}" in route[1] or "{job}" in route[1]
        hidden = about_somebody and name not in TIED | NAMED
        if name in allowed:
            seen[name] = "may" if answer.status_code not in (401, 403, 404) else answer.text
            assert answer.is_success or answer.status_code in _EXCUSED.get(route, ()), answer.text
        else:
            seen[name] = {403: "forbidden", 404: "hidden"}.get(answer.status_code, answer.text)
            assert answer.status_code == (404 if hidden else 403), (name, answer.text)
    assert {name for name, what in seen.items() if what == "may"} == allowed, seen


def test_every_route_has_its_row(sqlite_site):
    paths = sqlite_site.client.get("/openapi.json").json()["paths"]
    described = {(method, path) for path, methods in paths.items() for method in methods}
    assert described == set(ROUTES)
    for methods in paths.values():
        for operation in methods.values():
            assert operation["security"] == [{"bearer": []}]


def _paths(routes):
    for route in routes:
        if hasattr(route, "original_router"):
            yield from _paths(route.original_router.routes)
        else:
            yield route.path


def test_no_route_hides_from_the_table():
    every = set(_paths(create_app(stored=True).routes))
    assert every == {path for _, path in ROUTES | PAGES} | SIGN_IN | OPEN


def test_who_may_open_which_page(sqlite_site):
    path, owner = _tied(sqlite_site)
    patient = path.rsplit("/", 1)[1]
    people = _everybody(sqlite_site, patient, owner)
    owner.post(f"{path}/observations", **known_day())
    bench = BENCH.format(patient=patient)
    kept = people["clinician"].ask("POST", f"{bench}/kept", data={"name": "one"})
    comparison = kept.headers["location"].rsplit("/", 1)[1]
    said = {"data": {"clinic": "north", "text": "a word"}}
    for (method, template), allowed in PAGES.items():
        filled = template.format(patient=patient, comparison=comparison)
        more = said if method == "post" else {}
        nobody = sqlite_site.nobody().ask(method.upper(), filled, **more)
        assert nobody.status_code == 401
        for name, person in people.items():
            answer = person.ask(method.upper(), filled, **more)
            hidden = "{patient}" in template and name not in TIED | NAMED
            expected = (200, 303) if name in allowed else (404,) if hidden else (403,)
            assert answer.status_code in expected, (method, filled, name, answer.text)
    own, other = (
        [people[name].ask("GET", f"/?group={group}").text for group in GROUPS]
        for name in ("clinician", "another clinic's clinician")
    )
    assert any(patient in page for page in own)
    assert not any(patient in page for page in other)
    doctor = people["clinician"].subject
    kept = owner.get(f"{path}/audit")["entries"]
    of_pages = ("page.", "report.", "follow_up.")
    said = [one["action"] for one in kept if one["actor"] == doctor]
    assert [action for action in said if action.startswith(of_pages)] == [
        "page.read",
        "report.read",
        "follow_up.read",
        *(f"follow_up.{step}" for step in STEPS),
    ]


def test_those_who_run_it_need_no_credentials(sqlite_site):
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json"):
        assert sqlite_site.client.get(path).status_code == 200


@pytest.mark.parametrize("clinic", ["north", None])
def test_without_consent_nobody_but_the_patient_sees_anything(any_site, clinic):
    path, owner = any_site.patient(clinic=clinic)
    people = _everybody(any_site, path.rsplit("/", 1)[1], owner)
    seen = {name for name, person in people.items() if person.ask("GET", path).is_success}
    assert seen == {"owner"}


def test_withdrawing_consent_shuts_out_at_once(any_site):
    path, owner = _tied(any_site)
    people = _everybody(any_site, path.rsplit("/", 1)[1], owner)
    doctor, reader = people["clinician"], people["reader"]
    for purpose, who, other in (("care", doctor, reader), ("sharing", reader, doctor)):
        assert who.ask("GET", path).status_code == other.ask("GET", path).status_code == 200
        owner.delete(f"{path}/consents/{purpose}")
        assert who.ask("GET", path).status_code == 404
        assert path.rsplit("/", 1)[1] not in who.ask("GET", "/v1/patients").text
        assert other.ask("GET", path).status_code == 200
        owner.put(f"{path}/consents/{purpose}", version="2")
    assert doctor.ask("GET", path).status_code == 200
    doctor.delete(f"{path}/consents/care")
    assert doctor.ask("GET", path).status_code == 404


def test_a_revoked_key_opens_nothing_from_then_on(any_site):
    path, owner = _tied(any_site)
    admin = any_site.admin()
    made = admin.post("/v1/keys", name="a", roles=["app"])
    machine = any_site.bearer(made["key"])
    assert machine.ask("GET", path).status_code == 404
    times = {"from": NOW.isoformat(), "until": (NOW + timedelta(days=1)).isoformat()}
    owner.post(f"{path}/shares", subject=made["subject"], scopes=["read"], **times)
    assert machine.ask("GET", path).status_code == 200
    admin.delete(f"/v1/keys/{made['id']}")
    assert machine.ask("GET", path).status_code == 401
    (listed,) = [key for key in admin.get("/v1/keys")["keys"] if key["id"] == made["id"]]
    assert listed["revoked"]
    assert "key" not in listed
    assert owner.ask("GET", path).status_code == 200


def test_no_key_is_handed_out_that_opens_more_than_an_admin_may(sqlite_site):
    admin = sqlite_site.admin()
    for role in Role:
        roles = [role.value, "app"]
        answer = admin.ask("POST", "/v1/keys", json={"name": "a", "roles": roles})
        assert answer.status_code == (201 if role in KEY_ROLES else 403), role
    last = admin.get("/v1/audit", after=int(admin.get("/v1/audit/head")["head"].split(":")[0]) - 1)
    assert last["entries"][0]["actor"] == admin.subject
    for more in ({"clinics": ["north"]}, {"patient": str(uuid.uuid4())}):
        answer = admin.ask("POST", "/v1/keys", json={"name": "a", "roles": ["app"]} | more)
        assert answer.status_code == 422, answer.text


def test_a_key_ends_within_a_year(sqlite_site):
    admin = sqlite_site.admin()
    made = admin.post("/v1/keys", name="a", roles=["app"])
    assert timedelta(days=365) <= datetime.fromisoformat(made["expires"]) - NOW
    assert datetime.fromisoformat(made["expires"]) - NOW < timedelta(days=367)
    for days, status in ((30, 201), (-1, 422), (400, 422)):
        asked = {"name": "a", "roles": ["app"]}
        asked["expires"] = (NOW + timedelta(days=days)).isoformat()
        answer = admin.ask("POST", "/v1/keys", json=asked)
        assert answer.status_code == status, answer.text


def test_the_audit_log_comes_in_pages(any_site):
    path, owner = _tied(any_site)
    admin = any_site.admin()
    whole = owner.get(f"{path}/audit")
    assert [entry["patient"] for entry in whole["entries"]] == [path.rsplit("/", 1)[1]] * 3
    assert whole["next"] is None
    first = owner.get(f"{path}/audit", limit=2)
    rest = owner.get(f"{path}/audit", after=first["next"], limit=2)
    assert (first["entries"] + rest["entries"])[:3] == whole["entries"]
    every, after = [], 0
    while after is not None:
        page = admin.get("/v1/audit", after=after, limit=50)
        every += page["entries"]
        after = page["next"]
    assert [entry["sequence"] for entry in every] == list(range(1, len(every) + 1))
    mine = [entry for entry in every if entry["patient"] == path.rsplit("/", 1)[1]]
    assert mine[:3] == whole["entries"]


def test_an_identifier_is_entered_only_by_whom_it_belongs_to(any_site):
    path, _ = any_site.patient()
    taken, free = path.rsplit("/", 1)[1], str(uuid.uuid4())
    for person in (any_site.person("shop", "app"), any_site.clinician()):
        answers = [
            person.ask("POST", "/v1/patients", json={"id": known_by, "clinic": "north"})
            for known_by in (taken, free)
        ]
        assert {answer.status_code for answer in answers} == {403}


def _strange(site):
    return site.person("odd", "patient", "caregiver", "app", "clinician", clinics=["south"])


def test_a_hidden_patient_is_answered_as_one_who_does_not_exist(any_site, question):
    path, owner = _tied(any_site)
    there = path.rsplit("/", 1)[1]
    _everybody(any_site, there, owner)
    for route in ROUTES:
        if "{patient}" not in route[1]:
            continue
        method, filled, more = _requests(any_site, owner, path, route, question)
        for bad in ({}, {"json": {"nonsense": 1}} if more else {}):
            answers = []
            for known_by in (there, str(uuid.uuid4())):
                asked = filled.replace(there, known_by)
                answer = _strange(any_site).ask(method, asked, **more | bad)
                assert answer.status_code == 404, answer.text
                headers = dict(answer.headers)
                del headers["date"]
                answers.append((headers, answer.text.replace(known_by, "")))
            assert answers[0] == answers[1]


def test_a_hidden_patient_takes_as_long_as_one_who_does_not_exist(sqlite_site):
    path, owner = _tied(sqlite_site)
    there = path.rsplit("/", 1)[1]
    _everybody(sqlite_site, there, owner)
    stranger = _strange(sqlite_site)
    took = {there: [], str(uuid.uuid4()): []}
    for _ in range(60):
        for known_by, seconds in took.items():
            begin = time.perf_counter()
            assert stranger.ask("GET", f"/v1/patients/{known_by}").status_code == 404
            seconds.append(time.perf_counter() - begin)
    known, unknown = (statistics.median(seconds) for seconds in took.values())
    assert 0.6 < known / unknown < 1.6
