"""The proxy itself: what hangs goes on later, and what is refused ends at once."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.cutting_proxy import accepted, connected, end, listening, start
from tests.faults.hanging_proxy import HangingProxy, order

SOON_S = 0.3


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[HangingProxy]:
    """Before a server that sends back what it hears."""
    server = listening(("127.0.0.1", 0))
    start(echo, server)
    with HangingProxy(upstream=server.getsockname(), control=tmp_path / "control") as running:
        yield running
    end(server)


def echo(server: socket.socket) -> None:
    for client in accepted(server):
        threading.Thread(target=say_again, args=[client], daemon=True).start()


def say_again(client: socket.socket) -> None:
    with client, suppress(OSError):
        while said := client.recv(100):
            client.sendall(said)


def client_of(proxy: HangingProxy) -> socket.socket:
    client = connected(proxy.address)
    client.settimeout(SOON_S)
    return client


def test_what_is_said_while_it_hangs_is_answered_once_it_goes_on(proxy: HangingProxy) -> None:
    with client_of(proxy) as client:
        client.sendall(b"before")
        assert client.recv(100) == b"before"
        proxy.hang()
        client.sendall(b"meanwhile")
        with pytest.raises(TimeoutError):
            client.recv(100)
        proxy.resume()
        assert client.recv(100) == b"meanwhile"


def test_a_connection_made_while_it_hangs_is_taken_and_not_answered(proxy: HangingProxy) -> None:
    proxy.hang()
    with client_of(proxy) as client:
        client.sendall(b"hello")
        with pytest.raises(TimeoutError):
            client.recv(100)


def test_refused_connections_end_at_once_and_so_do_those_that_were_open(
    proxy: HangingProxy,
) -> None:
    with client_of(proxy) as before:
        before.sendall(b"hello")
        assert before.recv(100) == b"hello"
        proxy.refuse()
        assert before.recv(100) == b""
        with client_of(proxy) as refused:
            assert refused.recv(100) == b""


def test_another_process_gives_orders_over_the_control_socket(
    proxy: HangingProxy, tmp_path: Path
) -> None:
    with client_of(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        assert order(tmp_path / "control", "hang") == 1
        assert not proxy.flows.is_set()
        order(tmp_path / "control", "resume")
        assert proxy.flows.is_set()
        with pytest.raises(ValueError, match="one of hang, refuse, resume, ask, not stop"):
            order(tmp_path / "control", "stop")
