"""The proxy files of deploy/, held by the studio's own limits and, where nginx or Caddy is
installed, tried with them in front of a small server."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from webapp.core.bodies import MEGABYTE, MOST_BYTES

DEPLOY = Path(settings.BASE_DIR) / "deploy"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CADDY = shutil.which("caddy")
OPENSSL = shutil.which("openssl")
START_S = 60
with_nginx = pytest.mark.skipif(not NGINX or not OPENSSL, reason="nginx is not installed")
with_caddy = pytest.mark.skipif(not CADDY or not OPENSSL, reason="Caddy is not installed")


def text_of(name: str) -> str:
    return (DEPLOY / name).read_text("utf-8")


def test_a_proxy_takes_what_the_studio_takes_and_refuses_the_rest_in_its_words() -> None:
    most_mb = MOST_BYTES // MEGABYTE
    assert f"client_max_body_size {most_mb}m;" in text_of("nginx/studio.conf")
    assert f"max_size {most_mb}MiB" in text_of("Caddyfile")
    assert f"at most {most_mb} MB can be sent at once" in text_of("nginx/studio.conf")


def test_a_proxys_limits_of_the_header_are_the_studios() -> None:
    nginx, caddy = text_of("nginx/studio.conf"), text_of("Caddyfile")
    count, line_kb = re.findall(r"large_client_header_buffers (\d+) (\d+)k;", nginx)[0]
    assert (int(line_kb), int(count) * int(line_kb)) == (
        settings.HEADER_LINE_KB,
        settings.HEADER_KB,
    )
    assert f"client_header_timeout {settings.HEADER_TIMEOUT_S}s;" in nginx
    assert f"max_header_size {settings.HEADER_KB}KiB" in caddy
    assert f"read_header {settings.HEADER_TIMEOUT_S}s" in caddy


class Studio(BaseHTTPRequestHandler):
    """Says what reached it; below /events/ one event at once and the next when it is let."""

    protocol_version = "HTTP/1.1"
    go_on = threading.Event()

    def do_GET(self) -> None:
        if self.path.startswith("/events/"):
            return self.stream()
        return self.say(dict(self.headers.items()))

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 16)))
        self.say({"bytes": int(self.headers["Content-Length"])})

    def say(self, facts: dict[str, Any]) -> None:
        body = json.dumps(facts).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"data: first\n\n")
        self.wfile.flush()
        self.go_on.wait(60)
        self.wfile.write(b"data: second\n\n")

    def log_message(self, *_words: object) -> None:
        """Says nothing."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def studio() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Studio)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a certificate that signs itself."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        [
            *(str(OPENSSL), "req", "-x509", "-newkey", "ec", "-pkeyopt"),
            *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj"),
            *("/CN=studio.example.org", "-addext", "subjectAltName=DNS:studio.example.org"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return folder


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"{process.args!r} did not start")


def running(command: list[str], port: int, *, environment: dict[str, str]) -> Iterator[int]:
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def nginx_inner(studio: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    yield from inner(studio, tmp_path_factory.mktemp("inner"))


def inner(studio: int, folder: Path) -> Iterator[int]:
    """compose.conf as it is, but for its port and the address of `web`."""
    port = free_port()
    text = text_of("nginx/compose.conf")
    for old, new in (
        ("listen 8000;", f"listen 127.0.0.1:{port};"),
        ("web:8000", f"127.0.0.1:{studio}"),
        ("/tmp/", f"{folder}/"),  # noqa: S108 - before a path of ours, which may lie below it
        ("/etc/darkroom/", f"{DEPLOY}/nginx/"),
        ("    resolver 127.0.0.11 valid=5s ipv6=off;\n", ""),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)
    command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    yield from running(command, port, environment={})


@pytest.fixture(scope="module")
def nginx_outer(
    studio: int, certificate: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """darkroom.conf inside of the frame that Debian's nginx.conf is."""
    folder, port = tmp_path_factory.mktemp("outer"), free_port()
    text = text_of("nginx/darkroom.conf")
    for old, new in (
        ("    listen [::]:80;\n", ""),
        ("    listen [::]:443 ssl http2;\n", ""),
        ("listen 80;", f"listen 127.0.0.1:{free_port()};"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("127.0.0.1:8000", f"127.0.0.1:{studio}"),
        ("/etc/nginx/darkroom/", f"{DEPLOY}/nginx/"),
        ("/etc/letsencrypt/live/studio.example.org/fullchain.pem", f"{certificate}/cert.pem"),
        ("/etc/letsencrypt/live/studio.example.org/privkey.pem", f"{certificate}/key.pem"),
    ):
        assert old in text
        text = text.replace(old, new)
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{name}_temp_path {folder}/{name};" for name in names)
    frame = (
        f"pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off; {paths} {text} }}"
    )
    (folder / "nginx.conf").write_text(frame)
    command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    yield from running(command, port, environment={})


@pytest.fixture(scope="module")
def caddy(
    studio: int, certificate: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """The Caddyfile with a certificate of ours in place of one that it would get."""
    folder, port = tmp_path_factory.mktemp("caddy"), free_port()
    text = text_of("Caddyfile")
    tls = f"tls {certificate}/cert.pem {certificate}/key.pem"
    for old, new in (
        (
            "{\n\tservers {",
            f"{{\n\tadmin off\n\tauto_https disable_redirects\n\thttps_port {port}\n\tservers {{",
        ),
        ("studio.example.org {", f"studio.example.org {{\n\tbind 127.0.0.1\n\t{tls}"),
        ("127.0.0.1:8000", f"127.0.0.1:{studio}"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "Caddyfile").write_text(text)
    command = [str(CADDY), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    homes = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    yield from running(command, port, environment=homes)


class ToLoopback(HTTPSConnection):
    """TLS to 127.0.0.1 for the certificate's name."""

    trusting: ssl.SSLContext

    def connect(self) -> None:
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        self.sock = self.trusting.wrap_socket(raw, server_hostname="studio.example.org")


def plainly(port: int, _certificate: Path) -> HTTPConnection:
    return HTTPConnection("127.0.0.1", port, timeout=60)


def by_tls(port: int, certificate: Path) -> HTTPConnection:
    connection = ToLoopback("studio.example.org", port, timeout=60)
    connection.trusting = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    return connection


EACH = [
    pytest.param("nginx_inner", plainly, marks=with_nginx, id="nginx in compose"),
    pytest.param("nginx_outer", by_tls, marks=with_nginx, id="nginx with TLS"),
    pytest.param("caddy", by_tls, marks=with_caddy, id="Caddy"),
]


@pytest.fixture
def proxy(request: pytest.FixtureRequest, certificate: Path) -> Iterator[HTTPConnection]:
    """A connection to the proxy that the test's parameter names."""
    name, connect = request.param
    with closing(connect(request.getfixturevalue(name), certificate)) as connection:
        yield connection


def each_proxy(function: Any) -> Any:
    params = [
        pytest.param((one.values[0], one.values[1]), marks=one.marks, id=str(one.id))
        for one in EACH
    ]
    return pytest.mark.parametrize("proxy", params, indirect=True)(function)


def ask(
    proxy: HTTPConnection, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    proxy.request(method, path, body=body or None, headers={"Host": "studio.example.org", **named})
    answer = proxy.getresponse()
    return answer.status, answer.read()


@each_proxy
def test_a_large_upload_passes(proxy: HTTPConnection) -> None:
    """nginx's own default ends at one megabyte."""
    status, body = ask(proxy, "POST", "/", b"x" * (21 * MEGABYTE))
    assert (status, json.loads(body)) == (200, {"bytes": 21 * MEGABYTE})


@each_proxy
def test_one_just_over_the_limit_is_refused(proxy: HTTPConnection) -> None:
    try:
        status, _body = ask(proxy, "POST", "/", b"x" * (MOST_BYTES + 1))
    except (BrokenPipeError, ConnectionResetError):  # it may hang up on what it refused
        return
    assert status in {413, 502}


@with_nginx
def test_nginx_says_so_as_the_studio_does(nginx_inner: int) -> None:
    with socket.create_connection(("127.0.0.1", nginx_inner), timeout=60) as connection:
        head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {MOST_BYTES + 1}\r\n\r\n"
        connection.sendall(head.encode())
        answer = connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 413 ")
    said = json.loads(answer.partition("\r\n\r\n")[2])
    assert said["error"]["code"] == "too_large"


@each_proxy
def test_a_header_over_the_limit_is_refused_and_one_under_it_passes(proxy: HTTPConnection) -> None:
    assert ask(proxy, "GET", "/", X_Long="a" * (settings.HEADER_LINE_KB - 2) * 1024)[0] == 200
    status, _body = ask(proxy, "GET", "/", X_Long="a" * (settings.HEADER_KB + 8) * 1024)
    assert status in {400, 431}


@each_proxy
def test_an_event_arrives_before_the_next_one_is_sent(proxy: HTTPConnection) -> None:
    Studio.go_on.clear()
    proxy.request("GET", "/events/", headers={"Host": "studio.example.org"})
    answer = proxy.getresponse()
    assert answer.readline() == b"data: first\n"
    Studio.go_on.set()
    assert answer.read() == b"\ndata: second\n\n"


@with_nginx
def test_nginx_with_tls_says_who_came_and_how_and_believes_no_visitor(
    nginx_outer: int, certificate: Path
) -> None:
    _forwarding_is_its_own(by_tls(nginx_outer, certificate))


@with_caddy
def test_caddy_says_who_came_and_how_and_believes_no_visitor(caddy: int, certificate: Path) -> None:
    _forwarding_is_its_own(by_tls(caddy, certificate))


def _forwarding_is_its_own(connection: HTTPConnection) -> None:
    with closing(connection):
        lies = {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "http"}
        _status, body = ask(connection, "GET", "/", b"", **lies)
    seen = json.loads(body)
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Forwarded-Proto"] == "https"
    assert seen["Host"] == "studio.example.org"


@with_nginx
def test_the_proxy_of_compose_adds_itself_and_passes_on_what_ended_tls(nginx_inner: int) -> None:
    """`DARKROOM_TRUSTED_PROXIES` counts both."""
    with closing(plainly(nginx_inner, DEPLOY)) as connection:
        outer = {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "https"}
        seen = json.loads(ask(connection, "GET", "/", b"", **outer)[1])
        assert seen["X-Forwarded-For"] == "203.0.113.9, 127.0.0.1"
        assert seen["X-Forwarded-Proto"] == "https"
        assert json.loads(ask(connection, "GET", "/")[1])["X-Forwarded-Proto"] == "http"


@with_nginx
def test_nginx_says_503_when_no_studio_answers(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    for port in inner(free_port(), tmp_path_factory.mktemp("alone")):
        with closing(plainly(port, DEPLOY)) as connection:
            status, body = ask(connection, "GET", "/")
    assert (status, body[:10]) == (503, b"The studio")
