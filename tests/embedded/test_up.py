"""What `up` starts, and what it says when it cannot."""

import socket
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.embedded.harness import Running, processes_of
from webapp.embedded.errors import PortTakenError, StartFailedError
from webapp.embedded.paths import VarLayout
from webapp.embedded.stack import Stack, require_free_port

DATABASE = {"DATABASE_URL": "postgresql://db.example/darkroom"}
REDIS = {"REDIS_URL": "redis://broker.example"}


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def stack(tmp_path: Path) -> Callable[..., Stack]:
    def build(environment: dict[str, str] | None = None, port: int = 8000) -> Stack:
        return Stack(VarLayout(tmp_path), "127.0.0.1", port, environment or {})

    return build


def up(var: Path, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "webapp.embedded", "up"),
        *("--var", str(var), "--port", str(port)),
    ]


def test_a_taken_port_is_named_with_the_way_out(
    start: Callable[..., Running], var: Path, taken_port: int
) -> None:
    running = start(up(var, taken_port))

    assert running.exit_code() == 1
    assert f"Port {taken_port} is taken" in running.output
    assert f"PORT={taken_port + 1} make up" in running.output
    assert processes_of(var) == []


def test_a_port_whose_listener_is_gone_is_free(taken_port: int) -> None:
    with pytest.raises(PortTakenError):
        require_free_port("127.0.0.1", taken_port)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    require_free_port("127.0.0.1", port)


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(StartFailedError, match=r"cannot listen on 192\.0\.2\.1"):
        require_free_port("192.0.2.1", 8000)


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--port", "http"], ["--port", "-1"]])
def test_what_is_no_port_is_refused(start: Callable[..., Running], arguments: list[str]) -> None:
    running = start([sys.executable, "-m", "webapp.embedded", "up", *arguments])

    assert running.exit_code() == 2
    assert "is no port: 1 to 65535" in running.output


@pytest.mark.parametrize(
    ("environment", "started"),
    [
        ({}, ["postgres", "valkey"]),
        (DATABASE, ["valkey"]),
        (REDIS, ["postgres"]),
        (DATABASE | REDIS, []),
        ({"DATABASE_URL_FILE": "/run/secrets/database", "REDIS_URL": ""}, ["valkey"]),
    ],
)
def test_a_server_that_the_user_names_is_not_embedded(
    stack: Callable[..., Stack], environment: dict[str, str], started: list[str]
) -> None:
    assert [server.name for server in stack(environment).servers()] == started


def test_apps_get_the_urls_only_as_the_user_set_them(stack: Callable[..., Stack]) -> None:
    plain, named = stack().environment, stack(DATABASE).environment

    assert not {"DATABASE_URL", "REDIS_URL"} & set(plain)
    assert named["DATABASE_URL"] == DATABASE["DATABASE_URL"]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8001"),
        ("0.0.0.0", "http://127.0.0.1:8001"),  # noqa: S104 - the address of every interface
        ("::", "http://[::1]:8001"),
    ],
)
def test_the_set_up_link_leads_to_this_host_and_port(tmp_path: Path, host: str, url: str) -> None:
    stack = Stack(VarLayout(tmp_path), host, 8001, {})

    assert stack.preparation().argv[-2:] == ("--address", url)


def test_the_worker_gives_way_to_people(stack: Callable[..., Stack]) -> None:
    web, worker, beat = stack().apps()

    assert (web.nice, worker.nice, beat.nice) == (0, 15, 0)
    assert "--concurrency=4" in worker.argv


@pytest.mark.parametrize(
    ("status", "ready"), [(200, True), (301, True), (400, True), (500, False), (503, False)]
)
def test_the_web_server_is_ready_once_the_health_page_is_answered(
    stack: Callable[..., Stack], status: int, ready: bool
) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        check = stack(port=server.server_port).apps()[0].ready
        assert check is not None
        assert check(0) is ready
        thread.join()


def test_a_web_server_that_does_not_listen_is_not_ready(stack: Callable[..., Stack]) -> None:
    check = stack(port=1).apps()[0].ready

    assert check is not None
    assert check(0) is False
