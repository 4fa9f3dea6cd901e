"""A PostgreSQL proxy that loses the answer to a commit, when it is told to.

Everything is handed on as it comes, message by message. Armed, the proxy lets the next commit
through, waits until the server has answered it (so it is durable), and ends both connections
without handing the answer on: the client cannot know whether its transaction was committed.

In a test:

    with CuttingProxy(upstream=unix_socket(folder), listen=unix_socket(other)) as proxy:
        proxy.arm(text='UPDATE "generation_image"')
        ...  # the next transaction with such a statement loses its answer
        proxy.wait_until_cut(1)

From another process: `python -m tests.faults.cutting_proxy --upstream A --listen B --control C`
(an address is HOST:PORT or the path of a socket), and `order(C, text=..., times=...)` to arm it.

A commit is whatever leaves a connection outside a transaction without having been rolled back:
`COMMIT`, a statement in autocommit, a pipeline's end; in the simple and the extended protocol.
"""

import argparse
import json
import os
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Address = str | tuple[str, int]

ENCRYPTION_REQUESTS = {80877103, 80877104}  # TLS, GSSAPI: refused, the client goes on in clear
CHUNK_BYTES = 65536
PATIENCE_S = 30.0


def unix_socket(folder: Path, port: int = 5432) -> str:
    """The path at which libpq looks for a server in `host=FOLDER`."""
    return str(folder / f".s.PGSQL.{port}")


@dataclass(slots=True)
class Order:
    """What to cut: the next `times` commits of transactions that had `text` in a statement."""

    text: str
    times: int
    cuts: int = 0


@dataclass(slots=True)
class Conversation:
    """What one connection said: statements by their cycle, which a Sync or a Query ends."""

    prepared: dict[str, str] = field(default_factory=dict)
    cycles: deque[list[str]] = field(default_factory=lambda: deque([[]]))
    transaction: list[str] = field(default_factory=list)

    def hear(self, kind: bytes, body: bytes) -> None:
        """Keeps the texts of what the client sends."""
        if kind == b"Q":
            self.cycles[-1].append(text_of(body))
        elif kind == b"P":
            name, text = body.split(b"\0", 2)[:2]
            self.prepared[text_of(name)] = text_of(text)
        elif kind == b"B":
            name = body.split(b"\0", 2)[1]
            self.cycles[-1].append(self.prepared.get(text_of(name), ""))
        if kind in (b"Q", b"S"):
            self.cycles.append([])

    @property
    def is_ending(self) -> bool:
        """Whether the client has ended the cycle that is being answered. Before that nothing is
        committed, and a client that reads in the middle of a pipeline waits for what is there."""
        return len(self.cycles) > 1

    def had(self, text: str) -> bool:
        """Whether the transaction that is being answered has a statement with this text."""
        return any(text in said for said in (*self.transaction, *self.cycles[0]))

    def answered(self, *, is_idle: bool) -> None:
        """The server is ready for the next cycle; idle, it has left the transaction."""
        if self.is_ending:  # the first answer is the greeting, which nothing asked for
            self.transaction.extend(self.cycles.popleft())
        if is_idle:
            self.transaction.clear()


