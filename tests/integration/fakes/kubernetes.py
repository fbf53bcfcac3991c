"""A strict fake of the Kubernetes API's TokenReview, on loopback.

Stricter than the real one: it verifies signature, issuer, expiry and audience of the
reviewed token, wants the reviewer's own token in the header and refuses what a client
of the real API would never send. OpenBao's kubernetes login is driven against it.
"""

from __future__ import annotations

import hmac
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from identity import Authority, BadToken, Issuer

REVIEW_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
BODY_MAX = 64 * 1024


class KubernetesApi:
    """start() it; each review is counted in `reviews` as "ok" or the reason."""

    def __init__(self, issuer: Issuer, reviewer_token: str, authority: Authority,
                 audiences: tuple[str, ...] = ("https://kubernetes.default.svc",)) -> None:
        self.issuer = issuer
        self.reviewer_token = reviewer_token
        self.audiences = audiences
        self.reviews: list[str] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or -1)
                body = self.rfile.read(length) if 0 <= length <= BODY_MAX else b""
                status, answer = api.answer(self.path, dict(self.headers.items()), body)
                self._send(status, answer)

            def do_GET(self) -> None:
                self._send(*_status(404, "the server could not find the requested resource"))

            def _send(self, status: int, answer: dict[str, Any]) -> None:
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("kubernetes"))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> "KubernetesApi":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, headers: dict[str, str],
               body: bytes) -> tuple[int, dict[str, Any]]:
        header = {name.lower(): value for name, value in headers.items()}
        if path != REVIEW_PATH:
            return _status(404, "the server could not find the requested resource")
        given = header.get("authorization", "")
        if not hmac.compare_digest(given, f"Bearer {self.reviewer_token}"):
            return _status(401, "Unauthorized")
        if header.get("content-type", "").split(";")[0].strip() != "application/json":
            return _status(415, "the body of the request was in an unknown format")
        kind = ("authentication.k8s.io/v1", "TokenReview")
        try:
            review = json.loads(body)
            spec = review["spec"]
            # Type fields that are absent follow from the path, as in the real server.
            fits = (review.get("apiVersion", kind[0]), review.get("kind", kind[1])) == kind
        except (ValueError, KeyError, TypeError, AttributeError):
            fits = False
        if not fits or not isinstance(spec, dict) or not isinstance(spec.get("token"), str):
            return _status(400, "the object provided is not a TokenReview")
        audiences = spec.get("audiences") or []
        return 201, {"apiVersion": kind[0], "kind": kind[1], "metadata": {},
                     "spec": {"audiences": audiences},
                     "status": self._review(spec["token"], audiences)}

    def _review(self, token: str, audiences: list[str]) -> dict[str, Any]:
        wanted = audiences or list(self.audiences)
        try:
            claims = self.issuer.verify(token, wanted)
            account = claims["kubernetes.io"]["serviceaccount"]
            namespace = claims["kubernetes.io"]["namespace"]
            if claims["sub"] != f"system:serviceaccount:{namespace}:{account['name']}":
                raise BadToken("subject is not the service account")
        except BadToken as reason:
            self.reviews.append(str(reason))
            return {"authenticated": False, "error": f"invalid bearer token: {reason}"}
        except (KeyError, TypeError):
            self.reviews.append("no kubernetes.io claims")
            return {"authenticated": False, "error": "invalid bearer token"}
        self.reviews.append("ok")
        given = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        return {"authenticated": True, "audiences": [a for a in given if a in wanted],
                "user": {"username": claims["sub"], "uid": account["uid"],
                         "groups": ["system:serviceaccounts",
                                    f"system:serviceaccounts:{namespace}",
                                    "system:authenticated"]}}


def _status(code: int, message: str) -> tuple[int, dict[str, Any]]:
    return code, {"apiVersion": "v1", "kind": "Status", "status": "Failure",
                  "message": message, "code": code}
