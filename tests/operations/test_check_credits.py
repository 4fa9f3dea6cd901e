"""`manage.py check_credits` finds every kind of damage, each done here behind the ledger's back."""

import io

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection

from tests.people import claim, finish, make_model, submit
from webapp.accounts.models import User
from webapp.generation import services
from webapp.generation.models import Image

TABLES = ("credits_account", "credits_entry", "credits_hold", "credits_transaction")


@pytest.fixture
def busy_studio(alice: User, bob: User) -> None:
    """One image stored, one cancelled, two queued."""
    model = make_model()
    submit(alice, model)
    assert finish(claim(model))
    cancelled = submit(alice, model)
    services.cancel_generation(owner=alice, generation_id=cancelled.pk)
    submit(bob, model, count=2)


def check(*options: str) -> str:
    said = io.StringIO()
    call_command("check_credits", *options, stdout=said)
    return said.getvalue()


def find_damage(*options: str) -> str:
    said = io.StringIO()
    with pytest.raises(CommandError, match="the books need a look"):
        call_command("check_credits", *options, stdout=said)
    return said.getvalue()


def tamper(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # ALTER TABLE waits for no trigger
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(statement)
        assert cursor.rowcount
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def test_honest_books_are_clean(busy_studio: None) -> None:
    assert check() == (
        "The books are clean: 2 accounts, 3 transactions, 399.80 credits posted, 0.40 held.\n"
    )


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE credits_account SET posted_ucr = posted_ucr + 1 WHERE kind = 'user'", "posted is"),
        ("UPDATE credits_account SET held_ucr = held_ucr + 1 WHERE kind = 'user'", "held is"),
        (
            "UPDATE credits_entry SET amount_ucr = amount_ucr + 1 WHERE balance_after_ucr IS NULL",
            "its 2 entries sum to 1",
        ),
        ("DELETE FROM credits_entry WHERE balance_after_ucr IS NULL", "its 1 entries sum to"),
        (
            "INSERT INTO credits_transaction (kind, actor_name, reason, idempotency_key,"
            " created_at) VALUES ('grant', '', '', 'x', now())",
            "its 0 entries sum to 0",
        ),
        ("UPDATE credits_account SET user_id = NULL", "has no account"),
        (
            "UPDATE credits_hold SET state = 'released' WHERE state = 'captured'",
            "stored, but its hold is released",
        ),
        (
            "UPDATE credits_hold SET state = 'captured' WHERE state = 'released'",
            "cancelled, but its hold is captured",
        ),
        (
            "UPDATE credits_hold SET state = 'released', resolved_at = now() WHERE state = 'held'",
            "queued, but its hold is released",
        ),
        ("DELETE FROM credits_hold WHERE state = 'held'", "queued, but its hold is missing"),
        ("DELETE FROM generation_image WHERE state = 'queued'", "is open, but there is no image"),
        (
            "DELETE FROM credits_entry WHERE image_id IS NOT NULL"
            " AND balance_after_ucr IS NOT NULL",
            "is captured, with 0 lines on its account",
        ),
        (
            "UPDATE credits_hold SET amount_ucr = 1 WHERE state = 'captured'",
            "1 was held, 200000 was charged",
        ),
        ("DELETE FROM credits_hold WHERE state = 'captured'", "which has no hold"),
        (
            "UPDATE credits_entry SET balance_after_ucr = 1 WHERE balance_after_ucr IS NOT NULL",
            "says 1 is left after it",
        ),
        ("UPDATE generation_queueshare SET queued = queued + 1", "counts 3 queued images"),
    ],
)
def test_damage_is_found_and_named(busy_studio: None, statement: str, sentence: str) -> None:
    tamper(statement)
    assert sentence in find_damage("--no-files")


@pytest.mark.parametrize("field", ["file", "thumbnail"])
def test_a_picture_that_is_gone_is_found(
    busy_studio: None, field: str, settings: LazySettings
) -> None:
    image = Image.objects.get(state="stored")
    name = getattr(image, field)
    (settings.MEDIA_ROOT / name).unlink()
    assert f"image {image.pk}: its file {name} is gone" in find_damage()
    assert "clean" in check("--no-files")


def test_a_picture_that_was_changed_is_found(busy_studio: None, settings: LazySettings) -> None:
    image = Image.objects.get(state="stored")
    (settings.MEDIA_ROOT / image.file).write_bytes(b"something else")
    assert f"its file {image.file} was changed" in find_damage()


def test_a_deleted_picture_leaves_clean_books(busy_studio: None, alice: User) -> None:
    image = Image.objects.get(state="stored")
    services.delete_image(owner=alice, image_id=image.pk)
    assert "clean" in check()
