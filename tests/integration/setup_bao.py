"""What a team would have set up in its OpenBao: database engine, policies, logins."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from openbao import OpenBao
from postgres import DATABASE, Postgres

AUDIENCE = "vault"

CREATION = """
CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';
GRANT CONNECT ON DATABASE app TO "{{name}}";
GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";
"""
# Open sessions outlive a dropped role, half dead: end them.
REVOCATION = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}';
REASSIGN OWNED BY "{{name}}" TO postgres;
DROP OWNED BY "{{name}}";
DROP ROLE IF EXISTS "{{name}}";
"""
REVOCATION_KEEPS_SESSIONS = REVOCATION.replace(REVOCATION.strip().splitlines()[0], "")
RENEWAL = """ALTER ROLE "{{name}}" VALID UNTIL '{{expiration}}';"""


def database_engine(bao: OpenBao, postgres: Postgres) -> None:
    """The engine at database/ with the connection "pg"."""
    bao.must("POST", "sys/mounts/database", {"type": "database"})
    bao.must("POST", "database/config/pg", {
        "plugin_name": "postgresql-database-plugin", "allowed_roles": "*",
        "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:"
                          f"{postgres.port}/{DATABASE}?sslmode=disable",
        "username": postgres.admin, "password": postgres.admin_password,
        "password_authentication": "scram-sha-256", "max_open_connections": 10})


def database_role(bao: OpenBao, name: str, ttl_s: int = 20, max_ttl_s: int = 60,
                  **more: Any) -> None:
    """A dynamic role. Keep the name to 8 characters: user names hold no more of it."""
    bao.must("POST", f"database/roles/{name}", {
        "db_name": "pg", "default_ttl": f"{ttl_s}s", "max_ttl": f"{max_ttl_s}s",
        "creation_statements": CREATION, "revocation_statements": REVOCATION,
        "renew_statements": RENEWAL, **more})


def policies(bao: OpenBao) -> None:
    """"app" reads credentials and secrets; "app-revoke" may revoke leases by hand too
    (the default policy does not allow that)."""
    read = ('path "database/creds/*" { capabilities = ["read"] }\n'
            'path "kv/*" { capabilities = ["read", "list"] }\n')
    revoke = 'path "sys/leases/revoke" { capabilities = ["update"] }\n'
    bao.must("PUT", "sys/policies/acl/app", {"policy": read})
    bao.must("PUT", "sys/policies/acl/app-revoke", {"policy": read + revoke})
    bao.must("PUT", "sys/policies/acl/nothing",
             {"policy": 'path "nothing" { capabilities = ["read"] }'})


def kv_engine(bao: OpenBao) -> None:
    bao.must("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})


def token(bao: OpenBao, policy: str = "app", ttl_s: int = 3600, **more: Any) -> str:
    """An orphan token, as an operator would hand out. more: period, type, renewable,
    explicit_max_ttl, num_uses."""
    made = bao.must("POST", "auth/token/create-orphan",
                    {"policies": [policy], "ttl": f"{ttl_s}s", **more})
    return made.auth["client_token"]


@dataclass
class AppRole:
    role: str
    role_id: str


def approle(bao: OpenBao, role: str = "app", policy: str = "app", ttl_s: int = 3600,
            **more: Any) -> AppRole:
    if "approle/" not in bao.must("GET", "sys/auth").data:
        bao.must("POST", "sys/auth/approle", {"type": "approle"})
    bao.must("POST", f"auth/approle/role/{role}",
             {"token_policies": policy, "token_ttl": f"{ttl_s}s", **more})
    found = bao.must("GET", f"auth/approle/role/{role}/role-id")
    return AppRole(role, found.data["role_id"])


def secret_id(bao: OpenBao, role: str = "app") -> str:
    made = bao.must("POST", f"auth/approle/role/{role}/secret-id", {})
    return made.data["secret_id"]


def wrapped_secret_id(bao: OpenBao, role: str = "app", ttl_s: int = 120) -> str:
    """The wrapping token of a new secret ID."""
    made = bao.must("POST", f"auth/approle/role/{role}/secret-id", {},
                    headers={"X-Vault-Wrap-TTL": f"{ttl_s}s"})
    return made.body["wrap_info"]["token"]


def wrapped_elsewhere(bao: OpenBao, ttl_s: int = 120) -> str:
    """A wrapping token that was made at another path: an attacker's."""
    made = bao.must("POST", "sys/wrapping/wrap", {"secret_id": f"CANARY-{secrets.token_hex(8)}"},
                    headers={"X-Vault-Wrap-TTL": f"{ttl_s}s"})
    return made.body["wrap_info"]["token"]


def jwt(bao: OpenBao, public_pem: str, role: str = "app", policy: str = "app",
        ttl_s: int = 3600, subject: str = "app", **more: Any) -> None:
    if "jwt/" not in bao.must("GET", "sys/auth").data:
        bao.must("POST", "sys/auth/jwt", {"type": "jwt"})
        bao.must("POST", "auth/jwt/config", {"jwt_validation_pubkeys": [public_pem]})
    bao.must("POST", f"auth/jwt/role/{role}", {
        "role_type": "jwt", "bound_audiences": [AUDIENCE], "bound_subject": subject,
        "user_claim": "sub", "token_policies": policy, "token_ttl": f"{ttl_s}s", **more})


def kubernetes(bao: OpenBao, api_address: str, api_ca_pem: str, reviewer_token: str,
               role: str = "app", policy: str = "app", ttl_s: int = 3600, namespace: str = "prod",
               account: str = "billing", audience: str = AUDIENCE, **more: Any) -> None:
    if "kubernetes/" not in bao.must("GET", "sys/auth").data:
        bao.must("POST", "sys/auth/kubernetes", {"type": "kubernetes"})
        bao.must("POST", "auth/kubernetes/config", {
            "kubernetes_host": api_address, "kubernetes_ca_cert": api_ca_pem,
            "token_reviewer_jwt": reviewer_token, "disable_local_ca_jwt": True})
    bao.must("POST", f"auth/kubernetes/role/{role}", {
        "bound_service_account_names": account, "bound_service_account_namespaces": namespace,
        "audience": audience, "token_policies": policy, "token_ttl": f"{ttl_s}s", **more})


def userpass(bao: OpenBao, name: str, password: str, policy: str = "app") -> None:
    if "userpass/" not in bao.must("GET", "sys/auth").data:
        bao.must("POST", "sys/auth/userpass", {"type": "userpass"})
    bao.must("POST", f"auth/userpass/users/{name}",
             {"password": password, "token_policies": policy})
