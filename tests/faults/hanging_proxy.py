"""A proxy that hangs, refuses or lets through, as it is told: any neighbour that speaks over TCP
or a Unix socket (S3, Valkey, PostgreSQL, SMTP) can be made to behave like that.

    with HangingProxy(upstream=("127.0.0.1", 9000)) as proxy:
        proxy.hang()     # connections are taken, nothing is handed on or answered
        proxy.refuse()   # connections are ended at once, those that are open too
        proxy.resume()   # everything that was held back goes on

From another process: `python -m tests.faults.hanging_proxy --upstream A --listen B --control C`
(an address is HOST:PORT or the path of a socket), and `order(C, "hang")`.
"""

import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.faults.cutting_proxy import (
    CHUNK_BYTES,
    Address,
    accepted,
    connected,
    end,
    listening,
    remove_socket_file,
    serve,
    start,
)

ANY_PORT = ("127.0.0.1", 0)
ORDERS = ("hang", "refuse", "resume", "ask")


class HangingProxy:
    """The proxy, in threads of its own, for the length of a `with` block."""

    def __init__(
        self, *, upstream: Address, listen: Address = ANY_PORT, control: Path | None = None
    ) -> None:
        self.upstream = upstream
        self.listener = listening(listen)
        self.control = None if control is None else listening(str(control))
        self.flows = threading.Event()
        self.flows.set()
        self.refuses = False
        self.lock = threading.Lock()
        self.open: set[socket.socket] = set()
        self.accepted = 0

    @property
    def address(self) -> Address:
        """Where clients connect; a port that was asked for as 0 is the real one here."""
        name: Address = self.listener.getsockname()
        return name

    @property
    def url(self) -> str:
        """The address of a proxy that listens to a port, as HTTP clients write it.
        Raises TypeError for one that listens to a path."""
        if isinstance(self.address, str):
            raise TypeError("this proxy listens to the socket of a path")
        return f"http://{self.address[0]}:{self.address[1]}"

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
                remove_socket_file(server)  # while it can still say its name
                end(server)
        self.refuse()

    def hang(self) -> None:
        """From now on nothing is handed on, in either direction."""
        self.refuses = False
        self.flows.clear()

    def refuse(self) -> None:
        """Ends what is open, and from now on every connection as soon as it was made."""
        self.refuses = True
        with self.lock:
            connections = list(self.open)
        for connection in connections:
            end(connection)
        self.flows.set()

    def resume(self) -> None:
        """Hands on again, first what was held back."""
        self.refuses = False
        self.flows.set()

    def accept(self) -> None:
        """Serves each client in threads of its own, until the listener is closed."""
        for client in accepted(self.listener):
            self.accepted += 1
            if self.refuses:
                end(client)
            else:
                start(self.serve, client)

    def serve(self, client: socket.socket) -> None:
        """Hands on in both directions until either side leaves."""
        try:
            server = connected(self.upstream)
        except OSError:
            return end(client)
        with self.lock:
            self.open |= {client, server}
        start(self.hand_on, server, client)
        self.hand_on(client, server)
        return None

    def hand_on(self, source: socket.socket, target: socket.socket) -> None:
        """One direction; a source that leaves takes the target along."""
        with suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                self.flows.wait()
                target.sendall(chunk)
        with self.lock:
            self.open -= {source, target}
        end(source)
        end(target)

    def take_orders(self, control: socket.socket) -> None:
        """The control socket: one word a connection, answered with how many were accepted."""
        for client in accepted(control):
            with client, client.makefile("rw") as line:
                word = line.readline().strip()
                if word in ORDERS[:-1]:
                    getattr(self, word)()
                line.write(f"{self.accepted}\n")


def order(control: Path, word: str) -> int:
    """Tells a proxy in another process to `hang`, `refuse` or `resume`, or only asks (`ask`);
    returns how many connections it has taken so far. Raises ValueError for another word."""
    if word not in ORDERS:
        raise ValueError(f"a hanging proxy takes one of {', '.join(ORDERS)}, not {word}")
    with connected(str(control)) as proxy, proxy.makefile("rw") as line:
        line.write(f"{word}\n")
        line.flush()
        return int(line.readline())


if __name__ == "__main__":
    serve(HangingProxy, about=__doc__)
