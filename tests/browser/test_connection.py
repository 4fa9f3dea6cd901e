"""What the studio says when it is cut off, and how it comes back by itself."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from django.test import Client
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.visitors import LiveStudio, Visitors, wait_until_heard
from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Generation

pytestmark = pytest.mark.browser
AWAY = "The studio is not responding. This page tries again automatically; nothing is lost."
OFFLINE = "You are offline."
SIGNED_OUT = "You are signed out. Your prompt is kept."
BACK = "The studio is responding again. Everything is up to date."
SOON_MS = 12_000


class Door:
    """A port in front of the studio that can be shut: what it held open is cut."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.is_shut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self) -> None:
        """From now on connections are cut as soon as they are made."""
        self.is_shut = True
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                _cut(end)

    def open(self) -> None:
        """The studio can be reached again."""
        self.is_shut = False

    def close(self) -> None:
        """Ends it for good."""
        self.shut()
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                visitor, _address = self.listener.accept()
            except OSError:
                return
            if self.is_shut:
                _cut(visitor)
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            self.pairs.append((visitor, server))
            for source, sink in ((visitor, server), (server, visitor)):
                threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    _cut(sink)


def _cut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@pytest.fixture
def door(visitors: Visitors) -> Iterator[Door]:
    """The studio behind a door; visitors come in through it."""
    made = Door(int(visitors.url.rpartition(":")[2]))
    visitors.url = f"http://127.0.0.1:{made.port}"
    # Chromium writes every request that fails into the console, and a stream that is a page.
    visitors.expected += ["net::ERR_", 'EventSource\'s response has a MIME type ("text/html")']
    yield made
    made.close()


@pytest.fixture
def alice(live_studio: LiveStudio, _real_passwords: None) -> User:
    return make_user("alice")


@pytest.fixture
def tiny(live_studio: LiveStudio) -> DiffusionModel:
    return make_model()


@pytest.fixture(autouse=True)
def _real_passwords(live_studio: LiveStudio, settings: LazySettings) -> None:
    """Hashed as the running studio reads them: people sign in here."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]


def bar_of(page: Page) -> str:
    """What the bar says; "" if all is well."""
    return page.locator("[data-connection]").inner_text().strip()


def sign_in(context: BrowserContext, url: str, user: User) -> None:
    """As by the form in another tab: a new session, and new tokens with it."""
    client = Client()
    client.force_login(user)
    value = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": value, "url": url}])


def test_a_studio_that_is_away_is_said_once_and_everything_is_there_when_it_is_back(
    visitors: Visitors, door: Door, alice: User, tiny: DiffusionModel
) -> None:
    submit(alice, tiny, count=2)
    page = visitors.open("/", alice)
    wait_until_heard(page)
    page.get_by_label("Prompt", exact=True).fill("half a thought")
    door.shut()
    expect(page.get_by_text(AWAY)).to_be_visible(timeout=SOON_MS)
    assert finish(claim(tiny))
    page.wait_for_timeout(10_000)
    assert bar_of(page) == AWAY
    expect(page.locator("[data-toast]")).to_be_hidden()
    door.open()
    expect(page.get_by_text(AWAY)).to_be_hidden(timeout=SOON_MS)
    expect(page.locator("[data-state=stored]")).to_have_count(1)
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("half a thought")
    wait_until_heard(page)
    assert finish(claim(tiny))
    expect(page.locator("[data-state=stored]")).to_have_count(2)


def test_what_could_not_be_sent_is_sent_once_when_the_studio_is_back(
    visitors: Visitors, door: Door, alice: User, tiny: DiffusionModel
) -> None:
    page = visitors.open("/", alice)
    wait_until_heard(page)
    page.get_by_label("Prompt", exact=True).fill("a fox at dusk")
    door.shut()
    page.locator(".bar [data-go]").click()
    expect(page.get_by_role("alert")).to_have_text(
        "The studio is not responding. Nothing is lost: press Generate again in a moment."
    )
    door.open()
    expect(page.get_by_text(AWAY)).to_be_hidden(timeout=SOON_MS)
    page.locator(".bar [data-go]").click()
    expect(page.locator("[data-generation]")).to_have_count(1)
    assert Generation.objects.get().prompt == "a fox at dusk"


def test_a_browser_without_a_network_says_so_and_catches_up(
    visitors: Visitors, alice: User, tiny: DiffusionModel
) -> None:
    visitors.expected.append("net::ERR_")
    submit(alice, tiny)
    context = visitors.context(alice)
    page = visitors.tab(context, "/")
    wait_until_heard(page)
    context.set_offline(True)
    expect(page.get_by_text(OFFLINE)).to_be_visible(timeout=SOON_MS)
    context.set_offline(False)
    expect(page.get_by_text(OFFLINE)).to_be_hidden(timeout=SOON_MS)
    expect(page.locator("[data-said]")).to_have_text(BACK)
    assert finish(claim(tiny))
    expect(page.locator("[data-state=stored]")).to_have_count(1)


def test_a_session_that_ended_is_said_and_signing_in_again_brings_the_prompt_back(
    visitors: Visitors, door: Door, alice: User, tiny: DiffusionModel
) -> None:
    page = visitors.open("/", alice)
    wait_until_heard(page)
    page.get_by_label("Prompt", exact=True).fill("a fox at dusk")
    Session.objects.all().delete()
    page.locator(".bar [data-go]").click()
    expect(page.get_by_role("alert")).to_contain_text("You are signed out.")
    door.shut()
    door.open()
    expect(page.get_by_text(SIGNED_OUT)).to_be_visible(timeout=SOON_MS)
    page.get_by_role("link", name="Sign in again").click()
    page.get_by_label("Email").fill(alice.email)
    page.get_by_label("Password").fill("a long and quiet password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a fox at dusk")


def test_who_signs_in_again_in_another_tab_goes_on_in_the_first_one(
    visitors: Visitors, door: Door, alice: User, tiny: DiffusionModel
) -> None:
    context = visitors.context(alice)
    page = visitors.tab(context, "/")
    wait_until_heard(page)
    page.get_by_label("Prompt", exact=True).fill("a fox at dusk")
    Session.objects.all().delete()
    door.shut()
    door.open()
    expect(page.get_by_text(SIGNED_OUT)).to_be_visible(timeout=SOON_MS)
    other = visitors.tab(context, "/accounts/login/")
    other.get_by_label("Email").fill(alice.email)
    other.get_by_label("Password").fill("a long and quiet password")
    other.get_by_role("button", name="Sign in").click()
    expect(other.get_by_label("Prompt", exact=True)).to_be_visible()
    page.bring_to_front()
    expect(page.get_by_text(SIGNED_OUT)).to_be_hidden(timeout=2 * SOON_MS)
    page.locator(".bar [data-go]").click()
    expect(page.locator("[data-generation]")).to_have_count(1)


def test_a_page_of_one_account_shows_nothing_of_another_that_signs_in_beside_it(
    visitors: Visitors, door: Door, alice: User, tiny: DiffusionModel
) -> None:
    bob = make_user("bob")
    submit(bob, tiny, prompt="what bob draws")
    submit(alice, tiny, prompt="what alice draws")
    context = visitors.context(alice)
    page = visitors.tab(context, "/")
    wait_until_heard(page)
    sign_in(context, visitors.url, bob)
    door.shut()
    door.open()
    expect(page.get_by_text("what bob draws")).to_be_visible(timeout=2 * SOON_MS)
    expect(page.get_by_text("what alice draws")).to_be_hidden()
