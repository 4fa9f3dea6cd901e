"""In which language somebody is written to: the one they signed up or first signed in with, until
they choose another one."""

import pytest
from django.test import Client

from tests.people import PASSWORD
from webapp.accounts.models import User


def sign_in(client: Client, user: User, *, language: str) -> str:
    form = {"login": user.email, "password": PASSWORD}
    client.post("/accounts/login/", form, headers={"Accept-Language": language})
    user.refresh_from_db()
    return user.language


@pytest.mark.usefixtures("db")
def test_who_signs_up_in_korean_is_written_to_in_korean(client: Client) -> None:
    form = {"email": "new@example.org", "password1": PASSWORD}
    client.post("/accounts/signup/", form, headers={"Accept-Language": "ko-KR,ko;q=0.9"})
    assert User.objects.get().language == "ko"


def test_the_first_sign_in_says_it_for_whoever_was_here_before(client: Client, alice: User) -> None:
    assert alice.language == ""
    assert sign_in(client, alice, language="ko") == "ko"
    client.logout()
    assert sign_in(client, alice, language="en") == "ko"
