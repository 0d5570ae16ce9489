"""Settings go through the environment and come out the same, and keep their secrets."""

import json

import pytest
from pydantic import SecretStr

from hybridtwin.errors import ModelError, TwinError
from serving.access.issuers import Issuer
from serving.settings import PREFIX, Settings, from_environment
from serving.v1.store import open_store

KEY = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWNhbmE="
FULL = Settings(
    model="models:/a@b",
    clinic="clinic",
    now="2026-01-31T21:30:00+01:00",
    database=SecretStr("postgresql://ann:cuckoo@db.example/twin"),
    master_key=SecretStr(KEY),
    master_key_file="key",
    issuers=(
        Issuer(issuer="https://login.example", audience="twin", roles_claim="groups"),
        Issuer(issuer="https://staff.example", audience="twin", client_id="pages"),
    ),
    client_secret=SecretStr("magpie"),
    public_url="https://twin.example",
    requests_per_min=7,
)


def _issuer(name):
    return {"issuer": f"https://{name}.example", "audience": "a", "client_id": "pages"}


@pytest.fixture
def _set(monkeypatch):
    for name, value in FULL.as_environment().items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_set")
def test_they_go_through_the_environment_whole():
    assert from_environment() == FULL


def test_secrets_are_not_shown():
    shown = f"{FULL!r} {FULL} {FULL.model_dump()} {FULL.model_dump_json()}"
    assert "cuckoo" not in shown
    assert "magpie" not in shown
    assert KEY not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISSUERS", "cuckoo"),
        ("ISSUERS", '{"cuckoo": 1}'),
        ("ISSUERS", json.dumps([{"issuer": "http://elsewhere.example", "audience": "a"}])),
        ("ISSUERS", json.dumps([{"issuer": "https://a.example", "audience": "a", "scopes": "e"}])),
        ("ISSUERS", json.dumps([_issuer("a"), _issuer("b")])),
        ("PUBLIC_URL", "http://twin.example"),
        ("PUBLIC_URL", "https://twin.example/clinic"),
        ("PUBLIC_URL", "https://ann@twin.example"),
        ("PUBLIC_URL", "twin.example"),
        ("SESSION_IDLE_MIN", "0"),
        ("REQUESTS_PER_MIN", "0"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(monkeypatch, name, value):
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ModelError, match=PREFIX + name) as refused:
        from_environment()
    assert "cuckoo" not in str(refused.value)


def test_who_signs_people_in_says_where(monkeypatch):
    monkeypatch.setenv(f"{PREFIX}ISSUERS", json.dumps([_issuer("a")]))
    with pytest.raises(ModelError, match=f"{PREFIX}PUBLIC_URL"):
        from_environment()
    for stated in ("https://Twin.example:443/", "https://twin.example"):
        monkeypatch.setenv(f"{PREFIX}PUBLIC_URL", stated)
        assert from_environment().public_url == "https://twin.example"


def _store(tmp_path, **more):
    database = SecretStr(f"sqlite:///{tmp_path / 'store.db'}")
    return Settings(database=database, **{"master_key": SecretStr(KEY)} | more)


def test_a_store_that_nobody_could_enter_is_not_opened(tmp_path):
    with pytest.raises(ModelError, match="who could come in"):
        open_store(_store(tmp_path))


def test_a_store_without_its_master_key_is_not_opened(tmp_path):
    issuers = FULL.issuers[:1]
    open_store(_store(tmp_path, issuers=issuers)).database.close()
    with pytest.raises(TwinError, match="HYBRIDTWIN_MASTER_KEY"):
        open_store(_store(tmp_path, issuers=issuers, master_key=None))
