"""Where the demonstration's one clinician signs in: an issuer of OpenID Connect on this machine.

It asks nobody for a password, so nobody else may reach it. It listens on the loopback address,
answers to no other name (by which another site could lead a browser here), and sends people back
to one service on this machine. Its key is made when it starts and is never kept; only the service
that `hybridtwin demo` starts is told to trust it.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from threading import Thread
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import jwt
import uvicorn
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from cachetools import TTLCache
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from jwt.algorithms import ECAlgorithm
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from hybridtwin.errors import TwinError
from serving.access.issuers import Issuer, is_loopback, safe
from serving.page import HEADERS, HERE
from serving.sign_in import SIGNED_OUT
from serving.v1.browsers import CALLBACK

HOST: Final = "127.0.0.1"
CLIENT_ID: Final = "hybridtwin-demo"
NAME: Final = "Dr Demo"
_SUBJECT: Final = "dr-demo"
_KEY: Final = "demo"
_ALGORITHM: Final = "ES256"
_CODE_S: Final = 60
_TOKEN_S: Final = 300
_MOST_CODES: Final = 100
_PAGE: Final = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in – hybridtwin demo</title>
<link rel="icon" href="static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="static/style.css"></head>
<body><main class="message"><h1>A virtual clinic</h1>
<p>Nobody here is real. On this machine alone, signing in takes no password.</p>
<form method="post"><button>Sign in as {NAME}</button></form></main></body></html>"""


def issuer_app(url: str, service: str, clinic: str) -> FastAPI:
    """The issuer.

    Args:
        url: Its own address.
        service: The address, on this machine, of the service that people come from.
        clinic: Of which clinic the clinician is.

    Raises:
        ValueError: The service is on another machine.
    """
    if not is_loopback(safe(service).hostname or ""):
        raise ValueError("the demonstration's issuer signs people in on this machine alone")
    key = ec.generate_private_key(ec.SECP256R1())
    codes: TTLCache[str, dict[str, str]] = TTLCache(_MOST_CODES, _CODE_S)
    app = FastAPI(openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST])
    app.mount("/static", StaticFiles(directory=HERE / "static"))

    @app.get("/.well-known/openid-configuration")
    def metadata() -> dict[str, Any]:
        return {
            "issuer": url,
            "jwks_uri": f"{url}/keys",
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "token_endpoint_auth_methods_supported": ["none"],
            "end_session_endpoint": f"{url}/end",
            "authorization_response_iss_parameter_supported": True,
        }

    @app.get("/keys")
    def keys() -> dict[str, Any]:
        public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return {"keys": [public | {"kid": _KEY, "use": "sig", "alg": _ALGORITHM}]}

    @app.get("/authorize")
    def ask(request: Request) -> HTMLResponse:
        _asked(request)
        # without form-action: Chromium holds it against the page to which the form leads
        policy = HEADERS["Content-Security-Policy"].replace("form-action 'self'; ", "")
        return HTMLResponse(_PAGE, headers=HEADERS | {"Content-Security-Policy": policy})

    @app.post("/authorize")
    def enter(request: Request) -> RedirectResponse:
        asked, code = _asked(request), secrets.token_urlsafe()
        codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"], "iss": url})
        return _to(f"{service}{CALLBACK}?{back}")

    @app.post("/token")
    def token(code: Annotated[str, Form()], code_verifier: Annotated[str, Form()]) -> Any:
        asked = codes.pop(code, None)  # each is good for once
        if asked is None or create_s256_code_challenge(code_verifier) != asked["code_challenge"]:
            raise HTTPException(HTTPStatus.BAD_REQUEST)
        now = int(time.time())
        claims = {
            "iss": url,
            "aud": CLIENT_ID,
            "sub": _SUBJECT,
            "nonce": asked["nonce"],
            "name": NAME,
            "roles": ["clinician"],
            "clinics": [clinic],
            "iat": now,
            "exp": now + _TOKEN_S,
        }
        said = jwt.encode(claims, key, _ALGORITHM, headers={"kid": _KEY})
        return {"id_token": said, "access_token": secrets.token_urlsafe(), "token_type": "Bearer"}

    @app.get("/end")
    def end() -> RedirectResponse:
        return _to(service + SIGNED_OUT)

    def _asked(request: Request) -> dict[str, str]:
        """What a sign-in was begun with, if the service began it."""
        asked = dict(request.query_params)
        good = {"client_id": CLIENT_ID, "redirect_uri": service + CALLBACK}
        good |= {"response_type": "code", "code_challenge_method": "S256"}
        whole = asked.keys() >= {"state", "nonce", "code_challenge"}
        if not whole or any(asked.get(name) != value for name, value in good.items()):
            raise HTTPException(HTTPStatus.BAD_REQUEST)
        return asked

    return app


@contextmanager
def issuing(port: int, service: str, clinic: str) -> Iterator[Issuer]:
    """The issuer while it runs, as the service is told to trust it."""
    url = f"http://{HOST}:{port}"
    config = uvicorn.Config(issuer_app(url, service, clinic), HOST, port, log_level="warning")
    server = uvicorn.Server(config)
    running = Thread(target=server.run, daemon=True)
    running.start()
    try:
        while not server.started and running.is_alive():
            time.sleep(0.01)
        if not server.started:
            raise TwinError.of(url, "cannot be listened on", "Choose another --port.")
        yield Issuer(issuer=url, audience=CLIENT_ID, client_id=CLIENT_ID)
    finally:
        server.should_exit = True
        running.join()


def _to(address: str) -> RedirectResponse:
    return RedirectResponse(address, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
