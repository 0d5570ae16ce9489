"""The door, in front of a small app: who comes in, who is turned away, and what is told."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest

from serving.access.limits import WINDOW_S
from serving.access.policy import TABLE, Action
from serving.access.relations import Relation
from serving.store.api_keys import PREFIX
from tests.serving.access.app import (
    ADA,
    BO,
    KEY,
    PER_MIN,
    STRANGERS_PER_MIN,
    served,
    small_app,
)

INVALID = 'Bearer realm="hybridtwin", error="invalid_token"'


@pytest.fixture
def client(issuer, clock):
    with served(small_app(issuer, clock)) as found:
        yield found


@pytest.fixture
def ask(client):
    def ask(path, token=None, **headers):
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return client.get(path, headers=headers)

    return ask


def _problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert (found["status"], found["code"]) == (status, code)
    assert all(found["problems"][0].values())
    return found


def test_tokens_and_keys_come_in(ask, issuer):
    assert ask("/me", issuer.token("RS256")).json() == f"{issuer.url}#ada"
    assert ask("/me", Authorization=f"bearer  {issuer.token('RS256')}").status_code == 200
    assert ask("/me", KEY).json() == "key:robot"


def test_who_brings_nothing_is_told_what_to_bring(ask):
    response = ask("/me")
    _problem(response, 401, "not-authenticated")
    assert response.headers["www-authenticate"] == 'Bearer realm="hybridtwin"'


def test_every_bad_credential_gets_one_answer(ask, issuer, forger):
    good = issuer.token("ES256")
    bad = [
        f"Bearer {token}"
        for token in (
            forger.token("ES256"),
            forger.token("ES256", iss=issuer.url),
            issuer.token("ES256", exp=int(time.time()) - 3600),
            issuer.token("ES256", aud="other"),
            good[:-4] + "AAAA",
            PREFIX,
            KEY + "x",
            KEY.upper(),
            "x",
            f"{good} {good}",
            f"{good},{good}",
        )
    ]
    bad += [f"Basic {good}", f"DPoP {good}", good, "Bearer", "\xff", f"Bearer\t{good}"]
    answers = [ask("/me", Authorization=value.encode("latin-1")) for value in bad]
    for answer in answers:
        _problem(answer, 401, "not-authenticated")
    assert {answer.content for answer in answers} == {ask("/me").content}
    assert {answer.headers["www-authenticate"] for answer in answers} == {INVALID}


def test_two_credentials_are_none(client, issuer):
    headers = [("Authorization", f"Bearer {issuer.token('ES256')}")] * 2
    _problem(client.get("/me", headers=headers), 401, "not-authenticated")


def test_a_token_elsewhere_than_in_the_header_is_none(ask, issuer):
    token = issuer.token("ES256")
    _problem(ask(f"/me?access_token={token}"), 401, "not-authenticated")
    _problem(ask("/me", Cookie=f"Authorization=Bearer {token}"), 401, "not-authenticated")


def test_an_issuer_that_is_away_is_no_reason_to_let_in_nor_to_refuse(own_issuer, clock):
    headers = {"Authorization": f"Bearer {own_issuer.token('first')}"}
    own_issuer.stop()
    with served(small_app(own_issuer, clock)) as client:
        response = client.get("/me", headers=headers)
        _problem(response, 503, "not-ready")
        own_issuer.start()
        clock.now_s += int(response.headers["retry-after"])
        assert client.get("/me", headers=headers).status_code == 200


def test_a_silent_issuer_does_not_silence_the_service(own_issuer, clock):
    own_issuer.answering.clear()
    headers = {"Authorization": f"Bearer {own_issuer.token('first')}"}
    with served(small_app(own_issuer, clock)) as client, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.get, "/me", headers=headers)
        while not own_issuer.asked:
            time.sleep(0.01)
        assert client.get("/me").status_code == 401
        assert client.get("/me", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
        assert not waiting.done()
        own_issuer.answering.set()
        assert waiting.result().status_code == 200


def test_who_asks_too_often_waits(ask, issuer, clock):
    ada, bo = (issuer.token("EdDSA", sub=name) for name in ("ada", "bo"))
    answers = [ask("/me", ada) for _ in range(PER_MIN + 1)]
    assert [answer.status_code for answer in answers] == [200] * PER_MIN + [429]
    _problem(answers[-1], 429, "too-many-requests")
    assert int(answers[-1].headers["retry-after"]) == WINDOW_S
    assert ask("/me", bo).status_code == 200
    assert {ask("/me", "x").status_code for _ in range(STRANGERS_PER_MIN)} == {401}
    _problem(ask("/me"), 429, "too-many-requests")
    assert ask("/me", bo).status_code == 200  # strangers of one's network are no hindrance
    clock.now_s += WINDOW_S
    assert ask("/me", ada).status_code == 200


WHO = {
    "ada": {"sub": "ada", "roles": ["patient"], "patient": ADA},
    "ada, without the role": {"sub": "ada", "roles": [], "patient": ADA},
    "carl": {"sub": "carl", "roles": ["caregiver"], "patient": None},
    "an app that is nobody's": {"sub": "app", "roles": ["app"], "patient": None},
    "north": {"sub": "dana", "roles": ["clinician"], "clinics": ["north"], "patient": None},
    "engineer": {"sub": "eve", "roles": ["engineer"], "clinics": ["north"], "patient": None},
    "admin": {"sub": "finn", "roles": ["admin"], "clinics": ["north"], "patient": None},
}
TIED = {
    "ada": Relation.OWN,
    "ada, without the role": Relation.OWN,
    "carl": Relation.READ,
    "north": Relation.CLINIC,
    "engineer": Relation.CLINIC,
    "admin": Relation.CLINIC,
}
COLUMNS = ["patient", "caregiver", "app", "clinician", "engineer", "admin"]


def _needed(action, who):
    """What the caller's one role needs, read from the table by its heading."""
    roles = WHO[who]["roles"]
    return TABLE[action][COLUMNS.index(roles[0])] if roles else None


