"""Every error page says one sentence and leads back, in the visitor's theme and language, and asks
no server that may be away."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import path
from django.utils import translation

from webapp import urls
from webapp.core import views
from webapp.core.errors import TooMany

pytestmark = pytest.mark.usefixtures("static_files")
FAILURES: dict[str, Exception] = {
    "400": SuspiciousOperation("a forged cookie"),
    "403": PermissionDenied(),
    "404": Http404("a secret name"),
    "429": TooMany("That was too often."),
    "500": ZeroDivisionError("a secret detail"),
}
SENTENCES = {
    "400": "That request could not be read.",
    "403": "You may not open this page.",
    "404": "Nothing was found here. It may have been deleted, or you may not have access.",
    "429": "That was too often.",
    "500": "Something went wrong on our side.",
}


def fail(request: HttpRequest, kind: str) -> HttpResponse:
    raise FAILURES[kind]


# This file stands in for the project's addresses: the same, and one that fails.
urlpatterns = [path("fail/<str:kind>/", fail), *urls.urlpatterns]
handler400, handler403, handler404 = urls.handler400, urls.handler403, urls.handler404
handler429, handler500 = urls.handler429, urls.handler500


@pytest.fixture
def visit() -> Callable[..., HttpResponse]:
    """Asks a page that fails, as a browser does, on addresses that include it."""
    client = Client(raise_request_exception=False)

    def ask(kind: str, *, method: str = "get", **headers: str) -> HttpResponse:
        asked = {"Accept": "text/html,*/*;q=0.8", "Host": "testserver", **headers}
        response: HttpResponse = getattr(client, method)(f"/fail/{kind}/", headers=asked)
        return response

    return ask


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_has_a_page_with_its_sentence_and_a_way_back(
    visit: Callable[..., HttpResponse], kind: str
) -> None:
    # Without the `db` mark: a query here would fail the test.
    response = visit(kind)
    page = response.content.decode()
    assert response.status_code == int(kind)
    assert SENTENCES[kind] in page
    assert 'href="/"' in page
    assert "secret" not in page


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_told_to_scripts_in_json(
    visit: Callable[..., HttpResponse], kind: str
) -> None:
    response = visit(kind, Accept="application/json")
    assert response.status_code == int(kind)
    assert SENTENCES[kind] in response.json()["error"]["message"]  # type: ignore[attr-defined]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_page_keeps_the_theme_that_was_chosen(
    visit: Callable[..., HttpResponse], theme: str
) -> None:
    page = visit("500", Cookie=f"theme={theme}").content.decode()
    assert f'data-theme="{theme}"' in page


@pytest.mark.urls(__name__)
def test_the_page_speaks_the_language_of_the_browser(
    visit: Callable[..., HttpResponse],
) -> None:
    page = visit("404", **{"Accept-Language": "ko"}).content.decode()
    assert 'lang="ko"' in page
    with translation.override("ko"):
        assert (
            translation.gettext(
                "Nothing was found here. It may have been deleted, or you may not have access."
            )
            in page
        )


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    ("referer", "way"),
    [
        ("http://testserver/gallery/?q=fox", 'href="/gallery/?q=fox"'),
        ("http://elsewhere.example/gallery/", None),
        ("http://testserver//elsewhere.example/", None),
        ("http://testserver/fail/404/", None),
        ("http://testserver/", None),
        ("javascript:alert(1)", None),
        ("", None),
    ],
)
def test_the_page_leads_back_to_where_the_visitor_was_and_never_elsewhere(
    visit: Callable[..., HttpResponse], referer: str, way: str | None
) -> None:
    page = visit("404", Referer=referer).content.decode()
    assert ("Back to the previous page" in page) is (way is not None)
    assert way is None or way in page
    assert "elsewhere.example" not in page


@pytest.mark.urls(__name__)
def test_only_what_was_sent_and_refused_is_said_to_be_not_charged(
    visit: Callable[..., HttpResponse],
) -> None:
    said = "Nothing was charged for this."
    assert said in visit("429", method="post").content.decode()
    assert said not in visit("429").content.decode()
    assert said not in visit("500", method="post").content.decode()


def test_an_old_form_is_refused_with_a_page_that_leads_back_to_it(alice: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    headers = {"Accept": "text/html", "Host": "testserver", "Referer": "http://testserver/account/"}
    response = client.post("/accounts/logout/", headers=headers)
    page = response.content.decode()
    assert response.status_code == 403
    assert "This page was open for too long. Reload it and try again." in page
    assert 'href="/account/"' in page


def test_an_address_that_only_takes_forms_has_a_page_too(alice: Any) -> None:
    client = Client()
    client.force_login(alice)
    response = client.get("/gallery/bin/", headers={"Accept": "text/html"})
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert "Use the button that leads to it" in response.content.decode()


@pytest.mark.usefixtures("valkey_is_empty")
def test_signing_in_too_often_is_answered_with_the_page(db: None) -> None:
    client = Client()
    form = {"login": "nobody@example.org", "password": "wrong and wrong again"}
    for _attempt in range(40):
        response = client.post("/accounts/login/", form, headers={"Accept": "text/html"})
        if response.status_code == 429:
            break
    assert response.status_code == 429
    assert "Too many attempts. Try again in" in response.content.decode()


def test_a_host_that_is_not_ours_gets_a_page_as_well() -> None:
    request = RequestFactory().get("/", headers={"Host": "evil.example", "Accept": "text/html"})
    response = views.bad_request(request, SuspiciousOperation())
    assert response.status_code == 400
    assert "That request could not be read." in response.content.decode()
