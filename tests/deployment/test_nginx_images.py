"""Images that nginx sends: those that the studio names, under its headers, to nobody else."""

from http.client import HTTPConnection

import pytest

from tests.deployment.proxies import (
    OF_AN_IMAGE,
    PNG,
    certificate,
    each_nginx,
    fetch,
    nginx_inner,
    nginx_outer,
    proxy,
    studio,
)
from webapp.generation.private_files import FOLDER_IN_NGINX

__all__ = ["certificate", "nginx_inner", "nginx_outer", "proxy", "studio"]


@each_nginx
def test_nginx_sends_the_image_that_the_studio_names_under_the_studios_headers(
    proxy: HTTPConnection,
) -> None:
    answer, body = fetch(proxy, "/images/images/ab/one.png")
    assert (answer.status, body) == (200, PNG)
    assert {name: answer.headers[name] for name in OF_AN_IMAGE} == OF_AN_IMAGE
    assert "X-Accel-Redirect" not in answer.headers


@each_nginx
def test_nginx_sends_the_head_or_a_part_of_it(proxy: HTTPConnection) -> None:
    answer, body = fetch(proxy, "/images/images/ab/one.png", "HEAD")
    assert (answer.status, body, answer.headers["Content-Length"]) == (200, b"", str(len(PNG)))
    answer, body = fetch(proxy, "/images/images/ab/one.png", Range="bytes=5-9")
    assert (answer.status, body) == (206, PNG[5:10])


@each_nginx
def test_no_visitor_names_a_file_to_nginx(proxy: HTTPConnection) -> None:
    for path in (f"{FOLDER_IN_NGINX}images/ab/one.png", "//_images/images/ab/one.png"):
        answer, body = fetch(proxy, path, **{"X-Accel-Redirect": f"{FOLDER_IN_NGINX}x"})
        assert answer.status == 404
        assert PNG not in body
    sent = {"X-Accel-Redirect": f"{FOLDER_IN_NGINX}images/ab/one.png"}
    answer, body = fetch(proxy, "/", **sent)
    assert answer.status == 200
    assert PNG not in body


@each_nginx
@pytest.mark.parametrize("name", ["../secret", "%2e%2e/secret", "images/../../secret"])
def test_not_even_the_studio_leads_out_of_the_folder(proxy: HTTPConnection, name: str) -> None:
    answer, body = fetch(proxy, f"/images/{name}")
    assert answer.status in {400, 404, 500, 503}
    assert b"a secret" not in body


@each_nginx
def test_a_file_that_is_gone_is_not_found(proxy: HTTPConnection) -> None:
    assert fetch(proxy, "/images/images/ab/two.png")[0].status == 404
