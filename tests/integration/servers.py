"""A private PostgreSQL and a real OpenBao, set up for an application.

From tests: Rig. From a shell script:

    servers.py start  --dir D [--ttl 20] [--max-ttl 60] [--owner PID] [--tls]
    servers.py roles  --dir D      user names that exist now in PostgreSQL, one a line
    servers.py revoke --dir D      revokes the newest lease, as an operator would, and
                                   prints the user names that went with it
    servers.py count  --dir D RE   requests that OpenBao saw, by a regular expression on
                                   the path
    servers.py stop   --dir D

`start` returns when both answer; a supervisor stays behind and ends both when it is
told to, or when the owner (default: the calling shell) is gone. D gets: `env` to be
sourced by a shell, `config.json` for secretrt_open, `jwt` (the workload's identity).
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import select
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import setup_bao
from fakes.kubernetes import KubernetesApi
from identity import Authority, Issuer
from openbao import OpenBao
from postgres import DATABASE, Postgres
from process import private_dir, remove, wait_until

SERVICE_ACCOUNT = ("prod", "billing")


@dataclass
class Rig:
    """Both servers, an issuer of workload identities and a fake Kubernetes API. Give a
    Postgres to share it; what was given is not ended."""

    storage: str = "dev"
    tls: bool = False
    shared_postgres: Postgres | None = None
    issuer: Issuer = field(default_factory=Issuer)

    def start(self) -> "Rig":
        self.directory = private_dir("rig")
        self.reviewer_token = f"CANARY-reviewer-{secrets.token_hex(8)}"
        self.authority = Authority(self.directory)
        self.postgres = self.shared_postgres or Postgres()
        self.kubernetes_api: KubernetesApi | None = None
        self.bao: OpenBao | None = None
        try:
            self.bao = OpenBao(self.storage, self.authority if self.tls else None)
            if self.shared_postgres is None:
                self.postgres.start()
            self.bao.start()
            setup_bao.database_engine(self.bao, self.postgres)
            setup_bao.kv_engine(self.bao)
            setup_bao.policies(self.bao)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        if self.kubernetes_api:
            self.kubernetes_api.stop()
        if self.bao:
            self.bao.stop()
        if self.shared_postgres is None:
            self.postgres.stop()
        remove(self.directory)

    # Pieces for scenarios

    def role(self, ttl_s: int = 20, max_ttl_s: int = 60, **more: Any) -> str:
        """A new dynamic role with a name of its own, so that its users can be told."""
        name = f"r{secrets.token_hex(3)}"
        setup_bao.database_role(self.bao, name, ttl_s, max_ttl_s, **more)
        return name

    def file(self, text: str, mode: int = 0o600) -> Path:
        """A file with these contents in the rig's own directory."""
        path = self.directory / f"f{secrets.token_hex(4)}"
        path.touch(mode)
        path.write_text(text)
        return path

    def jwt_login(self, role: str = "app", ttl_s: int = 3600, policy: str = "app",
                  token_ttl_s: float = 3600, **more: Any) -> dict[str, str]:
        """The "auth" of a configuration for a jwt login with a role's own token TTL."""
        setup_bao.jwt(self.bao, self.issuer.public_pem(), role, policy, ttl_s, **more)
        token = self.issuer.mint("app", setup_bao.AUDIENCE, token_ttl_s)
        return {"method": "jwt", "role": role, "token_file": str(self.file(token))}

    def token_login(self, policy: str = "app", ttl_s: int = 3600, **more: Any) -> dict[str, str]:
        return {"method": "token",
                "token_file": str(self.file(setup_bao.token(self.bao, policy, ttl_s, **more)))}

    def approle_login(self, role: str = "app", wrapped: bool = False,
                      **more: Any) -> dict[str, Any]:
        made = setup_bao.approle(self.bao, role, **more)
        secret = (setup_bao.wrapped_secret_id(self.bao, role) if wrapped
                  else setup_bao.secret_id(self.bao, role))
        auth: dict[str, Any] = {"method": "approle", "role_id": made.role_id, "role": role,
                                "secret_id_file": str(self.file(secret))}
        if wrapped:
            auth["secret_id_wrapped"] = True
        return auth

    def kubernetes_login(self, role: str = "app", **more: Any) -> dict[str, str]:
        if self.kubernetes_api is None:
            self.kubernetes_api = KubernetesApi(self.issuer, self.reviewer_token,
                                                self.authority).start()
        setup_bao.kubernetes(self.bao, self.kubernetes_api.address,
                             self.authority.ca_file.read_text(), self.reviewer_token, role,
                             namespace=SERVICE_ACCOUNT[0], account=SERVICE_ACCOUNT[1], **more)
        token = self.issuer.mint_service_account(*SERVICE_ACCOUNT, setup_bao.AUDIENCE)
        return {"method": "kubernetes", "role": role, "token_file": str(self.file(token))}

    def config(self, role: str, auth: dict[str, Any], address: str | None = None,
               sources: list[str] | None = None, **top: Any) -> dict[str, Any]:
        """A client's configuration with the secret "db"."""
        store: dict[str, Any] = {"address": address or self.bao.address, "auth": auth}
        if store["address"].startswith("https:"):
            store["ca_file"] = str(self.authority.ca_file)
        return {"vault": store, **top,
                "secrets": {"db": {"sources": sources or [f"vault://database/creds/{role}"],
                                   "fields": ["username", "password"]}}}