class CuttingProxy:
    """The proxy, in threads of its own, for the length of a `with` block."""

    def __init__(self, *, upstream: Address, listen: Address, control: Path | None = None) -> None:
        self.upstream = upstream
        self.listener = listening(listen)
        self.control = None if control is None else listening(str(control))
        self.changed = threading.Condition()
        self.orders: list[Order] = []
        self.cuts = 0
        self.open: set[socket.socket] = set()

    @property
    def address(self) -> Address:
        """Where clients connect; a port that was asked for as 0 is the real one here."""
        name: Address = self.listener.getsockname()
        return name

    def __enter__(self) -> Self:
        start(self.accept)
        if self.control is not None:
            start(self.take_orders, self.control)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in (self.listener, self.control):
            if server is not None:
                end(server)
                remove_socket_file(server)
        self.cut_all()

    def arm(self, *, text: str = "", times: int = 1) -> None:
        """Loses the answers to the next `times` commits of transactions with `text` in a
        statement; "" fits every transaction, one that only reads too."""
        with self.changed:
            self.orders.append(Order(text, times))

    def disarm(self) -> None:
        """Forgets what it was told to cut; `cuts` stays."""
        with self.changed:
            self.orders.clear()

    def cut_all(self) -> None:
        """Ends every connection, as a network that breaks does."""
        with self.changed:
            connections = list(self.open)
        for connection in connections:
            end(connection)

    def wait_until_cut(self, cuts: int = 1, timeout_s: float = PATIENCE_S) -> None:
        """Returns when so many answers were lost since the start; fails the test otherwise."""
        with self.changed:
            done = self.changed.wait_for(lambda: self.cuts >= cuts, timeout_s)
        assert done, f"{self.cuts} answers were lost, not {cuts}"

    def accept(self) -> None:
        """Serves each client in threads of its own, until the listener is closed."""
        for client in accepted(self.listener):
            start(self.serve, client)

    def serve(self, client: socket.socket) -> None:
        """One client: greets, then hands on in both directions until either side leaves."""
        try:
            greeting = read_greeting(client)
            server = connected(self.upstream)
        except (OSError, EOFError):
            return end(client)
        with self.changed:
            self.open |= {client, server}
        try:
            server.sendall(greeting)
            conversation = Conversation()
            start(self.hand_up, client, server, conversation)
            self.hand_down(client, server, conversation)
        except (OSError, EOFError):
            pass
        finally:
            self.forget(client, server)
        return None

    def forget(self, *connections: socket.socket) -> None:
        """Ends these connections."""
        with self.changed:
            self.open -= set(connections)
        for connection in connections:
            end(connection)

    def hand_up(
        self, client: socket.socket, server: socket.socket, conversation: Conversation
    ) -> None:
        """Client to server, remembering what is said."""
        try:
            for kind, body in messages(client):
                conversation.hear(kind, body)
                server.sendall(framed(kind, body))
        except OSError:
            pass
        finally:
            end(server)  # hand_down sees the end, and closes both

    def hand_down(
        self, client: socket.socket, server: socket.socket, conversation: Conversation
    ) -> None:
        """Server to client; returns when an answer is to be lost, or the server leaves.

        An answer is kept back from its CommandComplete on, where it may have to be lost: in the
        extended protocol the commit itself comes after that, and before ReadyForQuery.
        """
        kept: list[bytes] = []
        is_undone = False
        for kind, body in messages(server):
            kept.append(framed(kind, body))
            is_undone |= kind == b"E" or (kind == b"C" and body.startswith(b"ROLLBACK"))
            if kind == b"Z":
                if body == b"I" and not is_undone and self.must_cut(conversation):
                    return
                conversation.answered(is_idle=body == b"I")
                is_undone = False
            elif (
                (kind == b"C" or len(kept) > 1)
                and conversation.is_ending
                and self.is_waiting(conversation)
            ):
                continue
            client.sendall(b"".join(kept))
            kept.clear()

    def is_waiting(self, conversation: Conversation) -> bool:
        """Whether some order fits this transaction."""
        with self.changed:
            return any(conversation.had(order.text) for order in self.orders)

    def must_cut(self, conversation: Conversation) -> bool:
        """Whether this commit's answer is lost; counted, and an order that is done is gone."""
        with self.changed:
            # A greeting, or an empty cycle, is no commit.
            said = bool(conversation.transaction or conversation.cycles[0])
            order = next((order for order in self.orders if conversation.had(order.text)), None)
            if not said or order is None:
                return False
            order.cuts += 1
            if order.cuts >= order.times:
                self.orders.remove(order)
            self.cuts += 1
            self.changed.notify_all()
            return True

    def take_orders(self, control: socket.socket) -> None:
        """The control socket: a JSON object a connection, answered with how many were cut."""
        for client in accepted(control):
            with client, client.makefile("rw") as line:
                wanted = json.loads(line.readline())
                if wanted.pop("disarm", False):
                    self.disarm()
                elif wanted.pop("cut_all", False):
                    self.cut_all()
                elif wanted:
                    self.arm(**wanted)
                line.write(json.dumps({"cuts": self.cuts, "orders": len(self.orders)}) + "\n")


