"""The one server that `make up`, the containers and the tests start, with the limits of the
settings, as a process of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.deployment.proxies import wait_for
from webapp.embedded.stack import PROJECT

START_S = 30


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server that takes one kilobyte of header and two connections."""
    small = {"DARKROOM_HEADER_KB": "1", "DARKROOM_HEADER_LINE_KB": "1"}
    limits = {**small, "DARKROOM_HEADER_TIMEOUT_S": "1", "DARKROOM_CONNECTIONS_PER_ADDRESS": "2"}
    with serving(limits) as (number, _server):
        yield number


@contextmanager
def serving(settings: dict[str, str]) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """A server with these settings, at its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "webapp.serve", "--port", str(number), "--log-level", "error"]
    server = subprocess.Popen(command, cwd=PROJECT, env={**os.environ, **settings})
    try:
        wait_for(number, server)
        yield number, server
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) in {0, -signal.SIGTERM}


def ask(port: int, request: bytes) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        return int(connection.recv(4096)[9:12])


def request_with(line: bytes) -> bytes:
    return b"GET /accounts/nowhere/ HTTP/1.1\r\nhost: localhost\r\n" + line + b"\r\n\r\n"


def test_a_header_just_over_the_setting_is_refused_and_one_just_under_is_not(port: int) -> None:
    assert ask(port, request_with(b"x: " + b"a" * 900)) != 431
    assert ask(port, request_with(b"x: " + b"a" * 1000)) == 431


def test_a_header_that_does_not_end_is_refused_after_its_second(port: int) -> None:
    assert ask(port, request_with(b"x: a")[:-2]) == 408


def test_a_third_connection_is_one_too_many(port: int) -> None:
    held = [socket.create_connection(("127.0.0.1", port), timeout=10) for _one in range(2)]
    time.sleep(0.2)
    assert ask(port, request_with(b"x: a")) == 429
    for connection in held:
        connection.close()


def test_a_server_that_is_asked_to_stop_takes_nobody_new_and_answers_who_is_there() -> None:
    body = b"login=ada%40example.org&password=wrong"
    head = b"POST /accounts/login/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    # JSON: a page would need static files, which only a studio that was prepared has.
    kind = b"accept: application/json\r\ncontent-type: application/x-www-form-urlencoded\r\n"
    with serving({}) as (port, server):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as there:
            there.sendall(head + kind + b"content-length: %d\r\n\r\n" % len(body) + body[:10])
            time.sleep(0.5)
            server.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", port), timeout=5)
            there.sendall(body[10:])
            answer = b"".join(iter(lambda: there.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 403 ")  # the form has no token
        assert answer.rstrip().endswith(b"}")
        assert server.wait(10) in {0, -signal.SIGTERM}


def test_everything_starts_the_same_server() -> None:
    """No second command line whose limits could be others."""
    sources = [PROJECT / "Dockerfile", PROJECT / "docker-compose.yml", PROJECT / "Makefile"]
    sources += [*(PROJECT / "webapp").rglob("*.py"), *(PROJECT / "tests").rglob("*.py")]
    command = re.compile(r"uvicorn[\"', ]+webapp\.asgi")
    assert [path for path in sources if command.search(path.read_text("utf-8"))] == []
