"""Which methods an address answers, and that nobody on the way keeps an answer: every address of
the URLconf, ours and other packages', × anonymous and whoever may see most of it."""

import re
from typing import Any

import pytest
from django.test import Client, RequestFactory
from django.urls import resolve

from tests.security.test_access import (
    ADMIN_SITE,
    EXPECTED,
    OTHERS,
    Studio,
    admin_url,
    loaded_handler,
    studio,
    url_of,
)
from webapp.accounts.models import User
from webapp.core.methods import allowed_methods

__all__ = ["loaded_handler", "studio"]

NEVER = ("put", "patch", "delete", "trace", "options")
PAGES = sorted(name for name, expected in EXPECTED.items() if expected.method == "get")
FORMS = sorted(name for name, expected in EXPECTED.items() if expected.method == "post")


def ask(client: Client, method: str, url: str) -> Any:
    return client.generic(method.upper(), url)


def all_urls(studio: Studio) -> list[str]:
    others = [url_of(one.name, studio) for one in OTHERS]
    return [*others, *(admin_url(one.route, studio) for one in ADMIN_SITE)]


@pytest.mark.parametrize("who", ["anonymous", "charlie"])
def test_put_patch_and_delete_are_refused_with_what_is_allowed(studio: Studio, who: str) -> None:
    for url in all_urls(studio):
        for method in NEVER:
            response = ask(studio.people[who], method, url)
            assert response.status_code == 405, (method, url)
            allowed = set(response["Allow"].split(", "))
            assert allowed, url
            assert allowed <= {"GET", "HEAD", "POST"}, url
            assert ("GET" in allowed) == ("HEAD" in allowed), url


@pytest.mark.parametrize("name", FORMS)
def test_an_address_that_takes_forms_allows_nothing_else(studio: Studio, name: str) -> None:
    response = ask(studio.people["anonymous"], "get", url_of(name, studio))
    assert (response.status_code, response["Allow"]) == (405, "POST")


def test_a_refusal_needs_no_token_and_says_so_in_words(alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    response = strict.put("/accounts/email/", headers={"Accept": "text/html"})
    assert response.status_code == 405
    assert "Use the button that leads to it" in response.content.decode()


def test_a_passkey_is_not_removed_by_a_delete_without_its_page(studio: Studio) -> None:
    """allauth's view would do it; a form of that page is the way."""
    url = url_of("mfa_remove_webauthn", studio)
    assert ask(studio.people["alice"], "delete", url).status_code == 405


@pytest.mark.parametrize("who", ["anonymous", "alice", "charlie"])
def test_head_is_answered_as_get_is_without_a_body(studio: Studio, who: str) -> None:
    client = studio.people[who]
    for name in PAGES:
        url = url_of(name, studio)
        got, head = ask(client, "get", url), ask(client, "head", url)
        assert (head.status_code, head.get("Location")) == (got.status_code, got.get("Location"))
        assert head.get("Content-Type") == got.get("Content-Type"), url
        assert not head.streaming, url
        assert head.content == b"", url


def test_head_of_an_administrators_page_is_answered_too(studio: Studio) -> None:
    for one in ADMIN_SITE:
        url = admin_url(one.route, studio)
        got, head = (ask(studio.people["charlie"], method, url) for method in ("get", "head"))
        if one.name == "admin:logout":  # whoever asked first is signed out by then
            continue
        assert head.status_code == got.status_code, url
        assert head.content == b"", url


def test_head_begins_no_event_stream_and_no_archive(studio: Studio) -> None:
    head = ask(studio.people["alice"], "head", "/events/")
    assert (head.status_code, head["Content-Type"]) == (200, "text/event-stream")
    assert head["X-Accel-Buffering"] == "no"
    page = ask(studio.people["alice"], "head", "/account/export/")
    assert page.get("Content-Type", "").startswith("text/html")


KEPT_BY_BROWSERS = re.compile(r"/(images/[^/]+/(file|thumbnail|strip)|uploads/[^/]+(/thumbnail)?)/")


@pytest.mark.parametrize("who", ["anonymous", "alice", "charlie"])
def test_nobody_on_the_way_keeps_an_answer(studio: Studio, who: str) -> None:
    """Pages, files, redirects and refusals; other packages' and the admin site's, too. The browser
    of whoever may see an image keeps it, and asks each time."""
    client = studio.people[who]
    for url in [*all_urls(studio), "/nowhere/"]:
        for method in ("get", "post"):
            response = ask(client, method, url)
            kept = response.get("Cache-Control", "")
            if KEPT_BY_BROWSERS.fullmatch(url) and response.status_code == 200:
                assert kept == "private, no-cache", (method, url)
            else:
                assert "no-store" in kept, (method, url)


def test_static_files_are_kept_by_browsers(studio: Studio) -> None:
    import re

    page = studio.people["alice"].get("/").content.decode()
    found = re.search(r'href="(/static/css/tokens[^"]+)"', page)
    assert found is not None
    assert "immutable" in studio.people["alice"].get(found[1])["Cache-Control"]


def test_every_view_of_ours_says_what_it_takes() -> None:
    """By the decorators of core.methods: Django's own can't be asked."""
    views = {one.name: one.callback for one in OTHERS if one.callback.__module__[:7] == "webapp."}
    assert len(views) > 50
    assert [name for name, view in views.items() if not hasattr(view, "allowed_methods")] == []


def test_a_class_allows_what_it_has_and_a_stranger_a_page_and_a_form() -> None:
    reset = resolve("/accounts/password/reset/").func
    done = resolve("/accounts/password/reset/done/").func
    assert allowed_methods(reset) == ["HEAD", "GET", "POST"]
    assert allowed_methods(done) == ["HEAD", "GET"]
    assert allowed_methods(lambda: RequestFactory()) == ["HEAD", "GET", "POST"]
