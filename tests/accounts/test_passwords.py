"""Changing a password ends other sessions; a forgotten one is set anew by mail, once."""

import re
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.test import Client

from tests.people import PASSWORD
from webapp.accounts.models import User

NEW = "another long and quiet password"


def change(client: Client, old: str = PASSWORD, new: str = NEW) -> Any:
    form = {"oldpassword": old, "password1": new, "password2": new}
    return client.post("/accounts/password/change/", form)


def sign_in(password: str) -> Client:
    client = Client()
    client.post("/accounts/login/", {"login": "alice@example.org", "password": password})
    return client


def is_in(client: Client) -> bool:
    return client.get("/").status_code == 200


def test_changing_the_password_ends_the_other_sessions_and_keeps_this_one(alice: User) -> None:
    here, elsewhere = sign_in(PASSWORD), sign_in(PASSWORD)
    assert change(here).status_code == 302
    assert (is_in(here), is_in(elsewhere)) == (True, False)
    assert (is_in(sign_in(PASSWORD)), is_in(sign_in(NEW))) == (False, True)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [("wrong", NEW, "current password"), (PASSWORD, "short", "at least 10 characters")],
)
def test_a_change_needs_the_old_password_and_a_good_new_one(
    alice: User, old: str, new: str, sentence: str
) -> None:
    client = sign_in(PASSWORD)
    assert sentence in change(client, old, new).content.decode()
    assert is_in(sign_in(PASSWORD))


def ask_for_link(client: Client, mailoutbox: list[EmailMessage]) -> str:
    response = client.post("/accounts/password/reset/", {"email": "Alice@example.org"})
    assert response["Location"] == "/accounts/password/reset/done/"
    found = re.search(r"https?://\S+/accounts/password/reset/key/\S+", str(mailoutbox[-1].body))
    assert found is not None
    return found.group()


def test_a_forgotten_password_is_set_anew_by_mail(
    client: Client, alice: User, mailoutbox: list[EmailMessage]
) -> None:
    elsewhere = sign_in(PASSWORD)
    form_url = client.get(ask_for_link(client, mailoutbox))["Location"]
    client.post(form_url, {"password1": NEW, "password2": NEW})
    assert (is_in(sign_in(NEW)), is_in(sign_in(PASSWORD)), is_in(elsewhere)) == (
        True,
        False,
        False,
    )


def test_a_reset_link_works_once(
    client: Client, alice: User, mailoutbox: list[EmailMessage]
) -> None:
    link = ask_for_link(client, mailoutbox)
    form_url = client.get(link)["Location"]
    client.post(form_url, {"password1": NEW, "password2": NEW})
    stranger = Client()
    again = stranger.get(link, follow=True)
    assert "password1" not in again.content.decode()
    assert is_in(sign_in(NEW))


def test_the_address_in_a_reset_link_is_not_the_visitors_word(
    client: Client, alice: User, mailoutbox: list[EmailMessage]
) -> None:
    response = client.post(
        "/accounts/password/reset/",
        {"email": "alice@example.org"},
        headers={"Host": "evil.example"},
    )
    assert response.status_code == 400
    assert mailoutbox == []


def test_an_unknown_address_gets_the_same_answer(
    client: Client, alice: User, mailoutbox: list[EmailMessage]
) -> None:
    response = client.post("/accounts/password/reset/", {"email": "nobody@example.org"})
    assert response["Location"] == "/accounts/password/reset/done/"
    assert [mail.to for mail in mailoutbox] in ([], [["nobody@example.org"]])
