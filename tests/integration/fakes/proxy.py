"""A fault proxy on loopback: forwards HTTP/1.1 to one server and misbehaves on demand.

    proxy = FaultProxy("http://127.0.0.1:8200").start()
    proxy.answer(500)                                  # every request from now on
    proxy.answer(429, headers={"Retry-After": "2"}, match="PUT .*/renew", times=1)
    proxy.normal()                                     # as if nothing had been

Rules are tried newest first; a request that none matches is forwarded. The request is
read whole before anything is done with it, so what the proxy counts is what the client
sent. With `tls` it speaks TLS to the client; the server may be http or https.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable
from urllib.parse import urlsplit

HEAD_MAX = 64 * 1024
IDLE_S = 300.0


@dataclass
class Seen:
    """One request. No header values: a token would end in a test's output."""

    at: float
    method: str
    path: str
    headers: frozenset[str]
    rule: str
    status: int = 0
    body: bytes = field(default=b"", repr=False)
    reply: bytes = field(default=b"", repr=False)  # only with keep_replies


@dataclass
class Rule:
    name: str
    act: Callable[["FaultProxy", socket.socket, bytes, Seen], bool]
    match: str
    times: int | None

    def takes(self, seen: Seen) -> bool:
        return self.times != 0 and re.search(self.match, f"{seen.method} {seen.path}") is not None


class _Closed(Exception):
    pass