# The command line

def _write_private(path: Path, text: str) -> None:
    with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as out:
        out.write(text)


def _environment(rig: Rig) -> dict[str, str]:
    return {"BAO_ADDR": rig.bao.address, "BAO_TOKEN": rig.bao.root_token,
            "BAO_BIN": str(rig.bao.binary), "BAO_AUDIT": str(rig.bao.audit_file),
            "SECRETRT_DEMO_PGHOST": rig.postgres.host,
            "SECRETRT_DEMO_PGPORT": str(rig.postgres.port),
            "SECRETRT_DEMO_PGDATABASE": DATABASE,
            "SECRETRT_DEMO_PGADMIN": rig.postgres.admin,
            "SECRETRT_DEMO_PGADMINPASSWORD": rig.postgres.admin_password}


def _supervise(options: argparse.Namespace, directory: Path) -> int:
    """Owns the servers until it is told to stop or its owner is gone."""
    ending: list[int] = []
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def on_signal(number: int, _frame: Any) -> None:
        ending.append(number)
        os.write(wake_write, b"x")

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    try:
        owner = os.pidfd_open(options.owner)
        rig = Rig(tls=options.tls).start()
    except Exception as problem:
        _write_private(directory / "failed", f"{problem}\n")
        return 1
    try:
        setup_bao.database_role(rig.bao, "app", options.ttl, options.max_ttl)
        auth = rig.jwt_login()
        identity = directory / "jwt"
        _write_private(identity, Path(auth["token_file"]).read_text())
        auth["token_file"] = str(identity)
        config = rig.config("app", auth, rig.bao.tls_address if options.tls else None)
        if options.tls:
            (directory / "ca.pem").write_bytes(rig.authority.ca_file.read_bytes())
            config["vault"]["ca_file"] = str(directory / "ca.pem")
        _write_private(directory / "config.json", json.dumps(config, indent=2) + "\n")
        _write_private(directory / "env", "".join(
            f"export {name}={shlex.quote(value)}\n" for name, value in _environment(rig).items()))
        _write_private(directory / "pids", "".join(
            f"{pid}\n" for pid in rig.bao.pids() + rig.postgres.pids()))
        _write_private(directory / "directories", "".join(
            f"{path}\n" for path in (rig.directory, rig.bao.directory, rig.postgres.directory)))
        _write_private(directory / "ready", f"{os.getpid()}\n")
        while not ending and not select.select([owner, wake_read], [], [])[0]:
            pass
    finally:
        rig.stop()
        for name in ("ready", "pids", "directories", "supervisor"):
            (directory / name).unlink(missing_ok=True)
    return 0


