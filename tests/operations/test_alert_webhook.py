"""The webhook that is told what cannot wait: a real HTTP server takes it, refuses it or hangs."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.core.exceptions import ImproperlyConfigured

from webapp import env
from webapp.accounts.models import User
from webapp.core.models import Notice
from webapp.core.notices import tell_admins
from webapp.operations import alerts
from webapp.operations.alerts import tell_urgent_notices

pytestmark = pytest.mark.django_db


class Hook(ThreadingHTTPServer):
    """What it was sent, and what it answers."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.status = 200
        self.goes_on = threading.Event()
        self.goes_on.set()
        super().__init__(("127.0.0.1", 0), _Taker)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks/secret"


class _Taker(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        """Keeps what came, and answers when it may."""
        size = int(self.headers["Content-Length"])
        self.server.sent.append(json.loads(self.rfile.read(size)))
        self.server.goes_on.wait(20)
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        """A redirect that was followed."""
        self.server.sent.append({"path": self.path})
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_words: Any) -> None:
        """Says nothing."""


@pytest.fixture
def hook(settings: LazySettings) -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        settings.ALERT_WEBHOOK = server.url
        settings.PUBLIC_URL = "https://studio.example.org"
        yield server
        server.goes_on.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _problem(settings: LazySettings) -> None:
    settings.EMAIL_HOST = ""
    tell_admins(code="no_worker", sentence="No worker is alive.")


def test_it_is_sent_once_what_cannot_wait(hook: Hook) -> None:
    tell_admins(code="model:tiny", sentence="This can wait.")
    assert (tell_urgent_notices(), tell_urgent_notices()) == (1, 0)
    (sent,) = hook.sent
    assert sent["text"].splitlines() == [
        "Darkroom: 1 problem needs you",
        "- No worker is alive.",
        "https://studio.example.org/admin/",
    ]
    (told,) = sent["notices"]
    assert (told["code"], told["sentence"]) == ("no_worker", "No worker is alive.")
    assert told["since"] == Notice.objects.get(code="no_worker").first_at.isoformat()


@pytest.mark.parametrize("status", [302, 404, 500])
def test_one_that_does_not_take_it_is_tried_again_and_not_followed(
    hook: Hook, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    hook.status = status
    assert tell_urgent_notices() == 0
    hook.status = 200
    assert tell_urgent_notices() == 1
    assert ["path" in one for one in hook.sent] == [False, False]
    assert "did not take" in caplog.text
    assert "secret" not in caplog.text


def test_one_that_hangs_is_waited_for_a_bounded_time(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "WEBHOOK_S", 0.3)
    hook.goes_on.clear()
    began = time.monotonic()
    assert tell_urgent_notices() == 0
    assert time.monotonic() - began < 5
    assert Notice.objects.get().posted_at is None


def test_a_mail_that_goes_out_is_not_sent_again_for_a_webhook_that_is_away(
    charlie: User, settings: LazySettings
) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    settings.ALERT_WEBHOOK = "http://127.0.0.1:1/nobody"
    assert (tell_urgent_notices(), tell_urgent_notices()) == (1, 0)
    assert len(mail.outbox) == 1
    notice = Notice.objects.get()
    assert (notice.mailed_at is None, notice.posted_at) == (False, None)


@pytest.mark.parametrize("words", ["hooks.example.org/x", "file:///etc/hosts", "ftp://host/x"])
def test_another_kind_of_address_stops_the_start_and_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setenv("DARKROOM_ALERT_WEBHOOK", words)
    with pytest.raises(ImproperlyConfigured) as stopped:
        env.address("DARKROOM_ALERT_WEBHOOK")
    assert words not in str(stopped.value)
