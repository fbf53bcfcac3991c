"""secretrt-psql over real servers, on a pseudo-terminal where one matters."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from conftest import ROOT, require
from postgres import DATABASE
from process import clean_environment, free_ports, private_dir, remove, wait_until
from servers import Rig

BUILD = Path(os.environ.get("SECRETRT_BUILD", ROOT / "build" / "plain"))
PROGRAM = BUILD / "examples" / "secretrt-psql"


class Terminal:
    """A program on a pseudo-terminal, driven as a person does."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self.text = ""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, env)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def expect(self, pattern: str, seconds: float = 10.0) -> re.Match[str]:
        """Reads until the pattern comes, and forgets what was up to there."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.text)
            if found:
                self.text = self.text[found.end():]
                return found
            left = end - time.monotonic()
            if left <= 0 or not self._read(left):
                pytest.fail(f"no {pattern!r} in: {self.text[-2000:]!r}", pytrace=False)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the other side is gone
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def wait(self) -> int:
        """The exit status as a shell has it: 128 + signal."""
        while self._read(10.0) and select.select([self._fd], [], [], 10.0)[0]:
            pass
        return _as_shell(os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]))

    def close(self) -> None:
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self._fd)


def _as_shell(code: int) -> int:
    return 128 - code if code < 0 else code


class Wrapper:
    """The wrapper with a role, a login and a configuration of its own."""

    def __init__(self, rig: Rig, ttl_s: int = 60, max_ttl_s: int = 600, **config: Any) -> None:
        self.rig = rig
        self.role = rig.role(ttl_s, max_ttl_s)
        self.home = private_dir("psql")
        self.config = self.home / "config.json"
        self.write_config(rig.config(self.role, rig.approle_login(), **config))
        self._terminals: list[Terminal] = []
        self._processes: list[subprocess.Popen[str]] = []

    def write_config(self, config: dict[str, Any]) -> None:
        self.config.touch(0o600)
        self.config.write_text(json.dumps(config))

    def argv(self, *psql: str, options: tuple[str, ...] = (), name: str = "db") -> list[str]:
        pg = self.rig.postgres
        return [str(PROGRAM), "--config", str(self.config), "-h", pg.host, "-p", str(pg.port),
                "-d", DATABASE, *options, name, "--", *psql]

    def env(self, **more: str) -> dict[str, str]:
        sanitizers = {n: v for n, v in os.environ.items() if n.endswith("SAN_OPTIONS")}
        return clean_environment(self.home, TERM="xterm", PAGER="cat", PSQLRC="/dev/null",
                                 PSQL_HISTORY="/dev/null", **sanitizers, **more)

    def run(self, *psql: str, env: dict[str, str] | None = None, seconds: float = 40,
            **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.argv(*psql, **options), env=self.env(**(env or {})),
                              stdin=subprocess.DEVNULL, text=True, capture_output=True,
                              timeout=seconds, check=False)

    def start(self, *psql: str, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(self.argv(*psql, **options), env=self.env(), text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self._processes.append(process)
        return process

    def terminal(self, *psql: str, **options: Any) -> Terminal:
        terminal = Terminal(self.argv(*psql, **options), self.env())
        self._terminals.append(terminal)
        return terminal

    def shell(self) -> Terminal:
        terminal = Terminal(["bash", "--norc", "--noprofile", "-i"], self.env(PS1="SH> "))
        self._terminals.append(terminal)
        return terminal

    def roles(self) -> list[str]:
        return self.rig.postgres.roles(self.role)

    def wait_role(self) -> str:
        return wait_until(self.roles, "a user in PostgreSQL")[0]

    def wait_no_roles(self, seconds: float = 5.0) -> None:
        wait_until(lambda: not self.roles(), "no user is left in PostgreSQL", seconds)

    def end(self) -> None:
        for terminal in self._terminals:
            terminal.close()
        for process in self._processes:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        remove(self.home)


Make = Callable[..., Wrapper]


@pytest.fixture
def make() -> Iterator[Make]:
    require(PROGRAM.exists(), f"{PROGRAM}: build preset plain first")
    made: list[Wrapper] = []

    def build(rig: Rig, *arguments: Any, **options: Any) -> Wrapper:
        made.append(Wrapper(rig, *arguments, **options))
        return made[-1]

    yield build
    for wrapper in made:
        wrapper.end()


@pytest.fixture
def wrapper(rig: Rig, make: Make) -> Wrapper:
    return make(rig)


def child_of(pid: int) -> int:
    def child() -> int:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else 0

    return wait_until(child, "the wrapper's program")


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def memory_file(pid: int, name: str) -> str:
    """What the program can read, as the same user or root can see it in /proc."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(descriptor).startswith(f"/memfd:{name} "):
                return "".join(line for line in descriptor.read_text().splitlines(True)
                               if not line.startswith("#"))
        except FileNotFoundError:  # closed meanwhile
            continue
    return ""


