"""Pages with plain static files, and alice with a client of her own."""

import pytest
from django.conf import LazySettings
from django.test import Client

from tests.pages import serve_plain_static
from webapp.accounts.models import User


@pytest.fixture
def plain_static(settings: LazySettings) -> None:
    """Static files keep their names."""
    serve_plain_static(settings)


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    """Alice, signed in."""
    client.force_login(alice)
    return client
