"""A user as a whole: suspended, restored, deleted; the ledger stays clean throughout."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, connection, transaction
from django.test import Client

from tests.people import PASSWORD, claim, finish, make_model, make_user, picture_bytes, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import Conflict, InvalidInput
from webapp.core.models import AuditLine
from webapp.credits import ledger
from webapp.credits.models import Account, CreditRequest, Entry, Hold
from webapp.generation import erasure
from webapp.generation.models import DiscardedFile, Generation, Image, QueueShare, Upload
from webapp.generation.orphans import delete_discarded_files
from webapp.operations import people
from webapp.operations.audit import find_violations
from webapp.operations.people import (
    delete_user,
    end_work_of_the_suspended,
    finish_deletions,
    restore_user,
    suspend_user,
)

REASON = "asked for by mail"


def suspend(user: User, actor: User, reason: str = REASON) -> None:
    suspend_user(user=user, actor=actor, reason=reason)


def delete(user: User, actor: User, reason: str = REASON) -> None:
    delete_user(user=user, actor=actor, reason=reason)


def balance(user: User) -> tuple[int, int]:
    account = Account.objects.get(user=user)
    return account.posted_ucr, account.held_ucr


def sign_in(user: User) -> Client:
    client = Client()
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def is_in(client: Client) -> bool:
    return client.get("/gallery/").status_code == 200


def is_clean() -> bool:
    return list(find_violations()) == []


def test_switching_off_ends_sessions_and_work_and_gives_the_credits_back(
    alice: User, charlie: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, count=3)
    running = claim(offered_model)
    client = sign_in(alice)
    assert is_in(client)
    suspend(alice, charlie)
    stored = User.objects.get(pk=alice.pk)
    assert (stored.is_active, stored.suspended_reason) == (False, REASON)
    assert not is_in(client)
    assert set(Image.objects.values_list("state", flat=True)) == {"cancelled"}
    assert balance(alice) == (200_000_000, 0)
    assert not finish(running)
    assert is_clean()


def test_who_is_switched_off_is_told_whom_to_ask(
    client: Client, alice: User, charlie: User, settings: Any
) -> None:
    settings.CONTACT = "help@example.org"
    suspend(alice, charlie)
    form = {"login": alice.email, "password": PASSWORD}
    page = client.post("/accounts/login/", form, follow=True).content.decode()
    assert "This account is suspended" in page
    assert 'href="mailto:help@example.org"' in page


def test_switching_on_again_revives_no_session(alice: User, charlie: User) -> None:
    before = sign_in(alice)
    suspend(alice, charlie)
    restore_user(user=alice, actor=charlie, reason="cleared up")
    assert not is_in(before)
    assert is_in(sign_in(alice))
    assert User.objects.get(pk=alice.pk).suspended_reason == ""


def test_both_are_written_down(alice: User, charlie: User) -> None:
    suspend(alice, charlie)
    restore_user(user=alice, actor=charlie, reason="cleared up")
    delete(alice, charlie)
    delete(alice, charlie)
    lines = AuditLine.objects.order_by("pk").values_list("action", "actor_name", "reason")
    assert list(lines) == [
        ("user.suspend", charlie.email, REASON),
        ("user.restore", charlie.email, "cleared up"),
        ("user.delete", charlie.email, REASON),
    ]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201])
@pytest.mark.parametrize("act", [suspend_user, restore_user, delete_user])
def test_every_one_of_them_needs_a_reason(
    alice: User, charlie: User, act: Any, reason: str
) -> None:
    with pytest.raises(InvalidInput, match="Enter 1 to 200 characters"):
        act(user=alice, actor=charlie, reason=reason)
    assert User.objects.get(pk=alice.pk).is_active
    assert not AuditLine.objects.exists()


def test_what_makes_no_sense_is_refused(alice: User, charlie: User) -> None:
    dora = make_user("dora", is_superuser=True)
    with pytest.raises(Conflict, match="can't suspend your own account"):
        suspend(charlie, charlie)
    suspend(dora, charlie)
    with pytest.raises(Conflict, match="already suspended"):
        suspend(dora, charlie)
    with pytest.raises(Conflict, match="is not suspended"):
        restore_user(user=alice, actor=charlie, reason=REASON)
    for act in (suspend, delete):
        with pytest.raises(Conflict, match="the last administrator"):
            act(charlie, alice)
    delete(dora, charlie)
    with pytest.raises(Conflict, match="being deleted"):
        restore_user(user=dora, actor=charlie, reason=REASON)
    assert AuditLine.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_administrators_cannot_switch_each_other_off() -> None:
    both = [make_user(name, is_superuser=True) for name in ("charlie", "dora")]
    barrier = threading.Barrier(2)

    def act(turn: int) -> bool:
        barrier.wait()
        try:
            suspend(both[turn], both[1 - turn])
        except Conflict:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(act, range(2))) == [False, True]
    assert User.objects.filter(is_superuser=True, is_active=True).count() == 1


def test_a_request_that_was_on_its_way_is_ended_by_the_next_tick(
    alice: User, bob: User, charlie: User, offered_model: DiffusionModel
) -> None:
    suspend(alice, charlie)
    submit(alice, offered_model, count=2)
    claim(offered_model)
    submit(bob, offered_model)
    assert end_work_of_the_suspended() == 2
    assert balance(alice) == (200_000_000, 0)
    assert Image.objects.filter(owner=bob, state="queued").exists()
    assert is_clean()


# -- deleting ---------------------------------------------------------------------------------


@pytest.fixture
def busy(alice: User, offered_model: DiffusionModel) -> User:
    """Alice with something of everything: stored, cancelled, queued, running, an upload."""
    submit(alice, offered_model, count=2)
    assert finish(claim(offered_model))
    assert finish(claim(offered_model))
    submit(alice, offered_model, count=2)
    claim(offered_model)
    default_storage.save("uploads/a.png", ContentFile(picture_bytes()))
    start = Upload.objects.create(
        owner=alice, kind="start", file="uploads/a.png", width_px=64, height_px=64, size_bytes=1
    )
    parent = Image.objects.filter(state="stored").first()
    Generation.objects.filter(images__state="running").update(
        mode="image", start=start, strength=0.5, parent=parent
    )
    EmailAddress.objects.create(user=alice, email=alice.email, verified=True, primary=True)
    CreditRequest.objects.create(user=alice, amount_ucr=1, reason="more")
    return alice


def assert_gone(user: User, email: str = "alice@example.org") -> None:
    assert not User.objects.filter(email=email).exists()
    assert not EmailAddress.objects.exists()
    assert not CreditRequest.objects.exists()
    for model in (Image, Generation, QueueShare, Upload):
        assert not model._default_manager.filter(owner_id=user.pk).exists()
    while DiscardedFile.objects.exists():
        delete_discarded_files()
    left = [default_storage.listdir(f"images/{folder}")[1] for folder in _folders("images")]
    assert not any(left)
    assert not default_storage.exists("uploads/a.png")


def _folders(name: str) -> list[str]:
    return list(default_storage.listdir(name)[0])


def test_deleting_takes_everything_but_the_books(busy: User, charlie: User) -> None:
    entries = Entry.objects.count()
    pseudonym = busy.account.pseudonym
    running = Image.objects.get(state="running")
    client = sign_in(busy)
    delete(busy, charlie)
    assert not is_in(client)
    assert finish_deletions() == 1
    assert_gone(busy)
    account = Account.objects.get(pseudonym=pseudonym)
    assert (account.user, account.posted_ucr, account.held_ucr) == (None, 199_600_000, 0)
    assert Entry.objects.count() == entries
    assert not Hold.objects.filter(state="held").exists()
    assert not Image.objects.filter(pk=running.pk).exists()
    assert is_clean()


def test_a_worker_that_draws_meanwhile_stores_nothing(
    alice: User, charlie: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    drawing = claim(offered_model)
    delete(alice, charlie)
    finish_deletions()
    assert not finish(drawing)
    assert is_clean()


def test_only_those_who_asked_are_deleted(busy: User, bob: User, charlie: User) -> None:
    suspend(bob, charlie)
    delete(busy, charlie)
    assert finish_deletions() == 1
    assert finish_deletions() == 0
    assert set(User.objects.all()) == {bob, charlie}


STEPS = ["cancel_all", "erase_images", "_erase_row"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_anywhere_it_is_finished_by_the_next_run(
    busy: User, charlie: User, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    whole = getattr(people, step)

    def killed(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            whole(*args, **kwargs)
        raise KeyboardInterrupt

    delete(busy, charlie)
    with monkeypatch.context() as patch:
        patch.setattr(people, step, killed)
        with pytest.raises(KeyboardInterrupt):
            finish_deletions()
    assert list(find_violations(files=False)) == []
    finish_deletions()
    assert_gone(busy)
    assert is_clean()


def test_killed_between_two_batches_it_goes_on(
    alice: User, charlie: User, offered_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "ROWS_AT_ONCE", 2)
    submit(alice, offered_model, count=5)
    for _image in range(5):
        assert finish(claim(offered_model))
    delete(alice, charlie)
    batch, turns = erasure._erase_images, iter([False, True])

    def killed(owner: User) -> int:
        if next(turns):
            raise KeyboardInterrupt
        return batch(owner)

    with monkeypatch.context() as patch:
        patch.setattr(erasure, "_erase_images", killed)
        with pytest.raises(KeyboardInterrupt):
            finish_deletions()
    assert Image.objects.count() == 3
    assert list(find_violations(files=False)) == []
    assert finish_deletions() == 1
    assert_gone(alice)
    assert is_clean()


def test_an_open_hold_puts_it_off_and_loses_nothing(
    alice: User, charlie: User, offered_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(alice, offered_model)
    delete(alice, charlie)
    with monkeypatch.context() as patch:
        patch.setattr(people, "cancel_all", lambda **_who: 0)
        assert finish_deletions() == 0
    assert User.objects.filter(pk=alice.pk).exists()
    assert Account.objects.filter(user=alice).exists()
    assert finish_deletions() == 1


def test_a_free_image_in_the_queue_puts_it_off_too(
    alice: User, charlie: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(alice, make_model())
    ledger.release(image_id=Image.objects.get().pk)
    delete(alice, charlie)
    with monkeypatch.context() as patch:
        patch.setattr(people, "cancel_all", lambda **_who: 0)
        patch.setattr(people, "erase_images", lambda **_who: 0)
        assert finish_deletions() == 0
    assert Account.objects.filter(user=alice).exists()


def test_who_is_deleted_gets_no_second_welcome(busy: User, charlie: User) -> None:
    delete(busy, charlie)
    finish_deletions()
    again = make_user("alice")
    assert balance(again) == (0, 0)


def test_the_database_keeps_who_is_being_deleted_switched_off(alice: User, charlie: User) -> None:
    delete(alice, charlie)
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=alice.pk).update(is_active=True)


@pytest.mark.django_db(transaction=True)
def test_two_who_erase_at_once_do_it_once(valkey_is_empty: None) -> None:
    charlie = make_user("charlie", is_superuser=True)
    model, alice = make_model(), make_user("alice")
    submit(alice, model, count=8)
    for _image in range(4):
        assert finish(claim(model))
    delete(alice, charlie)
    barrier = threading.Barrier(3)

    def erase(_turn: int) -> int:
        barrier.wait()
        try:
            return finish_deletions()
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        done = sum(pool.map(erase, range(3)))
    assert done + finish_deletions() == 1
    assert not User.objects.filter(pk=alice.pk).exists()
    assert is_clean()