def order(control: Path, **wanted: object) -> dict[str, int]:
    """Tells a proxy in another process what to do (`text=` and `times=` arm it, `disarm=True`
    disarms it, `cut_all=True` ends every connection, nothing only asks); returns `cuts`, the
    answers lost so far, and `orders`, how many orders still wait."""
    with connected(str(control)) as proxy, proxy.makefile("rw") as line:
        line.write(json.dumps(wanted) + "\n")
        line.flush()
        answer: dict[str, int] = json.loads(line.readline())
        return answer


def read_greeting(client: socket.socket) -> bytes:
    """The client's startup message (or its request to cancel); encryption is refused before."""
    while True:
        length = exactly(client, 4)
        body = exactly(client, struct.unpack("!I", length)[0] - 4)
        if struct.unpack("!I", body[:4])[0] not in ENCRYPTION_REQUESTS:
            return length + body
        client.sendall(b"N")


def messages(connection: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Each message's kind and body, until the other side leaves."""
    stream = connection.makefile("rb", CHUNK_BYTES)
    while header := stream.read(5):
        if len(header) < 5:
            return
        length = struct.unpack("!I", header[1:])[0] - 4
        yield header[:1], stream.read(length)


def framed(kind: bytes, body: bytes) -> bytes:
    """A message as it goes over the wire."""
    return kind + struct.pack("!I", len(body) + 4) + body


def text_of(body: bytes) -> str:
    """A C string as text."""
    return body.rstrip(b"\0").decode(errors="replace")


def exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes; raises EOFError if the other side leaves before."""
    read = b""
    while len(read) < size:
        chunk = connection.recv(size - len(read))
        if not chunk:
            raise EOFError
        read += chunk
    return read


def listening(address: Address) -> socket.socket:
    """A server's socket; a path is replaced if it is there."""
    if isinstance(address, str):
        Path(address).unlink(missing_ok=True)
    server = socket.socket(family_of(address))
    if not isinstance(address, str):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(address)
    server.listen(128)
    return server


def connected(address: Address) -> socket.socket:
    """A client's socket."""
    client = socket.socket(family_of(address))
    client.connect(address)
    return client


def family_of(address: Address) -> socket.AddressFamily:
    """Unix for a path, IPv4 for a host and port."""
    return socket.AF_UNIX if isinstance(address, str) else socket.AF_INET


def accepted(server: socket.socket) -> Iterator[socket.socket]:
    """Each client that connects, until the server's socket is closed."""
    while True:
        try:
            client, _address = server.accept()
        except OSError:
            return
        yield client


def end(connection: socket.socket) -> None:
    """Closes for both sides at once, for whoever waits in a read too."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def remove_socket_file(server: socket.socket) -> None:
    """A Unix socket leaves a file behind."""
    if server.family == socket.AF_UNIX:
        Path(server.getsockname()).unlink(missing_ok=True)


def start(target: object, *args: object) -> None:
    """A thread that nobody waits for."""
    threading.Thread(target=target, args=args, daemon=True).start()  # type: ignore[arg-type]


def parsed(address: str) -> Address:
    """HOST:PORT, or the path of a socket."""
    host, _, port = address.rpartition(":")
    return (host, int(port)) if port.isdigit() and "/" not in address else address


def serve(make_proxy: Callable[..., AbstractContextManager[Any]], *, about: str | None) -> None:
    """The proxy as a process of its own, until it is killed."""
    parser = argparse.ArgumentParser(description=about)
    for name in ("upstream", "listen"):
        parser.add_argument(f"--{name}", required=True, type=parsed)
    parser.add_argument("--control", required=True, type=Path)
    options = parser.parse_args()
    with make_proxy(
        upstream=options.upstream, listen=options.listen, control=options.control
    ) as proxy:
        print(f"ready on {proxy.address}, process {os.getpid()}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    serve(CuttingProxy, about=__doc__)
