"""Keys, certificates and signed tokens, made anew for each run."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import time
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

ISSUER = "https://kubernetes.default.svc"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class BadToken(Exception):
    """Why a token was refused, for people."""


class Issuer:
    """An issuer of JWTs (RS256), as a cluster's or a CI system's."""

    def __init__(self, url: str = ISSUER) -> None:
        self.url = url
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def public_pem(self) -> str:
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM,
            serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def mint(self, subject: str, audience: str | list[str], ttl_s: float = 600,
             **claims: Any) -> str:
        """A signed token; ttl_s < 0: already expired. claims override, None removes."""
        now = time.time()
        body = {"iss": self.url, "sub": subject, "aud": audience,
                "iat": int(min(now, now + ttl_s - 1)), "nbf": int(min(now, now + ttl_s - 1)),
                "exp": int(now + ttl_s), **claims}
        body = {name: value for name, value in body.items() if value is not None}
        head = {"alg": "RS256", "typ": "JWT", "kid": "test"}
        signed = f"{_b64(json.dumps(head).encode())}.{_b64(json.dumps(body).encode())}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_b64(signature)}"

    def mint_service_account(self, namespace: str, name: str, audience: str,
                             ttl_s: float = 600) -> str:
        """A projected service account token, as the kubelet writes it: the audience is
        a list even if there is one."""
        return self.mint(f"system:serviceaccount:{namespace}:{name}", [audience], ttl_s, **{
            "kubernetes.io": {"namespace": namespace,
                              "serviceaccount": {"name": name, "uid": f"uid-of-{name}"}}})

    def verify(self, token: str, audiences: list[str]) -> dict[str, Any]:
        """The claims of a token that is good now for one of the audiences."""
        parts = token.split(".")
        if len(parts) != 3 or any(c.isspace() for c in token):
            raise BadToken("not a compact JWT")
        try:
            head, claims = (json.loads(_unb64(part)) for part in parts[:2])
            signature = _unb64(parts[2])
        except (ValueError, TypeError) as problem:
            raise BadToken("not a compact JWT") from problem
        if head.get("alg") != "RS256":
            raise BadToken("algorithm is not RS256")
        try:
            self._key.public_key().verify(signature, f"{parts[0]}.{parts[1]}".encode(),
                                          padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as problem:
            raise BadToken("signature does not verify") from problem
        now = time.time()
        if claims.get("iss") != self.url:
            raise BadToken("issuer is not this cluster")
        if not claims.get("nbf", 0) <= now + 1 or not now < claims.get("exp", 0):
            raise BadToken("token is expired or not yet valid")
        given = claims.get("aud", [])
        if not set([given] if isinstance(given, str) else given) & set(audiences):
            raise BadToken("audience does not match")
        return claims


class Authority:
    """A certificate authority for loopback servers."""

    def __init__(self, directory: Path, name: str = "secretrt test authority") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._build(
            self._name, self._key.public_key(), [],
            x509.BasicConstraints(ca=True, path_length=0))
        self.ca_file = directory / f"ca-{id(self):x}.pem"
        self.ca_file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def _build(self, subject: x509.Name, key: ec.EllipticCurvePublicKey,
               alternatives: list[x509.GeneralName],
               constraints: x509.BasicConstraints) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self._name)
                   .public_key(key).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(hours=1))
                   .not_valid_after(now + datetime.timedelta(days=2))
                   .add_extension(constraints, critical=True))
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), False)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, file_stem: str, host: str = "localhost",
              address: str | None = "127.0.0.1") -> tuple[Path, Path]:
        """Files of a server certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(host)]
        if address:
            names.append(x509.IPAddress(ipaddress.ip_address(address)))
        certificate = self._build(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), key.public_key(),
            names, x509.BasicConstraints(ca=False, path_length=None))
        cert_file = self._directory / f"{file_stem}.pem"
        key_file = self._directory / f"{file_stem}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.touch(0o600)
        key_file.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        return cert_file, key_file