@pytest.mark.parametrize("who", WHO)
def test_every_action_is_as_the_table_says(who, ask, issuer):
    token = issuer.token("EdDSA", **WHO[who])
    for action in Action:
        needed = _needed(action, who)
        tied = needed in (Relation.NONE, TIED.get(who, "nothing"))
        for patient, allowed in (
            (ADA, tied),
            (BO, needed is Relation.NONE),
            ("nobody", needed is Relation.NONE),
        ):
            response = ask(f"/patients/{patient}/{action}", token)
            status = 403 if patient == ADA and who in TIED else 404
            assert response.status_code == (200 if allowed else status), (action, patient)
        of_clinic = needed is Relation.CLINIC and "north" in WHO[who].get("clinics", [])
        for path, allowed in (
            (f"/clinics/north/{action}", needed is Relation.NONE or of_clinic),
            (f"/clinics/south/{action}", needed is Relation.NONE),
            (f"/{action}", needed is Relation.NONE),
        ):
            assert ask(path, token).status_code == (200 if allowed else 403), path


def test_forbidden_and_unknown_patients_answer_alike(ask, issuer):
    token = issuer.token("EdDSA", **WHO["carl"])
    forbidden, unknown = (ask(f"/patients/{who}/belief.read", token) for who in (BO, "xy-s-id"))
    _problem(forbidden, 404, "not-found")
    assert forbidden.text.replace(BO, "xy-s-id") == unknown.text
    assert list(forbidden.headers) == list(unknown.headers)


def test_what_is_refused_for_lack_of_scope_says_so(ask, issuer):
    response = ask(f"/patients/{ADA}/observations.write", issuer.token("EdDSA", **WHO["carl"]))
    _problem(response, 403, "not-allowed")
    assert response.headers["www-authenticate"].endswith('error="insufficient_scope"')


def test_the_description_names_the_credentials(ask):
    found = ask("/openapi.json").json()
    assert found["paths"]["/me"]["get"]["security"] == [{"bearer": []}]
    assert found["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_without_settings_nobody_comes_in(issuer):
    app = small_app(issuer, time.monotonic)
    del app.state.access
    headers = {"Authorization": f"Bearer {issuer.token('EdDSA')}"}
    with served(app) as client:
        assert client.get("/me", headers=headers).status_code == 500


def test_no_credential_and_no_claim_is_told_or_logged(own_issuer, forger, clock, caplog, capfd):
    """Canaries in every claim, through every answer of the door and a route that breaks."""
    caplog.set_level(logging.DEBUG)
    app = small_app(own_issuer, clock)
    claims = {
        "sub": "canary-subject",
        "roles": ["canary-role", "caregiver"],
        "patient": "canary-patient",
        "clinics": ["canary-clinic"],
        "note": "canary-note",
    }
    key = PREFIX + "canary" + "k" * 36
    tokens = [
        own_issuer.token("first", **claims),
        own_issuer.token("first", **claims | {"aud": "canary-audience"}),
        own_issuer.token("first", **claims | {"patient": {"canary": 1}}),
        own_issuer.token("first", {"typ": "canary-type"}, **claims),
        own_issuer.token("first", {"kid": "canary-kid"}, **claims),
        forger.token("ES256", **claims),
        forger.token("ES256", **claims | {"iss": "https://canary.example"}),
        key,
    ]
    paths = ["/broken", f"/patients/{BO}/belief.read", "/audit.read"]
    statuses, told = set(), ""
    with served(app) as client:
        for present in (True, False):
            if not present:
                own_issuer.stop()
                app.state.access = small_app(own_issuer, clock).state.access
            for token, path in product(tokens, paths):
                response = client.get(path, headers={"Authorization": f"Bearer {token}"})
                statuses.add(response.status_code)
                told += response.text + str(response.headers)
    own_issuer.start()
    assert statuses == {401, 403, 404, 500, 503}
    assert caplog.records
    out = capfd.readouterr()
    seen = (told + caplog.text + out.out + out.err).lower()
    assert "token refused: invalidaudienceerror" in seen
    assert "canary" not in seen
    for token in tokens:
        assert not [part for part in token.lower().split(".") if part in seen]
