"""Whoever guesses uses up their own tries: nobody is locked out by a stranger."""

import re
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.conf import LazySettings
from django.core import signing
from django.core.mail import EmailMessage
from django.test import Client, RequestFactory

from tests.accounts.signing_in import is_in
from tests.accounts.test_second_step import code_of, set_up_app
from tests.people import PASSWORD
from webapp.accounts import known_browsers
from webapp.accounts.models import User
from webapp.core.valkey import valkey

WRONG = "not the password"
STRANGER, HOME = "203.0.113.5", "192.0.2.7"


def browser(address: str = HOME) -> Client:
    return Client(REMOTE_ADDR=address)


def give_password(
    client: Client, password: str = PASSWORD, email: str = "alice@example.org"
) -> Any:
    return client.post("/accounts/login/", {"login": email, "password": password})


def lock_out(address: str = STRANGER) -> Client:
    """Five wrong passwords from there; the sixth try is refused."""
    client = browser(address)
    statuses = [give_password(client, WRONG).status_code for _try in range(6)]
    assert statuses == [200] * 5 + [429]
    return client


def test_after_five_wrong_passwords_even_the_right_one_waits_there(alice: User) -> None:
    client = lock_out()
    refused = give_password(client)
    assert refused.status_code == 429
    assert "Try again in 5 minutes." in refused.content.decode()
    assert not is_in(client)


def test_the_owner_signs_in_from_elsewhere_while_a_stranger_guesses(alice: User) -> None:
    lock_out()
    owner = browser()
    assert give_password(owner).status_code == 302
    assert is_in(owner)


def test_a_known_browser_signs_in_even_from_where_a_stranger_guesses(alice: User) -> None:
    owner = browser(STRANGER)
    give_password(owner)
    owner.post("/accounts/logout/")
    lock_out()
    assert give_password(owner).status_code == 302


def test_a_known_browser_is_known_for_the_people_who_signed_in_with_it_alone(
    alice: User, bob: User
) -> None:
    client = browser()
    give_password(client)
    client.post("/accounts/logout/")
    statuses = [
        give_password(client, WRONG, email="bob@example.org").status_code for _try in range(6)
    ]
    assert statuses == [200] * 5 + [429]
    assert give_password(client).status_code == 302


def test_a_known_browser_guesses_no_more_than_others(alice: User) -> None:
    client = browser()
    give_password(client)
    client.post("/accounts/logout/")
    statuses = [give_password(client, WRONG).status_code for _try in range(6)]
    assert statuses == [200] * 5 + [429]
    assert give_password(client).status_code == 429


def test_a_source_guesses_ten_passwords_a_minute_whomever_they_are_for(alice: User) -> None:
    client = browser(STRANGER)
    statuses = [
        give_password(client, WRONG, email=f"user{number}@example.org").status_code
        for number in range(11)
    ]
    assert statuses == [200] * 10 + [429]


def test_an_ipv6_visitor_has_no_further_tries_under_another_address_of_theirs(alice: User) -> None:
    for number in range(5):
        give_password(browser(f"2001:db8:1:2::{number}"), WRONG)
    assert give_password(browser("2001:db8:1:2:a:b:c:d"), WRONG).status_code == 429
    assert give_password(browser("2001:db8:1:3::1"), WRONG).status_code == 200


def test_right_passwords_are_not_counted(alice: User) -> None:
    for _turn in range(12):
        assert give_password(browser()).status_code == 302


def test_a_cookie_that_somebody_made_up_is_no_known_browser(alice: User) -> None:
    client = browser(STRANGER)
    forged = signing.dumps({"id": "x", "people": ["y"]}, key="another key", salt="another")
    for cookie in ("", "nonsense", forged):
        client.cookies[known_browsers.COOKIE] = cookie
        assert give_password(client, WRONG).status_code == 200
    for _try in range(2):
        give_password(client, WRONG)
    assert give_password(client).status_code == 429


def test_the_cookie_names_nobody_and_keeps_to_the_pages_of_accounts(
    alice: User, settings: LazySettings
) -> None:
    settings.SESSION_COOKIE_SECURE = True
    client = browser()
    give_password(client)
    cookie = client.cookies[known_browsers.COOKIE]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/accounts/", True, "Lax")
    assert cookie["secure"]
    assert "alice" not in str(signing.loads(cookie.value, salt=known_browsers.SALT))


