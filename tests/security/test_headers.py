"""What every answer carries: the content security policy and its companions."""

import base64
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import NoReverseMatch, reverse

from tests.people import claim, finish, make_model, submit
from tests.security.addresses import list_addresses
from webapp.accounts.models import User
from webapp.generation.models import Image

NAMES = sorted({one.name for one in list_addresses()})
PRIVATE_MEDIA = ["image_file", "image_thumbnail", "image_download"]


@pytest.fixture
def image(alice: User) -> Image:
    model = make_model()
    generation = submit(alice, model)
    assert finish(claim(model))
    found: Image = generation.images.get()
    return found


def policy_of(response: Any) -> dict[str, list[str]]:
    directives = [part.split() for part in response["Content-Security-Policy"].split(";")]
    return {words[0]: words[1:] for words in directives}


def addresses_without_arguments() -> list[str]:
    found = []
    for name in NAMES:
        try:
            found.append(reverse(name))
        except NoReverseMatch:
            continue
    return [*found, "/nowhere/", "/setup/unknown/"]


@pytest.mark.parametrize("who", ["nobody", "alice", "charlie"])
def test_every_answer_carries_the_headers(
    client: Client,
    alice: User,
    charlie: User,
    who: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The event stream gives its connection back, and with it this test's transaction.
    monkeypatch.setattr(connection, "close", lambda: None)
    people = {"alice": alice, "charlie": charlie}
    for url in addresses_without_arguments():
        if who in people:
            client.force_login(people[who])
        response = client.get(url)
        policy = policy_of(response)
        assert response["X-Content-Type-Options"] == "nosniff", url
        assert response["X-Frame-Options"] == "DENY", url
        assert response["Referrer-Policy"] == "same-origin", url
        assert response["Cross-Origin-Opener-Policy"] == "same-origin", url
        assert policy["frame-ancestors"] == ["'none'"], url
        assert policy["object-src"] == policy["base-uri"] == ["'none'"], url
        assert "'unsafe-inline'" not in policy["script-src"], url
        assert not [source for source in policy["script-src"] if "http" in source or "*" in source]
        if not url.startswith("/admin/"):
            assert "unsafe" not in response["Content-Security-Policy"], url


def test_the_admin_sites_theme_has_a_policy_of_its_own(client: Client, charlie: User) -> None:
    """Alpine.js compiles expressions and the theme writes style elements: there and only there."""
    client.force_login(charlie)
    policy = policy_of(client.get("/admin/"))
    assert policy["script-src"] == ["'self'", "'unsafe-eval'"]
    assert policy["style-src"] == ["'self'", "'unsafe-inline'"]


def test_scripts_in_a_page_carry_the_nonce_of_its_policy(client: Client, alice: User) -> None:
    client.force_login(alice)
    nonces = set()
    for _visit in range(2):
        response = client.get("/")
        sources = " ".join(policy_of(response)["script-src"])
        found = re.search(r"'nonce-([^']+)'", sources)
        assert found is not None
        scripts = re.findall(r"<script([^>]*)>", response.content.decode())
        inline = [one for one in scripts if "src=" not in one and "application/json" not in one]
        assert inline
        assert all(f'nonce="{found.group(1)}"' in attributes for attributes in inline)
        assert len(base64.b64decode(found.group(1))) >= 16
        nonces.add(found.group(1))
    assert len(nonces) == 2


@pytest.mark.parametrize("path", ["/", "/gallery/", "/credits/", "/accounts/password/change/"])
def test_pages_hold_no_inline_style_or_handler(client: Client, image: Image, path: str) -> None:
    client.force_login(image.owner)
    page = client.get(path).content.decode()
    assert not re.search(r"<[^>]+\s(style|on[a-z]+)=", page)


@pytest.mark.parametrize("name", PRIVATE_MEDIA)
def test_private_pictures_are_kept_by_nobody_on_the_way_and_asked_for_each_time(
    client: Client, image: Image, name: str
) -> None:
    client.force_login(image.owner)
    response = client.get(reverse(name, args=[image.pk]))
    kept = "no-store" if name == "image_download" else "no-cache"
    assert response["Cache-Control"] == f"private, {kept}"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cross-Origin-Resource-Policy"] == "same-origin"
    assert response["Content-Type"] in {"image/png", "image/webp"}


@pytest.mark.parametrize("path", ["/", "/gallery/", "/credits/", "/studio/state/", "/admin/"])
def test_pages_of_somebody_are_kept_by_nobody(client: Client, charlie: User, path: str) -> None:
    client.force_login(charlie)
    assert "no-store" in client.get(path)["Cache-Control"]


def test_pictures_lie_below_no_public_address(client: Client, image: Image) -> None:
    for prefix in ("/media/", "/static/", "/var/media/", "/"):
        assert client.get(f"{prefix}{image.file}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/static/../webapp/settings.py",
        "/static/%2e%2e/%2e%2e/secrets/secret_key",
        "/static/../../etc",
    ],
)
def test_static_addresses_lead_nowhere_else(client: Client, db: None, path: str) -> None:
    assert client.get(path).status_code == 404


def test_cookies_are_out_of_reach_for_scripts_and_other_sites(client: Client, alice: User) -> None:
    form = {"login": alice.email, "password": "a long and quiet password"}
    client.post("/accounts/login/", form)
    cookie = client.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_an_unknown_host_name_is_refused(client: Client, db: None) -> None:
    for path in ("/", "/accounts/login/", "/healthz", "/healthz/x"):
        assert client.get(path, headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("host", ["health", "10.0.0.7:8000", "evil.example"])
def test_the_health_check_is_answered_whatever_host_it_was_asked_by(
    client: Client, db: None, host: str
) -> None:
    """A load balancer knows an address, and DARKROOM_ALLOWED_HOSTS need not."""
    assert client.get("/healthz/", headers={"Host": host}).status_code == 200


def test_a_prompt_is_text_and_never_markup(client: Client, alice: User) -> None:
    trap = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    model = make_model()
    generation = submit(alice, model, prompt=trap, negative_prompt=trap)
    assert finish(claim(model))
    client.force_login(alice)
    image = generation.images.get()
    for path in ("/", "/gallery/", "/credits/", f"/images/{image.pk}/", f"/?from={image.pk}"):
        page = client.get(path).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page
    name = client.get(f"/images/{image.pk}/download/")["Content-Disposition"]
    assert not set(name) & set("<>\r\n")