def wait_psql(process: subprocess.Popen[str]) -> int:
    pid = child_of(process.pid)
    wait_until(lambda: memory_file(pid, "pgpass"), "the memory files")
    return pid


# Exit codes

def test_a_query_runs_as_a_user_of_the_lease_which_is_gone_afterwards(wrapper: Wrapper) -> None:
    done = wrapper.run("-XAtc", "select session_user || ' ' || body from notes")
    user, body = done.stdout.split()
    assert (done.returncode, body, done.stderr) == (0, "first", "")
    assert wrapper.role in user
    wrapper.wait_no_roles()


@pytest.mark.parametrize("code, arguments", [
    (0, ("-Xc", "select 1")),
    (1, ("-Xc", "select 1/0")),
    (3, ("-X", "-v", "ON_ERROR_STOP=1", "-f", "{script}")),
])
def test_the_exit_code_is_psqls(wrapper: Wrapper, code: int, arguments: tuple[str, ...]) -> None:
    script = wrapper.home / "script.sql"
    script.write_text("select 1/0;\n")
    assert wrapper.run(*(a.format(script=script) for a in arguments)).returncode == code
    wrapper.wait_no_roles()


def test_no_server_is_psqls_code_2(wrapper: Wrapper) -> None:
    done = wrapper.run("-Xc", "select 1", options=("-p", str(free_ports())))
    assert done.returncode == 2


def test_a_signal_that_ends_the_program_ends_the_wrapper(wrapper: Wrapper) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        done = wrapper.run("-c", f"kill -{int(number)} $$", options=("--exec", "sh"))
        assert done.returncode == -number
    wrapper.wait_no_roles()


def test_what_cannot_run_makes_no_user(wrapper: Wrapper) -> None:
    script = wrapper.home / "not-executable"
    script.write_text("x")
    before = wrapper.rig.bao.mark()
    assert wrapper.run(options=("--exec", "no-such-program")).returncode == 127
    assert wrapper.run(options=("--exec", str(script))).returncode == 126
    assert wrapper.rig.bao.requests(f"database/creds/{wrapper.role}", before) == 0


def one_line(text: str) -> str:
    assert text.count("\n") == 1 and text.startswith("secretrt-psql: "), text
    return text


def test_an_unreachable_store_is_125_and_one_line(wrapper: Wrapper, rig: Rig) -> None:
    address = f"http://127.0.0.1:{free_ports()}"
    wrapper.write_config(rig.config(wrapper.role, rig.approle_login(), address))
    done = wrapper.run("-Xc", "select 1", seconds=30)
    assert done.returncode == 125
    assert done.stdout == ""
    one_line(done.stderr)


def test_a_denied_path_is_125_and_one_line(wrapper: Wrapper, rig: Rig) -> None:
    wrapper.write_config(rig.config(wrapper.role, rig.token_login("nothing")))
    done = wrapper.run("-Xc", "select 1")
    assert done.returncode == 125
    assert "403" in one_line(done.stderr)


@pytest.mark.parametrize("arguments", [
    ["--no-such-option"], ["db", "-c", "select 1"], ["--overlap", "soon"],
    ["--on-expiry", "explode"], ["-d", "user=me dbname=app"], ["-d", "dbname=app password=x"],
    ["db"],
])
def test_a_bad_command_line_is_125(wrapper: Wrapper, arguments: list[str]) -> None:
    done = subprocess.run([str(PROGRAM), *arguments], env=wrapper.env(), text=True,
                          capture_output=True, timeout=20, check=False)
    assert done.returncode == 125
    assert done.stderr != "" and done.stdout == ""


