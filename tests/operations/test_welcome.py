"""What a new administrator looks through: the studio as it stands, and where to change it."""

import json
import time

import pytest
from django.conf import LazySettings
from django.test import Client

from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.valkey import valkey
from webapp.generation.queueing.heartbeat import NAMES, PREFIX


def open_welcome(client: Client, charlie: User) -> str:
    client.force_login(charlie)
    return client.get("/setup/").content.decode()


def test_it_names_the_hardware_the_models_and_the_prices(
    client: Client, charlie: User, offered_model: DiffusionModel
) -> None:
    facts = {"name": "w1", "models": [], "device": "NVIDIA H200", "memory_total": 150 * 10**9}
    valkey().zadd(NAMES, {"w1": time.time()})
    valkey().set(f"{PREFIX}w1", json.dumps(facts))
    page = open_welcome(client, charlie)
    for words in ("NVIDIA H200", "139.7", offered_model.name, "200 credits", "costs 0.20"):
        assert words in page, words


def test_a_studio_without_worker_and_models_says_so(client: Client, charlie: User) -> None:
    page = open_welcome(client, charlie)
    assert "No worker is running: images wait" in page
    assert "No model is on offer yet." in page


@pytest.mark.parametrize(
    ("signup", "sentence"),
    [
        ("open", "Anyone who finds the address can sign up."),
        ("invite", "Only people with an invitation link can sign up."),
        ("closed", "Nobody can sign up; you create the accounts."),
    ],
)
def test_it_says_who_may_come(
    client: Client, charlie: User, settings: LazySettings, signup: str, sentence: str
) -> None:
    settings.SIGNUP = signup
    assert sentence in open_welcome(client, charlie)


def test_it_says_whether_mails_go_out(
    client: Client, charlie: User, settings: LazySettings
) -> None:
    assert "Mail is not set up" in open_welcome(client, charlie)
    settings.EMAIL_HOST = "mail.example.org"
    assert "Mail is set up" in open_welcome(client, charlie)


def test_the_admin_site_leads_to_it_again(client: Client, charlie: User) -> None:
    client.force_login(charlie)
    assert 'href="/setup/"' in client.get("/admin/").content.decode()
