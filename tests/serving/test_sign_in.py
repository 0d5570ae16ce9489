"""The pages around the sign-in, behind TLS and at issuers of several kinds."""

import base64
import os
from contextlib import closing, contextmanager
from datetime import timedelta

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from serving.access.issuers import Issuer
from serving.app import create_app
from serving.settings import Settings
from serving.store.database import open_database
from serving.store.tables import SessionRow
from serving.v1.access import access_to
from serving.v1.store import open_store
from tests.serving.access.app import served
from tests.serving.access.issuer import AUDIENCE
from tests.serving.access.provider import CLIENT_ID, CLIENT_SECRET, Provider

URL = "https://twin.example"
COOKIE = "__Host-hybridtwin"
PAGE = {"Accept": "text/html"}


@pytest.fixture
def provider():
    found = Provider()
    found.add("main")
    yield found
    found.stop()


@pytest.fixture
def site(provider, tmp_path):
    """A service as browsers reach it behind TLS; its cookies are to be carried by hand."""

    @contextmanager
    def site(client_id=CLIENT_ID, **more):
        issuer = Issuer(issuer=provider.url, audience=AUDIENCE, client_id=client_id)
        stated = {
            "database": SecretStr(f"sqlite:///{tmp_path / 'store.db'}"),
            "master_key": SecretStr(base64.b64encode(os.urandom(32)).decode()),
            "issuers": (issuer,),
            "public_url": URL,
            "client_secret": SecretStr(CLIENT_SECRET),
        }
        settings = Settings(**stated | more)
        store = open_store(settings)
        app = create_app(stored=True)
        app.state.store, app.state.settings, app.state.review = store, settings, None
        app.state.access = access_to(store, settings)
        with served(app) as client:
            client.headers.update(PAGE)
            yield client
        store.database.close()

    return site


def _cookie(answer, name):
    """A cookie as a browser would send it, and its flags."""
    (found,) = [one for one in answer.headers.get_list("set-cookie") if one.startswith(f"{name}")]
    pair, *flags = found.split("; ")
    return {"Cookie": pair}, {flag.lower() for flag in flags}


def _enter(client):
    """The answer after the issuer was visited."""
    begun = client.get("/sign-in")
    cookie, flags = _cookie(begun, f"{COOKIE}-")
    assert {"secure", "httponly", "samesite=lax", "path=/", "max-age=600"} <= flags
    back = httpx.post(begun.headers["location"], data={"login": "dr-lee"}).headers["location"]
    assert back.startswith(f"{URL}/signed-in?")
    return client.get(back.removeprefix(URL), headers=cookie)


def test_behind_tls_cookies_go_nowhere_else(site):
    with site() as client:
        asked = client.get("/v1/patients?limit=3")
        assert asked.headers["location"].startswith(f"{URL}/sign-in?next=%2Fv1%2Fpatients")
        cookie, flags = _cookie(_enter(client), f"{COOKIE}=")
        assert flags == {"secure", "httponly", "samesite=lax", "path=/"}
        assert client.get("/v1/patients", headers=cookie).status_code == 200
        for origin, status in ((URL, 201), ("http://twin.example", 401), (f"{URL}:8443", 401)):
            headers = cookie | {"Origin": origin}
            made = client.post("/v1/patients", json={"clinic": "north"}, headers=headers)
            assert made.status_code == status
        out = client.post("/sign-out", headers=cookie | {"Origin": URL})
        gone, flags = _cookie(out, f"{COOKIE}=")
        assert gone["Cookie"] in (f"{COOKIE}=", f'{COOKIE}=""')
        assert {"max-age=0", "secure", "path=/"} <= flags


@pytest.mark.parametrize("method", ["client_secret_post", "none"])
def test_the_client_proves_itself_as_the_issuer_wants(provider, site, method):
    secret = SecretStr(CLIENT_SECRET)
    if method == "none":
        provider.secret = secret = None
    provider.offers = {"token_endpoint_auth_methods_supported": [method]}
    with site(client_secret=secret) as client:
        assert _enter(client).status_code == 303


def test_the_secret_may_be_in_a_file(site, tmp_path):
    file = tmp_path / "secret"
    file.write_text(f"{CLIENT_SECRET}\n")
    with site(client_secret=None, client_secret_file=file) as client:
        assert _enter(client).status_code == 303


def test_with_a_wrong_secret_nobody_comes_in_and_the_log_says_why(site, caplog):
    with site(client_secret=SecretStr("magpie")) as client:
        answer = _enter(client)
    assert answer.status_code == 403
    assert "invalid_client" in caplog.text
    assert "magpie" not in caplog.text


def test_an_issuer_that_is_away_is_waited_for(provider, site):
    with site() as client:
        provider.stop()
        answer = client.get("/sign-in")
        assert answer.status_code == 503
        assert "does not answer" in answer.text
        assert "set-cookie" not in answer.headers
        provider.start()
        begun = client.get("/sign-in")
        cookie, _ = _cookie(begun, f"{COOKIE}-")
        back = httpx.post(begun.headers["location"], data={"login": "dr-lee"}).headers["location"]
        provider.stop()
        assert client.get(back.removeprefix(URL), headers=cookie).status_code == 503
        provider.start()


@pytest.mark.parametrize("unsafe", ["http://login.example/authorize", "javascript:alert(1)"])
def test_nobody_is_sent_where_others_can_listen(provider, site, unsafe):
    provider.offers = {"authorization_endpoint": unsafe}
    with site() as client:
        assert client.get("/sign-in").status_code == 503


def test_without_sign_out_at_the_issuer_it_ends_here(provider, site):
    provider.offers = {"end_session_endpoint": None}
    with site() as client:
        cookie, _ = _cookie(_enter(client), f"{COOKIE}=")
        out = client.post("/sign-out", headers=cookie | {"Origin": URL})
        assert (out.status_code, "http-equiv" in out.text) == (200, False)
        assert client.get("/v1/patients", headers=cookie).status_code == 303


def test_a_page_that_asks_by_itself_keeps_nobody_signed_in(site, tmp_path):
    def used(session, back=timedelta()):
        row = session.scalars(select(SessionRow)).one()
        row.used -= back
        return row.used

    with site() as client, closing(open_database(f"sqlite:///{tmp_path / 'store.db'}")) as database:
        cookie, _ = _cookie(_enter(client), f"{COOKIE}=")
        with database.session() as session:
            before = used(session, timedelta(minutes=20))
        alone = cookie | {"Hybridtwin-Unattended": "1"}
        assert client.get("/", headers=alone).status_code == 200
        with database.session() as session:
            assert used(session) == before
        assert client.get("/", headers=cookie).status_code == 200
        with database.session() as session:
            assert used(session) > before + timedelta(minutes=19)


def test_strangers_who_sign_in_too_often_wait(site):
    with site(strangers_per_min=3) as client:
        answers = [client.get(path).status_code for path in ("/sign-in", "/signed-in") * 3]
    assert answers == [303, 403, 303, 429, 429, 429]


def test_without_a_client_nobody_signs_in(site):
    with site(client_id=None) as client:
        for path in ("/sign-in", "/signed-in", "/signed-out"):
            assert client.get(path).status_code == 404
        assert client.post("/sign-out").status_code == 404
        assert client.get("/").status_code == 401