def test_help_and_version(wrapper: Wrapper) -> None:
    for option, text in (("--help", "Examples:"), ("--version", "secretrt-psql ")):
        done = subprocess.run([str(PROGRAM), option], text=True, capture_output=True,
                              timeout=20, check=False)
        assert done.returncode == 0 and text in done.stdout and done.stderr == ""


# Where to

def test_a_reference_a_conninfo_and_another_program(wrapper: Wrapper) -> None:
    pg = wrapper.rig.postgres
    argv = [str(PROGRAM), "--config", str(wrapper.config), "-d",
            f"postgresql://{pg.host}:{pg.port}/{DATABASE}?application_name=wrapped",
            f"vault://database/creds/{wrapper.role}", "--", "-XAtc", "show application_name"]
    done = subprocess.run(argv, env=wrapper.env(), text=True, capture_output=True, timeout=40,
                          check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrapped\n", "")

    dump = wrapper.run("-s", "-t", "notes", options=("--exec", "pg_dump"))
    assert dump.returncode == 0 and "CREATE TABLE public.notes" in dump.stdout
    wrapper.wait_no_roles()


def test_the_environment_names_the_place(wrapper: Wrapper) -> None:
    pg = wrapper.rig.postgres
    argv = [str(PROGRAM), "--", "-XAtc", "select 1"]
    env = wrapper.env(PGHOST=pg.host, PGPORT=str(pg.port), PGDATABASE=DATABASE,
                      SECRETRT_CONFIG=str(wrapper.config))
    done = subprocess.run(argv, env=env, text=True, capture_output=True, timeout=40, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_one_database_unless_asked_for_all(wrapper: Wrapper) -> None:
    arguments = ("-XAt", "-d", "postgres", "-c", "select current_database()")
    refused = wrapper.run(*arguments)
    assert refused.returncode == 2 and "no password supplied" in refused.stderr
    assert wrapper.run(*arguments, options=("--any-database",)).stdout == "postgres\n"


def test_print_refs_fetches_nothing(wrapper: Wrapper) -> None:
    before = wrapper.rig.bao.mark()
    done = wrapper.run(options=("--print-refs",))
    assert done.returncode == 0
    assert f"vault://database/creds/{wrapper.role}" in done.stdout
    assert f"port={wrapper.rig.postgres.port}" in done.stdout
    assert wrapper.rig.bao.requests(".*", before) == 0


# Secrecy

def test_the_password_is_nowhere_but_in_the_memory_files(wrapper: Wrapper) -> None:
    process = wrapper.start("-Xc", "select pg_sleep(60)")
    pid = wait_psql(process)
    line = memory_file(pid, "pgpass").strip()
    password = line.rsplit(":", 1)[1].encode()
    assert len(password) >= 16
    assert f"user={wrapper.roles()[0]}\n" in memory_file(pid, "pg_service")
    assert password not in memory_file(pid, "pg_service").encode()

    for each in (process.pid, pid):
        for name in ("environ", "cmdline"):
            assert password not in Path(f"/proc/{each}/{name}").read_bytes()
    for file in wrapper.home.rglob("*"):
        assert not file.is_file() or password not in file.read_bytes()
    for file in Path("/proc").glob(f"{pid}/fd/*"):
        target = os.readlink(file)
        if target.startswith("/") and not target.startswith("/memfd:") and file.is_file():
            assert password not in file.read_bytes()
    process.terminate()
    assert process.wait(10) == -signal.SIGTERM
    wrapper.wait_no_roles()


def test_the_wrapper_is_hardened(wrapper: Wrapper) -> None:
    process = wrapper.start("-Xc", "select pg_sleep(60)")
    pid = wait_psql(process)
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +", limits)
    # Not dumpable: its files in /proc belong to root, whoever runs it. As root that is
    # not to be told apart, so at least the limit holds for the program too.
    assert re.search(r"Max core file size +0 +", Path(f"/proc/{pid}/limits").read_text())


def test_the_programs_environment_has_no_tokens(wrapper: Wrapper) -> None:
    hidden = {"VAULT_TOKEN": "CANARY-1", "BAO_TOKEN": "CANARY-2", "PGPASSWORD": "CANARY-3",
              "AWS_SECRET_ACCESS_KEY": "CANARY-4", "AZURE_CLIENT_SECRET": "CANARY-5"}
    done = wrapper.run(env={**hidden, "KEPT": "kept"}, options=("--exec", "env"))
    assert done.returncode == 0
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert "CANARY" not in done.stdout and seen["KEPT"] == "kept"
    assert seen["PGSERVICE"] == "secretrt"
    assert re.fullmatch(r"/dev/fd/\d+", seen["PGPASSFILE"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", seen["SECRETRT_EXPIRES_AT"])


def test_a_variable_that_served_as_the_source_is_dropped(rig: Rig, make: Make) -> None:
    wrapper = make(rig, sources=["env://?username=DB_USER&password=DB_PASSWORD"])
    done = wrapper.run(env={"DB_USER": "someone", "DB_PASSWORD": "CANARY-6"},
                       options=("--exec", "env"))
    assert done.returncode == 0 and "CANARY" not in done.stdout


def test_the_memory_files_are_read_only_for_the_program(wrapper: Wrapper) -> None:
    done = wrapper.run("-c", "echo x >&${PGPASSFILE##*/}", options=("--exec", "bash"))
    assert done.returncode == 1


# A session

def test_reconnect_after_a_rotation_gives_the_new_user(rig: Rig, make: Make) -> None:
    wrapper = make(rig, 6, 8)
    psql = wrapper.terminal("-X")
    psql.expect("app=>")
    psql.type("select 'user=' || session_user;\n")
    old = psql.expect(r"user=(v-\S+)").group(1)
    note = psql.expect(r"secretrt: credentials rotated \((\S+) → (\S+)\); type :reconnect", 20)
    assert note.group(1) == old
    psql.type(":reconnect\n")
    psql.expect(f'as user "{re.escape(note.group(2))}"')
    psql.expect("app=>")
    psql.type("select 'user=' || session_user;\n")
    assert psql.expect(r"user=(v-\S+)").group(1) == note.group(2) != old
    psql.type("\\! psql -XAtc \"select 'nested=' || session_user\"\n")
    psql.expect(f"nested={re.escape(note.group(2))}")
    psql.type("\\q\n")
    assert psql.wait() == 0
    wrapper.wait_no_roles()


def test_the_old_line_stays_during_the_overlap(rig: Rig, make: Make) -> None:
    wrapper = make(rig, 12, 14)
    process = wrapper.start("60", options=("--exec", "sleep"))
    pid = wait_psql(process)
    assert memory_file(pid, "pgpass").count("\n") == 1
    wait_until(lambda: memory_file(pid, "pgpass").count("\n") == 2, "two lines", 20)
    credentials = [line.split(":")[3:5] for line in memory_file(pid, "pgpass").splitlines()]
    assert len({user for user, _ in credentials}) == 2
    for user, password in credentials:
        assert rig.postgres.try_login(user, password)
    wait_until(lambda: memory_file(pid, "pgpass").count("\n") == 1, "one line again", 20)
    process.terminate()
    process.wait(10)
    wrapper.wait_no_roles()


def test_ctrl_c_cancels_the_query_and_nothing_else(wrapper: Wrapper) -> None:
    psql = wrapper.terminal("-X")
    psql.expect("app=>")
    psql.type("select pg_sleep(30);\n")
    time.sleep(0.5)
    psql.type("\x03")
    psql.expect("canceling statement due to user request")
    psql.expect("app=>")
    psql.type("\\! sleep 30\n")
    time.sleep(0.5)
    psql.type("\x03")
    psql.expect("app=>")
    psql.type("select 6 * 7;\n")
    psql.expect("42")
    psql.type("\\q\n")
    assert psql.wait() == 0
    wrapper.wait_no_roles()


def test_job_control(wrapper: Wrapper) -> None:
    shell = wrapper.shell()
    shell.expect("SH> ")
    shell.type(" ".join(wrapper.argv("-X")) + "\n")
    shell.expect("app=>")
    shell.type("\x1a")
    shell.expect("Stopped")
    shell.expect("SH> ")
    shell.type("jobs\n")
    shell.expect("Stopped")
    shell.type("fg\n")
    time.sleep(0.3)
    shell.type("select 6 * 7;\n")
    shell.expect("42")
    shell.type("select 1/0; \\q\n")
    shell.expect("SH> ")
    shell.type("echo code=$?\n")
    shell.expect("code=0")
    wrapper.wait_no_roles()


def test_ctrl_c_while_waiting_for_the_store(own_rig: Rig, make: Make) -> None:
    wrapper = make(own_rig)
    own_rig.bao.pause()
    psql = wrapper.terminal("-X")
    time.sleep(0.5)
    begin = time.monotonic()
    psql.type("\x03")
    assert psql.wait() == 128 + signal.SIGINT
    assert time.monotonic() - begin < 5
    own_rig.bao.resume()


# Signals

def test_signals_of_others_are_passed_on(wrapper: Wrapper) -> None:
    script = ("trap 'echo usr1' USR1; trap 'echo hup' HUP; trap 'echo term; exit 7' TERM; "
              "echo ready; while :; do sleep 0.1; done")
    process = wrapper.start("-c", script, options=("--exec", "bash"))
    assert process.stdout and process.stdout.readline() == "ready\n"
    for number, said in ((signal.SIGUSR1, "usr1\n"), (signal.SIGHUP, "hup\n")):
        process.send_signal(number)
        assert process.stdout.readline() == said
    process.send_signal(signal.SIGINT)  # ignored: the terminal's business
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "term\n"
    assert process.wait(10) == 7
    wrapper.wait_no_roles()


def test_a_second_term_kills_after_a_grace(wrapper: Wrapper) -> None:
    process = wrapper.start("-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done",
                            options=("--exec", "bash"))
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.terminate()
    time.sleep(0.5)
    assert process.poll() is None
    begin = time.monotonic()
    process.terminate()
    assert process.wait(15) == -signal.SIGKILL
    assert 3 < time.monotonic() - begin < 9
    wrapper.wait_no_roles()


def test_killing_the_wrapper_ends_psql(wrapper: Wrapper) -> None:
    process = wrapper.start("-Xc", "select pg_sleep(60)")
    pid = wait_psql(process)
    process.kill()
    wait_until(lambda: not running(pid), "psql has ended", 5)


# The end of a credential

def test_keep_lease_leaves_the_user(wrapper: Wrapper) -> None:
    assert wrapper.run("-Xc", "select 1", options=("--keep-lease",)).returncode == 0
    time.sleep(1)
    assert len(wrapper.roles()) == 1


def test_a_store_that_is_gone_at_the_end_changes_no_exit_code(own_rig: Rig, make: Make) -> None:
    wrapper = make(own_rig)
    process = wrapper.start("-c", "read -t 3 x < <(sleep 9); exit 4", options=("--exec", "bash"))
    wait_psql(process)
    own_rig.bao.pause()
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 4
    assert "not given back" in errors
    own_rig.bao.resume()


def test_a_failing_renewal_warns_and_the_program_goes_on(own_rig: Rig, make: Make) -> None:
    wrapper = make(own_rig, 10, 600)
    process = wrapper.start("-Xc", "select pg_sleep(13)", options=("--verbose",))
    wait_psql(process)
    own_rig.bao.seal()
    _, errors = process.communicate(timeout=40)
    warnings = re.findall(r"warning: (v-\S+) can't be renewed, (\d+) s left", errors)
    assert len(warnings) >= 2 and len({user for user, _ in warnings}) == 1
    assert [int(left) for _, left in warnings] == sorted((int(s) for _, s in warnings),
                                                         reverse=True)
    assert "has ended" in errors
    assert process.returncode == 0  # the session itself was not cut


def test_without_a_terminal_it_does_not_warn(own_rig: Rig, make: Make) -> None:
    wrapper = make(own_rig, 10, 600)
    process = wrapper.start("-Xc", "select pg_sleep(8)")
    wait_psql(process)
    own_rig.bao.seal()
    _, errors = process.communicate(timeout=40)
    assert "can't be renewed" not in errors


@pytest.mark.parametrize("action", ["term", "exec"])
def test_on_expiry(own_rig: Rig, make: Make, action: str) -> None:
    wrapper = make(own_rig, 6, 600)
    said = wrapper.home / "said"
    option = "term" if action == "term" else f"exec echo $PPID > {said}"
    process = wrapper.start("-Xc", "select pg_sleep(12)", options=("--on-expiry", option))
    wait_psql(process)
    own_rig.bao.seal()
    process.communicate(timeout=40)
    if action == "term":
        assert process.returncode == -signal.SIGTERM
    else:
        assert process.returncode == 0
        assert said.read_text().strip() == str(process.pid)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, *sys.argv[1:]]))
