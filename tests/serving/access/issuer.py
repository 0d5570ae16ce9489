"""A real issuer of tokens: an HTTP server that publishes real keys, and signs with them."""

import json
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

AUDIENCE = "https://twin.example/api"
MAKERS: dict[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "PS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def published(private: Any, algorithm: str, **more: Any) -> dict[str, Any]:
    """The public half as a JWK."""
    return get_default_algorithms()[algorithm].to_jwk(private.public_key(), as_dict=True) | more


def send(
    request: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str]
) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


class RealIssuer:
    def __init__(self) -> None:
        self.keys: dict[str, tuple[str, Any]] = {}
        self.asked: list[str] = []
        self.answering = Event()
        self.answering.set()
        self.answers: dict[str, tuple[int, bytes]] = {}
        self._port = 0
        self.start()

    def start(self) -> None:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                issuer.answering.wait(20)
                issuer.serve(self)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        self.url = f"http://127.0.0.1:{self._port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        status, body = self.answers.get(request.path) or self.answer(request.path)
        headers = {"Location": self.url + "/keys"} if status == 302 else {}
        send(request, status, body, headers)

    def metadata(self) -> dict[str, Any]:
        return {"issuer": self.url, "jwks_uri": self.url + "/keys"}

    def answer(self, path: str) -> tuple[int, bytes]:
        documents = {
            "/.well-known/openid-configuration": self.metadata(),
            "/keys": {
                "keys": [
                    published(key, algorithm, kid=kid, use="sig", alg=algorithm)
                    for kid, (algorithm, key) in self.keys.items()
                ]
            },
        }
        if path not in documents:
            return 404, b""
        return 200, json.dumps(documents[path]).encode()

    def add(self, kid: str, algorithm: str = "ES256") -> None:
        self.keys[kid] = algorithm, MAKERS[algorithm]()

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a good token; a change to None leaves the claim away."""
        now = int(time.time())
        found = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ada",
            "iat": now,
            "exp": now + 300,
            "roles": ["patient"],
            "patient": "6c1f",
        } | changes
        return {name: value for name, value in found.items() if value is not None}

    def token(self, kid: str, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        algorithm, key = self.keys[kid]
        more = {"kid": kid} | (headers or {})
        payload = json.dumps(self.claims(**changes)).encode()
        return jwt.PyJWS().encode(payload, key, algorithm, headers=more)
