"""The proxy files of deploy/, held by the studio's own limits and, where nginx or Caddy is
installed, tried with them in front of a small server."""

import json
import re
import socket
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from django.conf import settings

from tests.deployment.proxies import (
    DEPLOY,
    Studio,
    ask,
    by_tls,
    caddy,
    certificate,
    each_proxy,
    free_port,
    inner,
    nginx_inner,
    nginx_outer,
    plainly,
    proxy,
    studio,
    text_of,
    with_caddy,
    with_nginx,
)
from webapp.core.bodies import MEGABYTE, MOST_BYTES
from webapp.core.trail import SAFE_ID

__all__ = ["caddy", "certificate", "nginx_inner", "nginx_outer", "proxy", "studio"]


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
        assert id_given(connection, X_Request_ID="a-visitors-own") not in {"", "a-visitors-own"}
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


def id_given(proxy: HTTPConnection, **headers: str) -> str:
    """The id under which a request reaches the studio; "" if it has none, or one that the studio
    would not take."""
    seen = json.loads(ask(proxy, "GET", "/", b"", **headers)[1])
    given = next((seen[name] for name in seen if name.lower() == "x-request-id"), "")
    return str(given) if SAFE_ID.fullmatch(given.encode()) else ""


@each_proxy
def test_every_request_has_an_id_of_its_own(proxy: HTTPConnection) -> None:
    ids = {id_given(proxy), id_given(proxy)}
    assert len(ids) == 2
    assert "" not in ids


@each_proxy
def test_no_visitor_says_to_which_trace_a_request_belongs(proxy: HTTPConnection) -> None:
    given = {"traceparent": "00-0af7-b7ad-01", "tracestate": "a=b", "baggage": "a=b"}
    seen = json.loads(ask(proxy, "GET", "/", b"", **given)[1])
    assert {name.lower() for name in seen} & set(given) == set()


@with_nginx
def test_the_proxy_of_compose_passes_on_the_id_that_the_one_before_it_gave(
    nginx_inner: int,
) -> None:
    with closing(plainly(nginx_inner, DEPLOY)) as connection:
        assert id_given(connection, X_Request_ID="given-before") == "given-before"


@with_nginx
def test_nginx_says_503_when_no_studio_answers(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    for port in inner(free_port(), tmp_path_factory.mktemp("alone")):
        with closing(plainly(port, DEPLOY)) as connection:
            status, body = ask(connection, "GET", "/")
    assert (status, body[:10]) == (503, b"The studio")