class _Stream:
    """Buffered reads from a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._data = b""

    def _more(self) -> None:
        piece = self._socket.recv(65536)
        if not piece:
            raise _Closed()
        self._data += piece

    def until(self, mark: bytes) -> bytes:
        while mark not in self._data:
            if len(self._data) > HEAD_MAX:
                raise _Closed()
            self._more()
        end = self._data.index(mark) + len(mark)
        piece, self._data = self._data[:end], self._data[end:]
        return piece

    def exactly(self, count: int) -> bytes:
        while len(self._data) < count:
            self._more()
        piece, self._data = self._data[:count], self._data[count:]
        return piece

    def to_end(self) -> bytes:
        try:
            while True:
                self._more()
        except _Closed:
            piece, self._data = self._data, b""
            return piece

    def body(self, head: bytes, is_reply: bool) -> bytes:
        """The raw body that follows a head, its framing included."""
        fields = _fields(head)
        if "chunked" in fields.get("transfer-encoding", ""):
            raw = b""
            while True:
                line = self.until(b"\r\n")
                size = int(line.split(b";")[0], 16)
                raw += line
                if size == 0:
                    return raw + self._trailer()
                raw += self.exactly(size + 2)
        if "content-length" in fields:
            return self.exactly(int(fields["content-length"]))
        status = int(head.split(b" ", 2)[1]) if is_reply else 204
        return b"" if status in (204, 304) else self.to_end()

    def _trailer(self) -> bytes:
        raw = b""
        while True:
            line = self.until(b"\r\n")
            raw += line
            if line == b"\r\n":
                return raw


def _fields(head: bytes) -> dict[str, str]:
    fields = {}
    for line in head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            fields[name.decode("latin-1").strip().lower()] = value.decode("latin-1").strip()
    return fields


def http_reply(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Fault"]
    given = {"Content-Type": "application/json", "Content-Length": str(len(body)),
             **(headers or {})}
    lines += [f"{name}: {value}" for name, value in given.items() if value != ""]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class FaultProxy:
    def __init__(self, upstream: str, *, upstream_ca: Path | None = None,
                 tls: tuple[Path, Path] | None = None, keep_replies: bool = False) -> None:
        target = urlsplit(upstream)
        self._upstream = (target.hostname or "127.0.0.1", target.port or 80)
        self._upstream_tls = (ssl.create_default_context(cafile=str(upstream_ca))
                              if target.scheme == "https" else None)
        self._tls: ssl.SSLContext | None = None
        if tls:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*tls)
        self._keep_replies = keep_replies
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._seen: list[Seen] = []
        self._open: set[socket.socket] = set()
        self._ended = threading.Event()
        self._changed = threading.Event()
        self._listener: socket.socket | None = None
        self._queue: list[socket.socket] = []
        self.connections = 0
        self.port = 0

    # Life

    def start(self) -> "FaultProxy":
        self._listen()
        return self

    def _listen(self, backlog: int = 64, accept: bool = True) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(backlog)
        self.port = listener.getsockname()[1]
        self._listener = listener
        if accept:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._ended.set()
        self._close_listener()
        self.hang_up()

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        for waiting in self._queue:
            waiting.close()
        self._queue = []
        if listener is not None:
            try:
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            except OSError:
                pass
            listener.close()

    def hang_up(self) -> None:
        """Ends every open connection with a reset."""
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            try:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # Modes

    def normal(self) -> None:
        """Forget all rules, accept again."""
        with self._lock:
            self._rules = []
        self._changed.set()
        self._changed = threading.Event()
        if self._listener is None or self._queue:
            self._close_listener()
            self._listen()

    def refuse(self) -> None:
        """Nobody listens (ECONNREFUSED); open connections are reset."""
        self._close_listener()
        self.hang_up()

    def unreachable(self) -> None:
        """Connecting hangs, as behind a firewall that drops: the queue of a listener
        that nobody serves is full."""
        self.refuse()
        self._listen(backlog=0, accept=False)
        for _ in range(4):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", self.port))
            self._queue.append(waiting)

    def black_hole(self, match: str = "", times: int | None = None) -> None:
        """Takes the request and never answers."""
        self._add("black hole", lambda proxy, client, raw, seen: proxy._silence(client),
                  match, times)

    def delay(self, seconds: float, match: str = "", times: int | None = None) -> None:
        def act(proxy: FaultProxy, client: socket.socket, raw: bytes, seen: Seen) -> bool:
            proxy._wait(seconds)
            return proxy._send(client, proxy._ask(raw, seen))

        self._add("delay", act, match, times)

    def drip(self, bytes_per_second: float = 1.0, match: str = "",
             times: int | None = None) -> None:
        """The true answer, slowly."""
        def act(proxy: FaultProxy, client: socket.socket, raw: bytes, seen: Seen) -> bool:
            for byte in proxy._ask(raw, seen):
                proxy._send(client, bytes((byte,)))
                proxy._wait(1 / bytes_per_second)
            return True

        self._add("drip", act, match, times)

    def cut(self, count: int, match: str = "", times: int | None = None) -> None:
        """The first `count` bytes of the true answer, head included, then the end."""
        def act(proxy: FaultProxy, client: socket.socket, raw: bytes, seen: Seen) -> bool:
            proxy._send(client, proxy._ask(raw, seen)[:count])
            return False

        self._add("cut", act, match, times)

    def cut_body(self, count: int, match: str = "", times: int | None = None) -> None:
        """A well-formed answer whose body holds only the first `count` bytes."""
        def act(proxy: FaultProxy, client: socket.socket, raw: bytes, seen: Seen) -> bool:
            body = proxy._ask(raw, seen).partition(b"\r\n\r\n")[2]
            return proxy._send(client, http_reply(seen.status, body[:count]))

        self._add("cut body", act, match, times)

    def drop_answer(self, match: str = "", times: int | None = None) -> None:
        """The server does the work, its answer is lost."""
        self.cut(0, match, times)

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None,
               match: str = "", times: int | None = None) -> None:
        """Answers by itself; the server never hears of it."""
        def act(proxy: FaultProxy, client: socket.socket, raw: bytes, seen: Seen) -> bool:
            seen.status = status
            return proxy._send(client, http_reply(status, body, headers))

        self._add(f"answer {status}", act, match, times)

    def rewrite(self, change: Callable[[bytes], bytes], match: str = "",
                times: int | None = None) -> None:
        """The true answer with its body changed."""
        def act(proxy: FaultProxy, client: socket.socket, raw: bytes, seen: Seen) -> bool:
            body = proxy._ask(raw, seen).partition(b"\r\n\r\n")[2]
            return proxy._send(client, http_reply(seen.status, change(body)))

        self._add("rewrite", act, match, times)

    def _add(self, name: str, act: Callable[..., bool], match: str, times: int | None) -> None:
        with self._lock:
            self._rules.insert(0, Rule(name, act, match, times))

    # Counting

    @property
    def seen(self) -> list[Seen]:
        with self._lock:
            return list(self._seen)

    def count(self, match: str = "", since: float = 0.0) -> int:
        """Requests whose "METHOD /path" has a match, since a time.monotonic()."""
        return sum(1 for one in self.seen
                   if one.at >= since and re.search(match, f"{one.method} {one.path}"))

    # Work

    def _accept(self, listener: socket.socket) -> None:
        while not self._ended.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        raw_client = client
        try:
            client.settimeout(IDLE_S)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
                with self._lock:
                    self._open.discard(raw_client)
                    self._open.add(client)
            stream = _Stream(client)
            while self._one(client, stream):
                pass
        except (_Closed, OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._open.discard(client)
                self._open.discard(raw_client)
            client.close()

    def _one(self, client: socket.socket, stream: _Stream) -> bool:
        """One request. True: the connection may carry another one."""
        head = stream.until(b"\r\n\r\n")
        fields = _fields(head)
        if fields.get("expect", "").lower() == "100-continue":
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = stream.body(head, is_reply=False)
        method, path = head.split(b" ", 2)[:2]
        seen = Seen(time.monotonic(), method.decode("latin-1"), path.decode("latin-1"),
                    frozenset(fields), "", body=body)
        with self._lock:
            rule = next((rule for rule in self._rules if rule.takes(seen)), None)
            if rule is not None and rule.times is not None:
                rule.times -= 1
            seen.rule = rule.name if rule else ""
            self._seen.append(seen)
        if rule is not None:
            return rule.act(self, client, head + body, seen)
        return self._send(client, self._ask(head + body, seen))

    def _ask(self, raw: bytes, seen: Seen) -> bytes:
        """The server's whole answer."""
        with socket.create_connection(self._upstream, timeout=30) as server:
            if self._upstream_tls:
                server = self._upstream_tls.wrap_socket(server, server_hostname="localhost")
            server.sendall(raw)
            stream = _Stream(server)
            head = stream.until(b"\r\n\r\n")
            while head.split(b" ", 2)[1] == b"100":
                head = stream.until(b"\r\n\r\n")
            whole = head + stream.body(head, is_reply=True)
        seen.status = int(head.split(b" ", 2)[1])
        if self._keep_replies:
            seen.reply = whole
        return whole

    def _send(self, client: socket.socket, data: bytes) -> bool:
        client.sendall(data)
        return True

    def _wait(self, seconds: float) -> None:
        """Sleeps, but no longer than the mode lasts."""
        self._changed.wait(seconds)

    def _silence(self, client: socket.socket) -> bool:
        """Until the client gives up or the proxy ends or the mode is left."""
        changed = self._changed
        while not self._ended.is_set() and not changed.is_set():
            ready, _, _ = select.select([client], [], [], 0.1)
            if ready and client.recv(1) == b"":
                break
        return False
