"""Who becomes the administrator of a fresh studio."""

import io
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.conf import LazySettings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests.people import PASSWORD, make_user
from webapp.accounts.models import User
from webapp.core.errors import InvalidInput, NotFound
from webapp.operations.models import SetupLink
from webapp.operations.setup import (
    create_admin_from_environment,
    create_first_admin,
    has_admin,
    is_open,
    make_setup_token,
)

ADDRESS = "ada@example.org"
FORM = {"email": ADDRESS, "password": PASSWORD}


def prepare() -> str:
    said = io.StringIO()
    call_command("prepare", "--address", "http://127.0.0.1:8123", stdout=said)
    return said.getvalue()


def link_in(text: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:8123(/setup/\S+/)", text)
    assert found is not None, text
    return found.group(1)


def test_the_printed_link_makes_one_administrator_and_signs_them_in(
    client: Client, db: None
) -> None:
    link = link_in(prepare())
    assert client.get(link).status_code == 200
    assert client.post(link, FORM)["Location"] == "/setup/"
    assert client.get("/admin/").status_code == 200
    assert UserSession.objects.get().session_key == client.session.session_key
    assert (client.get(link).status_code, client.post(link, FORM).status_code) == (404, 404)
    assert User.objects.count() == 1


def test_where_there_is_an_administrator_no_link_is_printed(charlie: User) -> None:
    assert "/setup/" not in prepare()
    assert not SetupLink.objects.exists()


def test_a_newer_link_replaces_the_one_before(client: Client, db: None) -> None:
    older, newer = link_in(prepare()), link_in(prepare())
    assert (client.get(older).status_code, client.get(newer).status_code) == (404, 200)


def test_the_link_is_not_kept_in_the_database_in_clear(db: None) -> None:
    token = make_setup_token()
    assert token not in str(list(SetupLink.objects.values_list()))


def test_a_wrong_token_is_nothing(client: Client, db: None) -> None:
    make_setup_token()
    assert client.get("/setup/wrong/").status_code == 404
    assert client.post("/setup/wrong/", FORM).status_code == 404
    assert not User.objects.exists()


def test_a_link_is_too_old_after_a_day(db: None) -> None:
    token = make_setup_token()
    SetupLink.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
    assert not is_open(token=token)
    with pytest.raises(NotFound):
        create_first_admin(token=token, email=ADDRESS, password=PASSWORD)


def test_a_link_is_worth_nothing_once_there_is_an_administrator(db: None) -> None:
    token = make_setup_token()
    make_user("charlie", is_superuser=True, is_staff=True)
    assert not is_open(token=token)
    with pytest.raises(NotFound):
        create_first_admin(token=token, email=ADDRESS, password=PASSWORD)
    assert not User.objects.filter(email=ADDRESS).exists()


@pytest.mark.parametrize(
    ("email", "password", "sentence"),
    [
        ("ada", PASSWORD, "full e-mail address"),
        (ADDRESS, "short", "at least 10 characters"),
        (ADDRESS, ADDRESS, "too similar"),
        ("alice@EXAMPLE.org", PASSWORD, "already"),
    ],
)
def test_a_mistake_leaves_the_link_open(
    alice: User, email: str, password: str, sentence: str
) -> None:
    token = make_setup_token()
    with pytest.raises(InvalidInput, match=sentence):
        create_first_admin(token=token, email=email, password=password)
    assert is_open(token=token)


@pytest.mark.django_db(transaction=True)
def test_two_who_use_the_link_at_once_make_one_administrator() -> None:
    token, barrier = make_setup_token(), threading.Barrier(4)

    def use(turn: int) -> bool:
        barrier.wait()
        try:
            create_first_admin(token=token, email=f"ada{turn}@example.org", password=PASSWORD)
        except NotFound:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(use, range(4))) == 1
    assert User.objects.filter(is_superuser=True).count() == 1


def test_the_environment_makes_one_administrator(db: None, settings: LazySettings) -> None:
    settings.ADMIN_EMAIL, settings.ADMIN_PASSWORD = "Ada@Example.org", PASSWORD
    assert "Administrator: Ada@Example.org was made." in prepare()
    assert "Administrator" not in prepare()
    admin = User.objects.get()
    assert (admin.email, admin.is_superuser, admin.check_password(PASSWORD)) == (
        ADDRESS,
        True,
        True,
    )


@pytest.mark.parametrize("password", ["", "admin", "password123", "1234567890123"])
def test_a_weak_password_in_the_environment_stops_with_a_sentence(
    db: None, settings: LazySettings, password: str
) -> None:
    settings.ADMIN_EMAIL, settings.ADMIN_PASSWORD = ADDRESS, password
    with pytest.raises(ImproperlyConfigured, match="DARKROOM_ADMIN_PASSWORD: This password"):
        create_admin_from_environment()
    assert not has_admin()


def test_the_first_administrator_needs_no_mail_to_sign_in(
    client: Client, db: None, settings: LazySettings
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    create_first_admin(token=make_setup_token(), email=ADDRESS, password=PASSWORD)
    client.post("/accounts/login/", {"login": ADDRESS, "password": PASSWORD})
    assert client.get("/admin/").status_code == 200