def test_a_browser_knows_the_last_five_people(db: None) -> None:
    client = browser()
    for number in range(6):
        User.objects.create_user(f"user{number}@example.org", PASSWORD)
        give_password(client, email=f"user{number}@example.org")
        client.post("/accounts/logout/")
    kept = signing.loads(client.cookies[known_browsers.COOKIE].value, salt=known_browsers.SALT)
    assert len(kept["people"]) == 5


# -- The password, asked for again


def ask_again(client: Client, password: str = PASSWORD) -> Any:
    return client.post("/accounts/reauthenticate/", {"password": password, "next": "/account/"})


def test_a_stranger_keeps_no_administrator_from_an_act(charlie: User) -> None:
    client = browser(STRANGER)
    give_password(client, email="charlie@example.org")
    stranger = browser(STRANGER)
    for _try in range(6):
        give_password(stranger, WRONG, email="charlie@example.org")
    assert ask_again(client).status_code == 302


def test_a_session_guesses_five_times_and_no_other_session_waits_for_it(alice: User) -> None:
    thief, owner = browser(), browser()
    for client in (thief, owner):
        give_password(client)
    assert [ask_again(thief, WRONG).status_code for _try in range(6)] == [200] * 5 + [429]
    assert ask_again(thief).status_code == 429
    assert ask_again(owner).status_code == 302


