"""Every cookie of ours: for the page's own site alone, over HTTPS alone if there is HTTPS, and
out of reach for scripts unless one has to read it."""

import json
import os
import re
import subprocess
import sys
from http.cookies import Morsel
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.conf import settings as project
from django.test import Client

from tests.people import PASSWORD
from webapp.accounts.models import User

# The form's token is sent along by scripts.
READ_BY_SCRIPTS = {"csrftoken"}
SETTINGS = """
import json, django
from django.conf import global_settings, settings
django.setup()
names = [name for name in dir(global_settings) if name.endswith("_COOKIE_NAME")]
kinds = [name.removesuffix("_NAME") for name in names]
ends = ("_SECURE", "_SAMESITE", "_HTTPONLY")
print(json.dumps({kind: [getattr(settings, kind + end) for end in ends] for kind in kinds}))
print(json.dumps([settings.SECURE_HSTS_SECONDS, settings.SECURE_HSTS_INCLUDE_SUBDOMAINS,
                  settings.SECURE_HSTS_PRELOAD]))
"""
HTTPS = {"DARKROOM_HTTPS": "true", "DARKROOM_PUBLIC_URL": "https://studio.example.org"}


def settings_with(**environment: str) -> list[Any]:
    """(cookie settings by kind, HSTS) of a process with these variables."""
    done = subprocess.run(
        [sys.executable, "-c", SETTINGS],
        cwd=project.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "webapp.settings", **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def cookies_of_a_visit(client: Client, user: User) -> dict[str, "Morsel[str]"]:
    """All that a visitor is given: at sign-in, by a choice of language, with a message."""
    client.get("/accounts/login/")
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD, "remember": "on"})
    client.post("/language/", {"language": "ko"})
    client.post("/account/sessions/end/")
    client.get("/admin/")
    return dict(client.cookies)


def test_every_cookie_has_its_settings_with_https(
    client: Client, alice: User, settings: LazySettings
) -> None:
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.LANGUAGE_COOKIE_SECURE = settings.HTTPS = True
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
    given = cookies_of_a_visit(client, alice)
    assert {"sessionid", "csrftoken", "django_language", "messages", "known_browser"} == set(given)
    for name, cookie in given.items():
        assert cookie["samesite"] in {"Lax", "Strict"}, name
        assert cookie["secure"], name
        assert bool(cookie["httponly"]) is (name not in READ_BY_SCRIPTS), name


def test_every_kind_of_cookie_that_django_knows_is_secured_by_one_setting() -> None:
    secured, _hsts = settings_with(**HTTPS)
    plain, _hsts = settings_with()
    assert set(secured) == {"SESSION_COOKIE", "CSRF_COOKIE", "LANGUAGE_COOKIE"}
    for kind, (secure, same_site, http_only) in secured.items():
        assert (secure, same_site) == (True, "Lax"), kind
        assert http_only is (kind != "CSRF_COOKIE"), kind
        assert plain[kind] == [False, same_site, http_only], kind


def test_cookies_that_scripts_set_are_secured_too() -> None:
    scripts = Path(project.BASE_DIR, "static", "js").rglob("*.js")
    text = "\n".join(path.read_text("utf-8") for path in scripts)
    (written,) = re.findall(r"document\.cookie = (.*);", text)
    assert "samesite=lax" in written
    assert "${secure}" in written
    assert 'const secure = location.protocol === "https:" ? "; secure" : "";' in text


@pytest.mark.parametrize(
    ("wanted", "subdomains", "preload"),
    [
        ("", False, False),
        ("host", False, False),
        ("subdomains", True, False),
        ("preload", True, True),
    ],
)
def test_browsers_remember_https_for_this_host_unless_more_is_asked_for(
    wanted: str, subdomains: bool, preload: bool
) -> None:
    _cookies, hsts = settings_with(**HTTPS, DARKROOM_HSTS=wanted)
    assert hsts == [365 * 24 * 3600, subdomains, preload]


def test_without_https_nothing_is_remembered() -> None:
    _cookies, hsts = settings_with(DARKROOM_HSTS="preload")
    assert hsts == [0, False, False]
