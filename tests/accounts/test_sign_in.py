"""Signing in and out, and what keeps guessers away."""

from collections.abc import Mapping
from typing import Any

import pytest
from allauth.account.adapter import get_adapter
from django.conf import LazySettings
from django.test import Client, RequestFactory

from tests.people import PASSWORD
from webapp.accounts.models import User

WRONG = "not the password"


def sign_in(client: Client, password: str = PASSWORD, **headers: str) -> Any:
    form = {"login": "alice@example.org", "password": password}
    return client.post("/accounts/login/", form, headers=headers)


def test_the_right_password_signs_in(client: Client, alice: User) -> None:
    assert sign_in(client)["Location"] == "/"
    assert client.get("/").status_code == 200


def test_the_address_may_be_typed_in_any_case(client: Client, alice: User) -> None:
    client.post("/accounts/login/", {"login": "Alice@EXAMPLE.org", "password": PASSWORD})
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("login", ["alice@example.org", "nobody@example.org"])
def test_a_wrong_password_and_an_unknown_address_are_refused_alike(
    client: Client, alice: User, login: str
) -> None:
    response = client.post("/accounts/login/", {"login": login, "password": WRONG})
    assert response.status_code == 200
    assert "not correct" in response.content.decode()
    assert client.get("/").status_code == 302


def test_an_account_that_is_switched_off_cannot_sign_in(client: Client, alice: User) -> None:
    User.objects.update(is_active=False)
    sign_in(client)
    assert client.get("/").status_code == 302


def test_an_account_that_is_switched_off_is_signed_out_at_once(client: Client, alice: User) -> None:
    client.force_login(alice)
    User.objects.update(is_active=False)
    assert client.get("/").status_code == 302


def test_the_session_gets_a_new_name_at_sign_in(client: Client, alice: User) -> None:
    session = client.session
    session["planted"] = "before"
    session.save()
    planted = session.session_key
    client.cookies["sessionid"] = str(planted)
    sign_in(client)
    assert client.cookies["sessionid"].value != planted


def test_signing_out_takes_a_post(client: Client, alice: User) -> None:
    client.force_login(alice)
    client.get("/accounts/logout/")
    assert client.get("/").status_code == 200
    client.post("/accounts/logout/")
    assert client.get("/").status_code == 302


def test_signing_in_never_leads_to_another_site(client: Client, alice: User) -> None:
    form = {"login": "alice@example.org", "password": PASSWORD, "next": "https://evil.example/"}
    assert client.post("/accounts/login/", form)["Location"] == "/"


def test_a_form_without_its_security_token_is_refused_with_a_sentence(alice: User) -> None:
    response = sign_in(Client(enforce_csrf_checks=True))
    assert response.status_code == 403
    assert "Reload it and try again" in response.content.decode()


def test_a_spoofed_address_buys_no_further_guesses(client: Client, alice: User) -> None:
    statuses = [
        sign_in(client, WRONG, **{"X-Forwarded-For": f"203.0.113.{turn}"}).status_code
        for turn in range(6)
    ]
    assert statuses == [200] * 5 + [429]


def test_too_many_tries_are_answered_with_a_page(client: Client, db: None) -> None:
    for _turn in range(20):
        client.post("/accounts/signup/", {"email": "", "password1": ""})
    response = client.post("/accounts/signup/", {"email": "", "password1": ""})
    assert response.status_code == 429
    assert "Wait a minute, then try again." in response.content.decode()
    assert "<main" in response.content.decode()


def test_too_many_tries_are_answered_to_scripts_in_json(client: Client, db: None) -> None:
    for _turn in range(20):
        client.post("/accounts/signup/", {})
    response = client.post("/accounts/signup/", {}, headers={"Accept": "application/json"})
    assert response.json()["error"]["code"] == "too_many"


@pytest.mark.parametrize(
    ("proxies", "headers", "address"),
    [
        (0, {"X-Forwarded-For": "203.0.113.9"}, "192.0.2.1"),
        (1, {}, "192.0.2.1"),
        (1, {"X-Forwarded-For": "203.0.113.9"}, "203.0.113.9"),
        (1, {"X-Forwarded-For": "6.6.6.6, 203.0.113.9"}, "203.0.113.9"),
        (2, {"X-Forwarded-For": "6.6.6.6, 203.0.113.9, 198.51.100.2"}, "203.0.113.9"),
        (2, {"X-Forwarded-For": "203.0.113.9"}, "203.0.113.9"),
    ],
)
def test_the_visitors_address_is_what_the_trusted_proxies_saw(
    settings: LazySettings, proxies: int, headers: Mapping[str, str], address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR="192.0.2.1")
    assert get_adapter().get_client_ip(request) == address
