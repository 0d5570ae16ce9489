"""A real issuer where people sign in: authorization code flow with PKCE, and sign-out."""

import base64
import hashlib
import html
import json
import secrets
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.serving.access.issuer import RealIssuer, send

CLIENT_ID, CLIENT_SECRET = "twin-pages", "a secret of the client"
PEOPLE: dict[str, dict[str, Any]] = {
    "dr-lee": {"name": "Dr Mia Lee", "roles": ["clinician"], "clinics": ["north"]},
    "dr-roe": {"name": "Dr Jo Roe", "roles": ["clinician"], "clinics": ["south"]},
    "ada": {"name": "Ada Eng", "roles": ["engineer"]},
    "visitor": {"name": "Vi Sitor", "roles": []},
}
_FORM = """<!doctype html><html lang="en"><title>Sign in</title>
<form method="post" action="{action}">{buttons}</form>"""


class Provider(RealIssuer):
    """Signs people in who say who they are, and remembers them by a cookie of its own.

    Attributes:
        twist: What the next ID tokens say otherwise; None leaves a claim away.
        signed_by: Which key signs them.
        offers: What the metadata say otherwise; None leaves it away.
        secret: By which the client has to prove itself, if at all.
        secrets: Everything that must not be found in a log.
    """

    def __init__(self) -> None:
        self.twist: dict[str, Any] = {}
        self.signed_by: RealIssuer = self
        self.offers: dict[str, Any] = {}
        self.secret: str | None = CLIENT_SECRET
        self.codes: dict[str, dict[str, str]] = {}
        self.secrets: list[str] = []
        super().__init__()

    def metadata(self) -> dict[str, Any]:
        found = super().metadata() | {
            "authorization_endpoint": self.url + "/authorize",
            "token_endpoint": self.url + "/token",
            "end_session_endpoint": self.url + "/end",
            "authorization_response_iss_parameter_supported": True,
        }
        return {name: value for name, value in (found | self.offers).items() if value}

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        visit = {"/authorize": self._authorize, "/token": self._token, "/end": self._end}
        found = visit.get(urlsplit(request.path).path)
        if found is None:
            super().serve(request)
        else:
            found(request)

    def _authorize(self, request: BaseHTTPRequestHandler) -> None:
        asked = dict(parse_qsl(urlsplit(request.path).query))
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
        cookie = SimpleCookie(request.headers.get("Cookie", "")).get("at_issuer")
        login = dict(_form(request)).get("login") or (cookie.value if cookie else "")
        if login not in PEOPLE:
            buttons = "".join(
                f'<button name="login" value="{name}">{name}</button>' for name in PEOPLE
            )
            page = _FORM.format(action=html.escape(request.path), buttons=buttons)
            send(request, 200, page.encode(), {"Content-Type": "text/html"})
            return
        code = secrets.token_urlsafe(16)
        self.secrets.append(code)
        self.codes[code] = asked | {"login": login}
        back = urlencode({"code": code, "state": asked["state"], "iss": self.url})
        headers = {
            "Location": f"{asked['redirect_uri']}?{back}",
            "Set-Cookie": f"at_issuer={login}; Path=/; HttpOnly; SameSite=Lax",
        }
        send(request, 303, b"", headers)

    def _token(self, request: BaseHTTPRequestHandler) -> None:
        said = dict(_form(request))
        if not self._is_client(request, said):
            send(request, 401, b'{"error": "invalid_client"}', {"Content-Type": "application/json"})
            return
        asked = self.codes.pop(said["code"], None)  # each is good for once
        digest = hashlib.sha256(said["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            asked is None
            or said["grant_type"] != "authorization_code"
            or asked["code_challenge"] != challenge
            or asked["redirect_uri"] != said["redirect_uri"]
        ):
            send(request, 400, b'{"error": "invalid_grant"}', {"Content-Type": "application/json"})
            return
        claims = {"aud": CLIENT_ID, "sub": asked["login"], "nonce": asked["nonce"], "patient": None}
        claims |= {"iss": self.url} | PEOPLE[asked["login"]] | self.twist
        token = self.signed_by.token("main", **claims)
        self.secrets.append(token)
        answer = {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer"}
        body = json.dumps(answer | {"id_token": token}).encode()
        send(request, 200, body, {"Content-Type": "application/json"})

    def _is_client(self, request: BaseHTTPRequestHandler, said: dict[str, str]) -> bool:
        basic = base64.b64encode(f"{CLIENT_ID}:{self.secret}".encode()).decode()
        if self.offers.get("token_endpoint_auth_methods_supported") == ["client_secret_post"]:
            return (said["client_id"], said["client_secret"]) == (CLIENT_ID, self.secret)
        if self.secret is None:
            return said["client_id"] == CLIENT_ID and "Authorization" not in request.headers
        return request.headers["Authorization"] == f"Basic {basic}"

    def _end(self, request: BaseHTTPRequestHandler) -> None:
        asked = dict(parse_qsl(urlsplit(request.path).query))
        assert asked["client_id"] == CLIENT_ID
        headers = {
            "Location": asked["post_logout_redirect_uri"],
            "Set-Cookie": "at_issuer=; Path=/; Max-Age=0",
        }
        send(request, 303, b"", headers)


def _form(request: BaseHTTPRequestHandler) -> list[tuple[str, str]]:
    return parse_qsl(request.rfile.read(int(request.headers.get("Content-Length", 0))).decode())