def test_signing_in_counts_as_the_password_for_five_minutes(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browser()
    give_password(client)
    assert client.get("/accounts/2fa/totp/activate/").status_code == 200
    later = time.time() + 301
    monkeypatch.setattr("time.time", lambda: later)
    asked = client.get("/accounts/2fa/totp/activate/")
    assert asked["Location"].startswith("/accounts/reauthenticate/")


# -- Codes


def wrong_code(client: Client) -> int:
    return client.post("/accounts/2fa/authenticate/", {"code": "abcdef"}).status_code


@pytest.fixture
def secret(alice: User) -> str:
    client = browser()
    give_password(client)
    return set_up_app(client)


def test_codes_cannot_be_guessed_for_long(alice: User, secret: str) -> None:
    client = browser(STRANGER)
    give_password(client)
    assert [wrong_code(client) for _try in range(6)] == [200] * 5 + [429]
    refused = client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert refused.status_code == 429
    assert not is_in(client)


def test_whoever_guesses_codes_keeps_no_owner_out(alice: User, secret: str) -> None:
    stranger = browser(STRANGER)
    give_password(stranger)
    for _try in range(6):
        wrong_code(stranger)
    owner = browser()
    give_password(owner)
    owner.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert is_in(owner)


def test_codes_are_not_guessed_from_many_sources_while_a_known_browser_opens(
    alice: User, secret: str
) -> None:
    owner = browser()
    give_password(owner)
    owner.post("/accounts/2fa/authenticate/", {"code": code_of(secret, periods_ago=-1)})
    assert is_in(owner)
    owner.post("/accounts/logout/")
    statuses = []
    for number in range(16):
        client = browser(f"198.51.100.{number}")
        give_password(client)
        statuses += [wrong_code(client), wrong_code(client)]
    assert statuses == [200] * 30 + [429] * 2
    give_password(owner)
    assert wrong_code(owner) == 200


def test_a_code_asked_for_again_is_counted_by_the_session(alice: User, secret: str) -> None:
    client = browser()
    give_password(client)
    client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    again = "/accounts/2fa/reauthenticate/"
    statuses = [client.post(again, {"code": "abcdef"}).status_code for _try in range(6)]
    assert statuses == [200] * 5 + [429]


def test_a_right_code_is_not_counted(alice: User, secret: str) -> None:
    other = browser()
    give_password(other)
    counter = int(time.time()) // 30
    for ahead in (0, 1):
        code = format_hotp_value(hotp_value(secret, counter + ahead))
        other.post("/accounts/2fa/authenticate/", {"code": code})
    assert not [key for key in valkey().scan_iter("attempts:code:*") if valkey().get(key) != "0"]


# -- Sessions


@pytest.mark.django_db(transaction=True)
def test_switching_the_second_factor_on_ends_the_sessions_of_the_password_alone(
    alice: User,
) -> None:
    here, elsewhere = browser(), browser(STRANGER)
    for client in (here, elsewhere):
        give_password(client)
    set_up_app(here)
    assert (is_in(here), is_in(elsewhere)) == (True, False)


def test_a_further_passkey_ends_no_session(alice: User, secret: str) -> None:
    client = browser()
    give_password(client)
    client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    further = Authenticator.objects.create(user=alice, type="webauthn", data={"name": "key"})
    request = RequestFactory().get("/")
    authenticator_added.send(Authenticator, request=request, user=alice, authenticator=further)
    assert is_in(client)


def test_a_session_ends_with_the_browser_unless_it_is_asked_to_stay(alice: User) -> None:
    client = browser()
    assert "Keep me signed in" in client.get("/accounts/login/").content.decode()
    give_password(client)
    assert client.cookies["sessionid"]["max-age"] == ""
    kept = browser()
    form = {"login": alice.email, "password": PASSWORD, "remember": "on"}
    kept.post("/accounts/login/", form)
    assert kept.cookies["sessionid"]["max-age"] == 14 * 24 * 3600


def test_the_choice_to_stay_signed_in_outlives_the_second_step(alice: User, secret: str) -> None:
    client = browser()
    form = {"login": alice.email, "password": PASSWORD, "remember": "on"}
    client.post("/accounts/login/", form)
    client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert is_in(client)
    assert client.cookies["sessionid"]["max-age"] == 14 * 24 * 3600


# -- Mails


def ask_for_link(client: Client, email: str = "alice@example.org", **headers: str) -> Any:
    return client.post("/accounts/password/reset/", {"email": email}, headers=headers)


def links_in(mail: EmailMessage) -> list[str]:
    return re.findall(r"https?://\S+", str(mail.body))


def test_a_mailbox_gets_five_mails_an_hour_and_the_answer_is_the_same(
    alice: User, mailoutbox: list[EmailMessage]
) -> None:
    answers = [ask_for_link(browser(f"198.51.100.{number}")) for number in range(7)]
    assert {(one.status_code, one["Location"]) for one in answers} == {
        (302, "/accounts/password/reset/done/")
    }
    assert len(mailoutbox) == 5
    link = links_in(mailoutbox[0])[0]
    assert browser().get(link).status_code == 302


def test_the_owners_browser_is_mailed_to_whatever_strangers_asked_for(
    alice: User, mailoutbox: list[EmailMessage]
) -> None:
    owner = browser()
    give_password(owner)
    owner.post("/accounts/logout/")
    for number in range(7):
        ask_for_link(browser(f"198.51.100.{number}"))
    ask_for_link(owner)
    assert len(mailoutbox) == 6


@pytest.mark.parametrize("public", ["https://studio.example.org", ""])
def test_every_link_in_every_mail_leads_to_the_studios_own_address(
    alice: User, mailoutbox: list[EmailMessage], settings: LazySettings, public: str
) -> None:
    settings.PUBLIC_URL = public
    settings.SERVED_AT = "http://127.0.0.1:8123"
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    odd = {"Host": "localhost:6666"}
    ask_for_link(browser(), **odd)
    ask_for_link(browser(), email="nobody@example.org", **odd)
    for email in ("dora@example.org", "alice@example.org"):
        browser().post("/accounts/signup/", {"email": email, "password1": PASSWORD}, headers=odd)
    links = [link for mail in mailoutbox for link in links_in(mail)]
    assert len(mailoutbox) == 4
    assert len(links) >= 4
    own = public or "http://127.0.0.1:8123"
    assert [link for link in links if not link.startswith(f"{own}/accounts/")] == []
    assert [mail for mail in mailoutbox if "6666" in f"{mail.subject}{mail.body}"] == []


def test_limits_name_no_address(alice: User) -> None:
    give_password(browser(), WRONG)
    keys = list(valkey().scan_iter("attempts:*"))
    assert keys
    assert not [key for key in keys if "alice" in key]
