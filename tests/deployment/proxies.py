"""A small server in the studio's place, with the proxy files of deploy/ before it, in the real
nginx and Caddy where they are installed."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from webapp.generation.private_files import FOLDER_IN_NGINX

DEPLOY = Path(settings.BASE_DIR) / "deploy"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CADDY = shutil.which("caddy")
OPENSSL = shutil.which("openssl")
START_S = 60
# Whose nginx reads the media folder: the user of these tests, who may be root.
DIRECTIVES = "daemon off; user root;" if os.geteuid() == 0 else "daemon off;"
with_nginx = pytest.mark.skipif(not NGINX or not OPENSSL, reason="nginx is not installed")
with_caddy = pytest.mark.skipif(not CADDY or not OPENSSL, reason="Caddy is not installed")


def text_of(name: str) -> str:
    return (DEPLOY / name).read_text("utf-8")


OF_AN_IMAGE = {
    "Content-Type": "image/png",
    "Content-Disposition": 'attachment; filename="fox.png"',
    "Cache-Control": "private, no-cache",
    "ETag": '"of the name"',
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'",
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
    "X-Request-ID": "an-id",
}
PNG = bytes(range(256)) * 40


class Studio(BaseHTTPRequestHandler):
    """Says what reached it; below /events/ one event at once and the next when it is let."""

    protocol_version = "HTTP/1.1"
    go_on = threading.Event()

    def do_GET(self) -> None:
        if self.path.startswith("/events/"):
            return self.stream()
        if self.path.startswith("/images/"):
            return self.name_a_file()
        return self.say(dict(self.headers.items()))

    def do_HEAD(self) -> None:
        self.name_a_file()

    def name_a_file(self) -> None:
        """As the studio does with DARKROOM_SEND_IMAGES=nginx: the last part is the file's name."""
        self.send_response(200)
        for name, value in OF_AN_IMAGE.items():
            self.send_header(name, value)
        file = self.path.removeprefix("/images/")
        self.send_header("X-Accel-Redirect", f"{FOLDER_IN_NGINX}{file}")
        self.send_header("Content-Length", "0")
        self.end_headers()

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


def media(folder: Path) -> Path:
    """A media folder with one image, and beside it a file that is none."""
    images = folder / "media" / "images" / "ab"
    images.mkdir(parents=True)
    (images / "one.png").write_bytes(PNG)
    (folder / "secret").write_text("a secret")
    return folder / "media"


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
        ("/var/lib/darkroom/media", str(media(folder))),
        ("    resolver 127.0.0.11 valid=5s ipv6=off;\n", ""),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)
    command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", DIRECTIVES]
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
        ("/srv/darkroom/var/media", str(media(folder))),
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
    command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", DIRECTIVES]
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


each_nginx = pytest.mark.parametrize(
    "proxy",
    [pytest.param(one.values[:2], marks=one.marks, id=str(one.id)) for one in EACH[:2]],
    indirect=True,
)


def fetch(
    proxy: HTTPConnection, path: str, method: str = "GET", **headers: str
) -> tuple[HTTPResponse, bytes]:
    proxy.request(method, path, headers={"Host": "studio.example.org", **headers})
    answer = proxy.getresponse()
    return answer, answer.read()
