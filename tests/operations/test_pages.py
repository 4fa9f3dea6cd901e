"""The set-up page, and the page behind every error."""

import pytest
from django.conf import LazySettings
from django.template.loader import render_to_string
from django.test import Client

from tests.pages import serve_plain_static
from tests.people import PASSWORD
from webapp.accounts.models import User
from webapp.core.errors import NotFound
from webapp.operations.setup import make_setup_token

pytestmark = pytest.mark.usefixtures("plain_static")


@pytest.fixture
def plain_static(settings: LazySettings) -> None:
    serve_plain_static(settings)


@pytest.mark.django_db
def test_the_set_up_link_works_once(client: Client) -> None:
    path = f"/setup/{make_setup_token()}/"
    assert client.get(path).status_code == 200
    sent = {"email": "root@example.org", "password": PASSWORD}
    assert client.post(path, sent)["Location"] == "/setup/"
    assert User.objects.get(email="root@example.org").is_superuser
    assert client.get("/").status_code == 200
    assert client.get(path).status_code == 404
    assert client.post(path, {**sent, "email": "again@example.org"}).status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("email", "password", "sentence"),
    [
        ("nobody", PASSWORD, "Enter a full e-mail address."),
        ("root@example.org", "short", "This password is too short"),
    ],
)
def test_a_wrong_word_leaves_the_set_up_link_open(
    client: Client, email: str, password: str, sentence: str
) -> None:
    path = f"/setup/{make_setup_token()}/"
    response = client.post(path, {"email": email, "password": password})
    assert response.status_code == 400
    assert sentence in response.content.decode()
    assert client.get(path).status_code == 200


@pytest.mark.django_db
def test_a_made_up_set_up_link_is_nothing(client: Client) -> None:
    assert client.get("/setup/abc/").status_code == 404


def test_the_error_page_needs_neither_a_request_nor_the_database() -> None:
    page = render_to_string("core/error.html", {"error": NotFound("Nothing <here>.")})
    assert "Nothing &lt;here&gt;." in page
    assert 'href="/"' in page
