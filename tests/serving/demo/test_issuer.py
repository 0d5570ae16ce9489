"""The demonstration's issuer: for this machine and one service on it, and for nobody else."""

import socket
from urllib.parse import parse_qsl, urlsplit

import httpx
import psutil
import pytest

from serving.access.oidc import Attempt, Client
from serving.access.tokens import Refused
from serving.demo.issuer import CLIENT_ID, NAME, issuer_app, issuing
from tests.serving.server import free_port

SERVICE = "http://localhost:3000"


@pytest.fixture(scope="module")
def issuer():
    with issuing(free_port(), SERVICE, "demo") as found:
        yield found


def _client(issuer, **changed):
    said = {"issuer": issuer, "client_id": CLIENT_ID, "back": f"{SERVICE}/signed-in"}
    return Client(**said | changed)


def _press(page):
    """What comes back to the service after the one button."""
    answer = httpx.post(page)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{SERVICE}/signed-in?")
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def test_one_button_makes_a_clinician_of_the_demonstration(issuer):
    client, attempt = _client(issuer), Attempt(target="/")
    page = client.page(attempt)
    assert NAME in httpx.get(page).text
    back = _press(page)
    assert back["state"] == attempt.state
    who = client.identify(attempt, back["code"], back["iss"])
    assert (who.name, who.roles, who.clinics) == (NAME, {"clinician"}, {"demo"})
    with pytest.raises(Refused):
        client.identify(attempt, back["code"], back["iss"])  # once only


def test_a_code_is_of_no_use_to_whoever_did_not_begin(issuer):
    client, attempt = _client(issuer), Attempt(target="/")
    back = _press(client.page(attempt))
    thief = attempt.model_copy(update={"verifier": Attempt(target="/").verifier})
    with pytest.raises(Refused):
        client.identify(thief, back["code"], back["iss"])


@pytest.mark.parametrize(
    "changed",
    [
        {"back": "https://twin.example/signed-in"},
        {"back": "http://192.168.1.7:3000/signed-in"},
        {"back": f"{SERVICE}/elsewhere"},
        {"client_id": "hybridtwin"},
    ],
)
def test_nobody_is_sent_anywhere_else(issuer, changed):
    page = _client(issuer, **changed).page(Attempt(target="/"))
    assert httpx.get(page).status_code == 400
    assert httpx.post(page).status_code == 400


@pytest.mark.parametrize("service", ["https://twin.example", "http://192.168.1.7:3000"])
def test_it_serves_no_service_on_another_machine(service):
    with pytest.raises(ValueError, match="this machine"):
        issuer_app("http://127.0.0.1:3001", service, "demo")


def test_other_names_do_not_lead_to_it(issuer):
    rebound = httpx.get(f"{issuer.issuer}/keys", headers={"Host": "evil.example"})
    assert rebound.status_code == 400


def test_it_cannot_be_reached_from_other_machines(issuer):
    port = urlsplit(issuer.issuer).port
    here = [one for one in psutil.Process().net_connections() if one.status == "LISTEN"]
    assert {one.laddr.ip for one in here if one.laddr.port == port} == {"127.0.0.1"}
    addresses = {
        each.address
        for found in psutil.net_if_addrs().values()
        for each in found
        if each.family == socket.AF_INET and not each.address.startswith("127.")
    }
    for address in addresses:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, port), timeout=2)
