"""Viewing as another user: with a line in the log, for half an hour, and without touching
anything."""

import ast
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings as project
from django.core.management import call_command
from django.http import HttpRequest
from django.test import AsyncClient, Client
from django.utils import timezone

from tests.operations.passwords import give_password
from tests.people import PASSWORD, claim, finish, make_user, submit
from tests.vocabularies import give_vocabulary
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import Conflict, InvalidInput
from webapp.core.models import AuditLine
from webapp.generation.models import Image
from webapp.operations import acting
from webapp.operations.acting import _parts_until, start_acting

REASON = "cannot find an image"
BANNER = "You are viewing the studio as"


def start(client: Client, administrator: User, person: User, reason: str = REASON) -> None:
    """As the admin site's page does it, on the client's own session."""
    client.force_login(administrator)
    request = HttpRequest()
    request.user, request.session = administrator, client.session
    start_acting(request, person=person, reason=reason)
    request.session.save()


def lines() -> list[tuple[str, str, str]]:
    found = AuditLine.objects.order_by("pk")
    return list(found.values_list("action", "actor_name", "subject_name"))


@pytest.fixture
def looking(client: Client, alice: User, charlie: User, offered_model: DiffusionModel) -> Client:
    """Charlie views the studio as alice; she has one finished image."""
    submit(alice, offered_model)
    assert finish(claim(offered_model))
    start(client, charlie, alice)
    return client


def test_a_persons_second_step_and_browsers_are_for_their_own_eyes(
    looking: Client, alice: User, charlie: User
) -> None:
    Authenticator.objects.create(user=alice, type="totp", data={"secret": "x"})
    give_password(looking)
    for path in ("", "recovery-codes/", "recovery-codes/download/", "totp/activate/"):
        page = looking.get(f"/accounts/2fa/{path}")
        assert page.status_code == 403, path
        assert "only by their owner" in page.content.decode(), path
    assert looking.get("/account/").context["sign_ins"] == []


def test_every_page_is_the_persons_and_says_so(looking: Client, alice: User) -> None:
    picture = f"/images/{Image.objects.get().pk}/"
    for path in ("/", "/gallery/", picture, "/credits/", "/accounts/password/change/", "/nowhere/"):
        page = looking.get(path).content.decode()
        assert BANNER in page, path
        assert alice.email in page, path
    assert "a fox at dusk" in looking.get(picture).content.decode()
    assert looking.get("/admin/").status_code in {302, 403}


def test_nobody_else_sees_the_banner(client: Client, alice: User) -> None:
    assert BANNER not in client.get("/accounts/login/").content.decode()
    client.force_login(alice)
    assert BANNER not in client.get("/").content.decode()


