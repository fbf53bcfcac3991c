"""A private PostgreSQL cluster: own directory, own port, SCRAM, ended by process ID."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from process import (Process, Unavailable, clean_environment, free_ports, private_dir, remove,
                     wait_until)

DATABASE = "app"


def find_binaries() -> Path:
    """The directory of the newest initdb and postgres."""
    def version(directory: Path) -> int:
        name = directory.parent.name
        return int(name) if name.isdigit() else 0

    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version, reverse=True)
    for directory in found:
        if (directory / "initdb").exists() and (directory / "postgres").exists():
            return directory
    plain = shutil.which("initdb")
    if plain and (Path(plain).resolve().parent / "postgres").exists():
        return Path(plain).resolve().parent
    raise Unavailable("PostgreSQL server: apt-get install postgresql")


class Postgres:
    """start() it; sql() speaks to it as its owner; roles() lists what a lease made."""

    def __init__(self) -> None:
        self.binaries = find_binaries()
        self.directory = private_dir("pg")
        self.port = 0
        self.host = "127.0.0.1"
        self.admin = "postgres"
        self.admin_password = f"CANARY-{secrets.token_hex(12)}"
        self._process: Process | None = None
        self._identity: dict[str, Any] = {}
        if os.geteuid() == 0:  # initdb and postgres refuse root
            try:
                owner = pwd.getpwnam("postgres")
            except KeyError:
                remove(self.directory)
                raise Unavailable("user postgres: apt-get install postgresql") from None
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
            self._identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def start(self) -> "Postgres":
        if not self.data.exists():
            self._initdb()
        for attempt in range(5):
            self.port = self.port or free_ports(1)
            self._process = self._run()
            try:
                self._process.wait_listening(self.port)
                wait_until(self._answers, "PostgreSQL answers", 20)
                break
            except Exception:
                self._process.stop(signal.SIGQUIT)
                if attempt == 4:
                    raise
                self.port = 0
        if not self.sql("select 1 from pg_database where datname = %s", DATABASE,
                        database="postgres"):
            self.sql(f"create database {DATABASE}", database="postgres")
            self.sql("create table notes (id serial primary key, body text)")
            self.sql("insert into notes (body) values ('first')")
        return self

    def _initdb(self) -> None:
        password_file = self.directory / "password"
        password_file.touch(0o600)
        password_file.write_text(self.admin_password)
        if self._identity:
            os.chown(password_file, self._identity["user"], self._identity["group"])
        done = subprocess.run(
            [str(self.binaries / "initdb"), "-D", str(self.data), "-U", self.admin,
             "-A", "scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8",
             "--locale=C", "--no-sync"],
            env=clean_environment(self.directory), cwd=self.directory, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **self._identity)
        password_file.unlink()
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout}")

    def _run(self) -> Process:
        settings = {"listen_addresses": "127.0.0.1", "port": str(self.port), "fsync": "off",
                    "unix_socket_directories": str(self.directory), "max_connections": "200",
                    "log_connections": "off", "shared_buffers": "32MB"}
        argv = [str(self.binaries / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        # A quick shutdown if we die: a killed postmaster would leave its children behind.
        return Process("postgres", argv, self.directory / "log",
                       env=clean_environment(self.directory), cwd=self.directory,
                       death_signal=signal.SIGQUIT, **self._identity)

    def _answers(self) -> bool:
        try:
            self.sql("select 1", database="postgres")
            return True
        except psycopg.OperationalError:
            return False

    def sql(self, query: str, *parameters: Any, database: str = DATABASE) -> list[tuple]:
        """Runs one statement as the cluster's owner."""
        with psycopg.connect(host=self.host, port=self.port, dbname=database,
                             user=self.admin, password=self.admin_password,
                             connect_timeout=5, autocommit=True) as connection:
            cursor = connection.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def try_login(self, username: str, password: str) -> bool:
        """True if a fresh session with these answers a query."""
        try:
            with psycopg.connect(host=self.host, port=self.port, dbname=DATABASE,
                                 user=username, password=password,
                                 connect_timeout=5) as connection:
                return connection.execute("select 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    def roles(self, role: str = "") -> list[str]:
        """Users that the engine made, of one of its roles (at most 8 characters)."""
        rows = self.sql("select rolname from pg_roles where rolname like %s order by 1",
                        f"v-%-{role}-%" if role else "v-%", database="postgres")
        return [row[0] for row in rows]

    def pause(self) -> None:
        """Not reachable any more; its data stay."""
        if self._process:
            self._process.stop(signal.SIGINT)

    def resume(self) -> None:
        self.start()

    def pids(self) -> list[int]:
        return [self._process.pid] if self._process else []

    def stop(self) -> None:
        if self._process:
            self._process.stop(signal.SIGINT)
            self._process = None
        remove(self.directory)
