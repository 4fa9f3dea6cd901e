"""The oracle sees what it is for: one thing is put wrong in a real database, and it is named."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection

from tests.chaos import oracle
from tests.chaos.book import Book, Order, TopUp
from tests.chaos.facts import Facts, read_facts
from tests.people import claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.credits import ledger
from webapp.credits.models import Account
from webapp.generation.models import Generation, Image
from webapp.generation.queueing import services
from webapp.generation.storage import delete_files, read_file

PRICE_UCR = 200_000
pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return make_user("alice")


@pytest.fixture
def model() -> DiffusionModel:
    return make_model()


@pytest.fixture
def book() -> Book:
    return Book()


def ask(owner: User, model: DiffusionModel, book: Book, count: int = 1) -> Generation:
    """Images that the book knows of."""
    key = uuid.uuid4().hex
    book.order(key, Order(owner.email, count, PRICE_UCR, 0.0))
    generation = submit(owner, model, key=key, count=count)
    book.tell(key, [str(image.pk) for image in generation.images.all()])
    return generation


def store(owner: User, model: DiffusionModel, book: Book) -> Image:
    """One that was drawn, stored and charged."""
    generation = ask(owner, model, book)
    assert finish(claim(model))
    return generation.images.get()


def facts() -> Facts:
    with connection.cursor() as cursor:
        return read_facts(cursor)


def read(name: str) -> bytes | None:
    try:
        return read_file(name)
    except FileNotFoundError:
        return None


def names(found: Facts, book: Book) -> set[str]:
    """Which invariants the oracle finds violated."""
    return {one.name for one in oracle.judge(found, book, read, seen=set())}


def test_ordinary_life_violates_nothing(alice: User, model: DiffusionModel, book: Book) -> None:
    store(alice, model, book)
    deleted = store(alice, model, book)
    book.deleted.add(str(deleted.pk))
    services.delete_image(owner=alice, image_id=deleted.pk)
    cancelled = ask(alice, model, book).images.get()
    book.cancelled.add(str(cancelled.pk))
    services.cancel_image(owner=alice, image_id=cancelled.pk)
    ask(alice, model, book, count=2)
    found = facts()
    assert oracle.judge(found, book, read, seen=set()) == []
    counts = oracle.count(found)
    assert (counts.asked, counts.stored, counts.released) == (5, 2, 1)


def test_a_stored_image_without_a_charge_is_seen(
    alice: User, model: DiffusionModel, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "capture", lambda **_: None)
    store(alice, model, book)
    assert {"not_charged", "check_credits", "wrongly_charged_sum"} <= names(facts(), book)


def test_a_charged_image_whose_file_was_deleted_is_seen(
    alice: User, model: DiffusionModel, book: Book
) -> None:
    delete_files(store(alice, model, book).file)
    assert names(facts(), book) == {"file"}


def test_a_file_with_other_bytes_is_seen(alice: User, model: DiffusionModel, book: Book) -> None:
    image = store(alice, model, book)
    delete_files(image.file)
    default_storage.save(image.file, ContentFile(b"another picture"))
    assert names(facts(), book) == {"file"}


def test_a_file_that_was_right_is_not_read_again(
    alice: User, model: DiffusionModel, book: Book
) -> None:
    image, seen = store(alice, model, book), set[str]()
    oracle.judge(facts(), book, read, seen=seen)
    assert seen == {str(image.pk)}


def test_an_image_that_is_gone_is_seen(alice: User, model: DiffusionModel, book: Book) -> None:
    image = store(alice, model, book)
    services.delete_image(owner=alice, image_id=image.pk)  # and its owner never meant to
    assert {"lost_image", "wrongly_charged"} <= names(facts(), book)


def test_a_failed_image_is_seen_even_though_it_was_released(
    alice: User, model: DiffusionModel, book: Book
) -> None:
    ask(alice, model, book)
    mine = claim(model)
    told = {"code": "out_of_memory", "sentence": "The storage is full."}
    services.fail_image(image_id=mine.image_id, lease_token=mine.lease_token, **told)
    assert names(facts(), book) == {"failed_image"}


def test_an_image_that_nobody_cancelled_is_seen(
    alice: User, model: DiffusionModel, book: Book
) -> None:
    services.cancel_image(owner=alice, image_id=ask(alice, model, book).images.get().pk)
    assert names(facts(), book) == {"lost_image"}


def test_a_hold_that_was_not_released_is_seen(
    alice: User, model: DiffusionModel, book: Book
) -> None:
    image = ask(alice, model, book).images.get()
    book.cancelled.add(str(image.pk))
    Image.objects.filter(pk=image.pk).update(state="cancelled")
    assert "not_released" in names(facts(), book)


def test_an_order_that_was_done_twice_is_seen(
    alice: User, model: DiffusionModel, book: Book
) -> None:
    generation = ask(alice, model, book, count=2)
    book.orders[generation.idempotency_key] = Order(alice.email, 1, PRICE_UCR, 0.0)
    assert names(facts(), book) == {"asked_twice"}


def test_another_price_than_was_shown_is_seen(
    alice: User, model: DiffusionModel, book: Book
) -> None:
    generation = ask(alice, model, book)
    book.orders[generation.idempotency_key] = Order(alice.email, 1, PRICE_UCR - 1, 0.0)
    assert names(facts(), book) == {"wrongly_charged"}


def test_a_second_charge_is_seen(alice: User, model: DiffusionModel, book: Book) -> None:
    store(alice, model, book)
    found = facts()
    found.entries += [one for one in found.entries if one.kind == "capture"]
    assert {"charged_twice", "wrongly_charged_sum"} <= names(found, book)


def change_posted(found: Facts) -> None:
    found.posted = [(account, email, posted + 1) for account, email, posted in found.posted]


def lose_a_hold(found: Facts) -> None:
    found.holds.clear()


@pytest.mark.parametrize(
    ("tamper", "name"), [(change_posted, "balance"), (lose_a_hold, "wrongly_charged_sum")]
)
def test_sums_that_do_not_fit_are_seen(
    tamper: Callable[[Facts], None], name: str, alice: User, model: DiffusionModel, book: Book
) -> None:
    store(alice, model, book)
    found = facts()
    tamper(found)
    assert name in names(found, book)


def test_what_the_products_own_check_finds_is_seen(
    alice: User, model: DiffusionModel, book: Book
) -> None:
    ask(alice, model, book)
    Account.objects.filter(user=alice).update(held_ucr=PRICE_UCR + 1)
    assert names(facts(), book) == {"check_credits"}


def test_a_top_up_is_booked_once_when_it_was_said_to_be(
    alice: User, model: DiffusionModel, book: Book
) -> None:
    key = str(uuid.uuid4())
    book.top_ups[key] = TopUp(alice.email, 5_000_000, is_told=True)
    assert names(facts(), book) == {"top_up"}
    root = make_user("root", is_superuser=True)
    ledger.top_up(user=alice, amount_ucr=5_000_000, actor=root, reason="prize", key=key)
    assert names(facts(), book) == set()
    book.top_ups[key] = replace(book.top_ups[key], amount_ucr=4_000_000)
    assert names(facts(), book) == {"top_up"}


def test_an_answer_that_is_never_right_is_seen(book: Book) -> None:
    book.complain("alice was answered 500")
    assert names(facts(), book) == {"server_error"}


def test_what_is_left_at_the_end_is_seen(alice: User, model: DiffusionModel, book: Book) -> None:
    image = store(alice, model, book)
    waiting = ask(alice, model, book).images.get()
    files = [image.file, image.thumbnail, image.strip, "images/00/nobodys.png"]
    found = oracle.judge_end(facts(), book, read, files)
    assert [str(one) for one in found] == [
        f"stuck: image {waiting.pk} is still queued, attempt 0",
        "orphan: images/00/nobodys.png belongs to nothing",
    ]


def test_an_image_that_waits_for_too_long_is_seen(
    alice: User, model: DiffusionModel, book: Book
) -> None:
    ask(alice, model, book)
    found = facts()
    assert oracle.judge_stuck(found) == []
    assert found.now is not None
    found.now += oracle.STUCK + timedelta(seconds=1)
    assert [one.name for one in oracle.judge_stuck(found)] == ["stuck"]


def test_a_page_that_did_not_hear_of_a_stored_image_is_seen(
    alice: User, model: DiffusionModel, book: Book
) -> None:
    image = store(alice, model, book)
    waiting = ask(alice, model, book).images.get()
    right = {str(image.pk): "stored", str(waiting.pk): "running"}
    assert oracle.judge_view(facts(), right, who="alice") == []
    wrong = {**right, str(image.pk): "running"}
    assert [one.name for one in oracle.judge_view(facts(), wrong, who="alice")] == ["lost_event"]