def test_the_line_is_there_before_the_session_changes(
    client: Client, alice: User, charlie: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.force_login(charlie)
    request = HttpRequest()
    request.user = charlie

    class Broken(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            assert lines() == [("user.act_as", charlie.email, alice.email)]
            raise KeyboardInterrupt

    request.session = Broken()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        start_acting(request, person=alice, reason=REASON)
    assert AuditLine.objects.get().reason == REASON


@pytest.mark.parametrize("change", ["no line", "of another", "of another person", "another act"])
def test_a_key_without_its_own_line_is_worth_nothing(
    client: Client, alice: User, bob: User, charlie: User, change: str
) -> None:
    dora = make_user("dora", is_staff=True, is_superuser=True)
    start(client, charlie, alice)
    session, kept = client.session, client.session[acting.SESSION_KEY]
    if change == "of another":
        start(Client(), dora, alice)
        kept["line"] = AuditLine.objects.latest("pk").pk
    elif change == "of another person":
        kept["person"] = bob.pk
    elif change == "another act":
        from webapp.core import audit

        kept["line"] = audit.record(actor=charlie, action="user.suspend", subject=alice).pk
    else:
        kept["line"] = 0
    session[acting.SESSION_KEY] = kept
    session.save()
    page = client.get("/").content.decode()
    assert BANNER not in page
    assert charlie.email in page
    assert acting.SESSION_KEY not in client.session


def test_no_other_code_knows_the_sessions_key() -> None:
    """One module names it, one function of it sets it, and the line is recorded above that."""
    sources = list(Path(project.BASE_DIR, "webapp").rglob("*.py"))
    own = Path(acting.__file__)
    for source in sources:
        text = source.read_text()
        assert source == own or f'"{acting.SESSION_KEY}"' not in text, source
        assert source == own or "acting import SESSION_KEY" not in text, source
        assert source == own or "acting.SESSION_KEY" not in text, source
    writers = [
        function.name
        for function in ast.walk(ast.parse(own.read_text()))
        if isinstance(function, ast.FunctionDef) and _writes_session(function)
    ]
    assert writers == ["start_acting"]
    body = own.read_text().partition("def start_acting")[2].partition("\ndef ")[0]
    assert body.index("audit.record(") < body.index("request.session[")


def _writes_session(function: ast.FunctionDef) -> bool:
    stores = (node for node in ast.walk(function) if isinstance(node, ast.Subscript))
    return any(
        isinstance(node.ctx, ast.Store) and "session" in ast.unparse(node.value) for node in stores
    )


def addresses(image: Image) -> Iterator[str]:
    yield "/generations/"
    yield f"/generations/{image.generation_id}/cancellation/"
    yield f"/images/{image.pk}/deletion/"
    yield "/accounts/password/change/"
    yield "/accounts/email/"
    yield "/accounts/reauthenticate/"
    yield "/admin/"
    yield "/nowhere/"


def test_nothing_can_be_changed(looking: Client, alice: User) -> None:
    before = list(Image.objects.values())
    for path in addresses(Image.objects.get()):
        for method in ("post", "put", "patch", "delete"):
            answer = getattr(looking, method)(path)
            assert answer.status_code == 403, (method, path)
            assert "This view is read-only" in answer.content.decode()
            assert BANNER in answer.content.decode()
    assert list(Image.objects.values()) == before
    assert looking.get("/").status_code == 200


def test_scripts_get_the_refusal_in_json(looking: Client) -> None:
    answer = looking.post("/generations/", {}, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "looks_only")


def test_ending_it_leads_back_and_is_written_down(
    looking: Client, alice: User, charlie: User
) -> None:
    answer = looking.post("/acting/end/")
    assert answer["Location"] == f"/admin/accounts/user/{alice.pk}/change/"
    assert looking.get(answer["Location"]).status_code == 200
    assert lines() == [
        ("user.act_as", charlie.email, alice.email),
        ("user.act_as_end", charlie.email, alice.email),
    ]
    assert looking.post("/acting/end/")["Location"] == "/"
    assert len(lines()) == 2


def test_the_page_asks_nothing_of_the_words_that_it_would_be_refused(
    looking: Client, alice: User, offered_model: DiffusionModel
) -> None:
    """What is asked about a prompt is sent, and whoever looks sends nothing."""
    give_vocabulary(offered_model)
    door = 'data-url="/prompts/reading/"'
    assert door not in looking.get("/").content.decode()
    client = Client()
    client.force_login(alice)
    assert door in client.get("/").content.decode()


def test_it_takes_the_pages_token_to_end_it(alice: User, charlie: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    start(strict, charlie, alice)
    assert strict.post("/acting/end/").status_code == 403
    assert BANNER in strict.get("/").content.decode()


def test_signing_out_ends_it_too(looking: Client, charlie: User) -> None:
    assert looking.post("/accounts/logout/").status_code == 302
    assert lines()[-1][:2] == ("user.act_as_end", charlie.email)
    assert looking.get("/").status_code == 302
    looking.post("/accounts/login/", {"login": charlie.email, "password": PASSWORD})
    assert BANNER not in looking.get("/").content.decode()


def test_after_half_an_hour_it_is_over(
    looking: Client, charlie: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + acting.LASTS_S - 5)
    assert BANNER in looking.get("/").content.decode()
    monkeypatch.setattr(time, "time", lambda: now + acting.LASTS_S + 5)
    refused = looking.post("/generations/", {"prompt": "a fox"})
    assert refused.status_code == 403  # not an image of the administrator's own
    page = looking.get("/").content.decode()
    assert BANNER not in page
    assert charlie.email in page
    assert [line[0] for line in lines()] == ["user.act_as", "user.act_as_end"]


@pytest.mark.parametrize(
    ("who", "change"),
    [
        ("alice", {"is_active": False}),
        ("alice", {"is_staff": True}),
        ("alice", {"is_superuser": True}),
        ("charlie", {"is_active": False}),
        ("charlie", {"is_superuser": False}),
    ],
)
def test_it_ends_when_either_may_not_any_more(
    looking: Client, who: str, change: dict[str, bool]
) -> None:
    User.objects.filter(email=f"{who}@example.org").update(**change)
    page = looking.get("/")
    assert BANNER not in page.content.decode()
    assert "alice@example.org" not in page.content.decode()
    assert page.status_code == (302 if change == {"is_active": False} and who != "alice" else 200)
    assert [line[0] for line in lines()] == ["user.act_as", "user.act_as_end"]
    User.objects.filter(email=f"{who}@example.org").update(
        is_active=True, is_staff=who == "charlie", is_superuser=who == "charlie"
    )
    assert BANNER not in looking.get("/").content.decode()


def test_who_may_not_look_and_who_cannot_be_looked_at(
    client: Client, alice: User, bob: User, charlie: User
) -> None:
    dora = make_user("dora", is_staff=True)
    off = make_user("eve", is_active=False)
    for looker, person in [(alice, bob), (dora, bob), (charlie, dora), (charlie, charlie)]:
        with pytest.raises(Conflict):
            start(client, looker, person)
    with pytest.raises(Conflict, match="suspended"):
        start(client, charlie, off)
    for reason in ("", "  ", "x" * 201):
        with pytest.raises(InvalidInput):
            start(client, charlie, bob, reason)
    assert lines() == []
    assert acting.SESSION_KEY not in client.session


def test_a_deleted_session_row_or_a_new_sign_in_is_the_end(looking: Client, charlie: User) -> None:
    call_command("clearsessions")
    assert BANNER in looking.get("/").content.decode()
    Client().post("/accounts/login/", {"login": charlie.email, "password": PASSWORD})
    other = Client()
    other.force_login(charlie)
    assert BANNER not in other.get("/").content.decode()


# -- event streams ------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
async def test_the_event_stream_is_the_persons_and_ends_with_the_time(
    valkey_is_empty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asgiref.sync import sync_to_async

    def prepare() -> tuple[AsyncClient, User]:
        alice = make_user("alice")
        charlie = make_user("charlie", is_staff=True, is_superuser=True)
        browser = Client()
        start(browser, charlie, alice)
        client = AsyncClient()
        client.cookies = browser.cookies
        return client, alice

    heard: list[int] = []

    async def frames(user_id: int) -> AsyncIterator[bytes]:
        heard.append(user_id)
        yield b"retry: 2000\n\n"
        await asyncio.sleep(60)

    monkeypatch.setattr(acting, "LASTS_S", 3)
    monkeypatch.setattr("webapp.generation.studio.views.stream_events", frames)
    client, alice = await sync_to_async(prepare)()
    began = time.monotonic()
    response: Any = await client.get("/events/")
    parts = [part async for part in response.streaming_content]
    assert heard == [alice.pk]
    assert parts == [b"retry: 2000\n\n"]
    assert time.monotonic() - began < 30


async def test_a_stream_that_ends_by_itself_is_passed_on_whole() -> None:
    closed = []

    async def parts() -> AsyncIterator[bytes]:
        try:
            yield b"1"
            yield b"2"
        finally:
            closed.append(True)

    later = timezone.now() + timedelta(minutes=1)
    assert [part async for part in _parts_until(parts(), later)] == [b"1", b"2"]
    reader: Any = _parts_until(parts(), later)
    async with contextlib.aclosing(reader):
        await anext(reader)
    assert closed == [True, True]
    assert [part async for part in _parts_until(parts(), timezone.now())] == []
