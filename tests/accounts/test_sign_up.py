"""Signing up: one account and one welcome grant per address, whoever races."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import LazySettings
from django.conf import settings as project
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client

from tests.people import PASSWORD
from webapp.accounts.models import User
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits.models import Transaction
from webapp.credits.selectors import get_balance

ADDRESS = "dora@example.org"


def sign_up(client: Client, email: str = ADDRESS, password: str = PASSWORD) -> Any:
    return client.post("/accounts/signup/", {"email": email, "password1": password})


def test_signing_up_signs_in_and_grants_200_credits_once(client: Client, db: None) -> None:
    response = sign_up(client)
    assert (response.status_code, response["Location"]) == (302, "/")
    assert client.get("/").status_code == 200
    assert get_balance(user=User.objects.get()).posted_ucr == 200 * UCR_PER_CREDIT
    assert Transaction.objects.filter(kind="grant").count() == 1


def test_an_address_in_another_case_is_the_same_account(client: Client, alice: User) -> None:
    response = sign_up(client, email="ALICE@Example.org")
    assert response.status_code == 200
    assert "already registered" in response.content.decode()
    assert User.objects.count() == 1


def test_an_address_is_kept_in_lower_case(client: Client, db: None) -> None:
    sign_up(client, email="Dora@Example.ORG")
    assert User.objects.get().email == ADDRESS


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        ("short", "at least 10 characters"),
        ("1234567890", "too common"),
        ("831402759318", "entirely numeric"),
        ("dora@example.org", "too similar"),
        ("", "This field is required"),
    ],
)
def test_a_weak_password_is_refused_with_a_sentence(
    client: Client, db: None, password: str, sentence: str
) -> None:
    response = sign_up(client, password=password)
    assert response.status_code == 200
    assert sentence in response.content.decode()
    assert not User.objects.exists()


@pytest.mark.parametrize("email", ["", "dora", "dora@", "a@b@example.org", "x" * 250 + "@e.org"])
def test_what_is_no_address_is_refused(client: Client, db: None, email: str) -> None:
    assert sign_up(client, email=email).status_code == 200
    assert not User.objects.exists()


def test_a_closed_studio_signs_nobody_up(client: Client, db: None, settings: LazySettings) -> None:
    settings.SIGNUP = "closed"
    for response in (client.get("/accounts/signup/"), sign_up(client)):
        assert "Sign-up is closed" in response.content.decode()
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_parallel_sign_ups_of_one_address_make_one_account(settings: LazySettings) -> None:
    settings.ACCOUNT_RATE_LIMITS = False  # its lock, if it is slow, refuses as well
    barrier = threading.Barrier(6)

    def visit(_turn: int) -> int:
        client = Client(raise_request_exception=False)
        barrier.wait()
        try:
            return int(sign_up(client).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(visit, range(6)))
    assert User.objects.count() == 1
    assert Transaction.objects.filter(kind="grant").count() == 1
    assert statuses.count(302) == 1
    assert set(statuses) <= {200, 302, 409}  # refused by the form, or by the database's rule


def test_with_verification_nobody_is_signed_in_before_the_mail_was_answered(
    client: Client, db: None, settings: LazySettings, mailoutbox: list[EmailMessage]
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    assert sign_up(client)["Location"] == "/accounts/confirm-email/"
    assert client.get("/").status_code == 302
    link = next(word for word in str(mailoutbox[0].body).split() if "/confirm-email/" in word)
    client.post(link)
    signed_in = client.post("/accounts/login/", {"login": ADDRESS, "password": PASSWORD})
    assert (signed_in.status_code, signed_in["Location"]) == (302, "/")


@pytest.mark.parametrize(("host", "expected"), [("", "none"), ("mail.example.org", "mandatory")])
def test_addresses_are_verified_where_mail_can_be_sent(host: str, expected: str) -> None:
    script = "from django.conf import settings; print(settings.ACCOUNT_EMAIL_VERIFICATION)"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "webapp.settings",
        "DARKROOM_SMTP_HOST": host,
    }
    said = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=project.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert said.stdout.strip() == expected