def _start(options: argparse.Namespace, directory: Path) -> int:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (directory / "supervisor").exists():
        print(f"servers are already started in {directory}", file=sys.stderr)
        return 1
    (directory / "failed").unlink(missing_ok=True)
    arguments = [sys.executable, str(Path(__file__).resolve()), "supervise",
                 "--dir", str(directory), "--ttl", str(options.ttl),
                 "--max-ttl", str(options.max_ttl), "--owner", str(options.owner or os.getppid())]
    with (directory / "log").open("ab") as log:
        # Its own session: a Ctrl-C at the terminal is the caller's to handle.
        child = subprocess.Popen(arguments + (["--tls"] if options.tls else []),
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 start_new_session=True)
    _write_private(directory / "supervisor", f"{child.pid}\n")
    wait_until(lambda: (directory / "ready").exists() or child.poll() is not None,
               "servers are ready", 60)
    if (directory / "ready").exists():
        return 0
    (directory / "supervisor").unlink(missing_ok=True)
    failed = directory / "failed"
    print(failed.read_text().strip() if failed.exists()
          else (directory / "log").read_text(errors="replace").strip(), file=sys.stderr)
    return 1


def _stop(directory: Path) -> int:
    try:
        pid = int((directory / "supervisor").read_text())
        descriptor = os.pidfd_open(pid)
    except (OSError, ValueError):
        pass
    else:
        arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if str(Path(__file__).resolve()) in arguments:
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            if not select.select([descriptor], [], [], 15)[0]:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.close(descriptor)
    # A supervisor that was killed took its servers along, but not their directories.
    try:
        left = (directory / "directories").read_text().splitlines()
    except OSError:
        left = []
    for path in left:
        remove(Path(path))
    for name in ("ready", "pids", "directories", "supervisor"):
        (directory / name).unlink(missing_ok=True)
    return 0


class _Started:
    """The servers of `start`, from outside."""

    def __init__(self, directory: Path) -> None:
        self.env: dict[str, str] = {}
        for line in (directory / "env").read_text().splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            self.env[name] = shlex.split(value)[0]
        self.bao = OpenBao.__new__(OpenBao)
        self.bao.port = int(self.env["BAO_ADDR"].rsplit(":", 1)[1])
        self.bao.root_token = self.env["BAO_TOKEN"]
        self.bao.audit_file = Path(self.env["BAO_AUDIT"])
        self.postgres = Postgres.__new__(Postgres)
        self.postgres.host = self.env["SECRETRT_DEMO_PGHOST"]
        self.postgres.port = int(self.env["SECRETRT_DEMO_PGPORT"])
        self.postgres.admin = self.env["SECRETRT_DEMO_PGADMIN"]
        self.postgres.admin_password = self.env["SECRETRT_DEMO_PGADMINPASSWORD"]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("start", "supervise", "stop", "roles", "revoke",
                                            "count"))
    parser.add_argument("path", nargs="?", default=".*", help="for count")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--ttl", type=int, default=20)
    parser.add_argument("--max-ttl", type=int, default=60)
    parser.add_argument("--owner", type=int, default=0)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_intermixed_args(arguments)
    directory = options.dir.resolve()
    if options.command == "start":
        return _start(options, directory)
    if options.command == "supervise":
        return _supervise(options, directory)
    if options.command == "stop":
        return _stop(directory)
    started = _Started(directory)
    if options.command == "roles":
        print("".join(f"{name}\n" for name in started.postgres.roles()), end="")
    elif options.command == "revoke":
        lease = started.bao.newest_lease("database/creds/app")
        if not lease:
            return 1
        before = set(started.postgres.roles())
        started.bao.revoke_lease(lease)
        print("".join(f"{name}\n" for name in sorted(before - set(started.postgres.roles()))),
              end="")
    elif options.command == "count":
        print(started.bao.requests(options.path))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
