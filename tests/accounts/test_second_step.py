"""Two-factor authentication: set up, asked for, lost, and kept from everybody else."""

import json
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.conf import LazySettings
from django.test import Client

from tests.accounts.signing_in import is_in, sign_in, with_password
from tests.people import PASSWORD
from webapp.accounts.models import User
from webapp.accounts.second_step import SecondStepAdapter, remove_second_steps
from webapp.core.errors import Conflict


def code_of(secret: str, *, periods_ago: int = 0) -> str:
    """What an authenticator app shows now, or showed so many half minutes ago (RFC 6238)."""
    counter = int(time.time()) // 30 - periods_ago
    return str(format_hotp_value(hotp_value(secret, counter)))


def set_up_app(client: Client) -> str:
    """Through the pages, as a person does; the secret."""
    secret = str(client.get("/accounts/2fa/totp/activate/").context["form"].secret)
    answer = client.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)})
    assert answer["Location"] == "/accounts/2fa/recovery-codes/"
    return secret


def recovery_codes(client: Client) -> list[str]:
    return list(client.get("/accounts/2fa/recovery-codes/").context["unused_codes"])


@pytest.fixture
def secret(alice: User) -> str:
    return set_up_app(with_password(alice))


def test_a_code_of_the_app_is_asked_for_after_the_password(alice: User, secret: str) -> None:
    client = Client()
    form = {"login": alice.email, "password": PASSWORD}
    answer = client.post("/accounts/login/", form, follow=True)
    assert "One more step" in answer.content.decode()
    assert not is_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert is_in(client)


def test_a_wrong_code_lets_nobody_in_and_says_so(alice: User, secret: str) -> None:
    client = sign_in(alice)
    wrong = str((int(code_of(secret)) + 1) % 1_000_000).zfill(6)
    page = client.post("/accounts/2fa/authenticate/", {"code": wrong}).content.decode()
    assert "This code is incorrect." in page
    assert not is_in(client)


def test_a_recovery_code_opens_once(alice: User) -> None:
    here = with_password(alice)
    set_up_app(here)
    code = recovery_codes(here)[0]
    first = sign_in(alice)
    first.post("/accounts/2fa/authenticate/", {"code": code})
    assert is_in(first)
    second = sign_in(alice)
    second.post("/accounts/2fa/authenticate/", {"code": code})
    assert not is_in(second)
    assert code not in recovery_codes(here)


def test_recovery_codes_come_as_a_file_and_are_made_anew(alice: User) -> None:
    client = with_password(alice)
    set_up_app(client)
    old = recovery_codes(client)
    assert len(old) == 10
    file = client.get("/accounts/2fa/recovery-codes/download/")
    assert file.content.decode().split() == old
    client.post("/accounts/2fa/recovery-codes/generate/")
    assert not set(old) & set(recovery_codes(client))


def test_secrets_cannot_be_read_from_the_database(alice: User, secret: str) -> None:
    kept = {one.type: one.data for one in Authenticator.objects.filter(user=alice)}
    assert set(kept) == {"totp", "recovery_codes"}
    assert secret not in str(kept)
    assert SecondStepAdapter().decrypt(kept["totp"]["secret"]) == secret


def test_another_secret_key_is_told_and_not_taken_for_a_wrong_code(
    alice: User, secret: str, settings: LazySettings
) -> None:
    stored = Authenticator.objects.get(user=alice, type="totp").data["secret"]
    settings.SECRET_KEY = "another key, which nothing was written with, long enough"
    with pytest.raises(Conflict, match="secret key was changed"):
        SecondStepAdapter().decrypt(stored)


def test_taking_the_app_off_leaves_the_password_alone(alice: User) -> None:
    client = with_password(alice)
    set_up_app(client)
    page = client.post("/accounts/2fa/totp/deactivate/", follow=True).content.decode()
    assert "You no longer need a code to sign in." in page
    assert not Authenticator.objects.exists()
    assert is_in(sign_in(alice))


@pytest.mark.parametrize("page", ["totp/activate/", "webauthn/add/", "recovery-codes/generate/"])
def test_whoever_left_their_browser_open_is_asked_for_the_password(alice: User, page: str) -> None:
    client = Client()
    client.force_login(alice)
    answer = client.get(f"/accounts/2fa/{page}")
    assert answer["Location"].startswith("/accounts/reauthenticate/?next=")


def test_where_mail_is_configured_an_unconfirmed_address_comes_first(
    alice: User, settings: LazySettings
) -> None:
    client = with_password(alice)
    alice.emailaddress_set.create(email=alice.email, primary=True, verified=False)  # type: ignore[attr-defined]
    settings.MFA_ALLOW_UNVERIFIED_EMAIL = False
    page = client.get("/accounts/2fa/totp/activate/", follow=True).content.decode()
    assert "Confirm your e-mail address first." in page


def test_nobody_renames_or_removes_somebody_elses_passkey(alice: User, bob: User) -> None:
    data = {"name": "blue key", "credential": {}}
    hers = Authenticator.objects.create(user=alice, type="webauthn", data=data)
    his = with_password(bob)
    for what in ("edit", "remove"):
        url = f"/accounts/2fa/webauthn/keys/{hers.pk}/{what}/"
        assert his.post(url, {"name": "mine"}).status_code == 404
    hers.refresh_from_db()
    assert hers.data["name"] == "blue key"


def test_a_passkey_that_nobody_registered_opens_nothing(alice: User) -> None:
    client = Client()
    asked = client.get(
        "/accounts/2fa/webauthn/login/", headers={"X-Requested-With": "XMLHttpRequest"}
    )
    assert asked.json()["request_options"]["publicKey"]["challenge"]
    forged: dict[str, Any] = {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {}}
    client.post("/accounts/2fa/webauthn/login/", {"credential": json.dumps(forged)})
    assert not is_in(client)


def test_taking_everything_off_says_how_much_there_was(alice: User, secret: str) -> None:
    assert remove_second_steps(user=alice) == 2
    assert remove_second_steps(user=alice) == 0
    assert is_in(sign_in(alice))


def test_a_code_of_two_minutes_ago_is_none(alice: User, secret: str) -> None:
    client = sign_in(alice)
    client.post("/accounts/2fa/authenticate/", {"code": code_of(secret, periods_ago=4)})
    assert not is_in(client)


def test_a_code_that_somebody_read_over_the_shoulder_is_used_up(alice: User, secret: str) -> None:
    code, first, second = code_of(secret), sign_in(alice), sign_in(alice)
    first.post("/accounts/2fa/authenticate/", {"code": code})
    second.post("/accounts/2fa/authenticate/", {"code": code})
    assert (is_in(first), is_in(second)) == (True, False)
