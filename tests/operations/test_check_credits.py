"""`manage.py check_credits` finds every kind of damage, each done here behind the ledger's back."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from tests.core.fixtures import static_files as static_files
from tests.operations.damage import CREDIT, check, find_damage, tamper
from tests.operations.damage import busy_studio as busy_studio
from webapp.accounts.models import User
from webapp.core.models import Notice
from webapp.credits import codes, ledger
from webapp.generation.models import Image
from webapp.generation.queueing import services
from webapp.operations.audit import Violation, keep_check
from webapp.operations.models import BooksCheck

BATCH = uuid.UUID(int=1)


@pytest.fixture
def long_story(busy_studio: None, alice: User, bob: User, charlie: User) -> None:
    """And a batch, of which one line was undone, a refund, a redeemed code, a closed account."""
    lines = [(alice.pk, 5 * CREDIT), (bob.pk, -3 * CREDIT)]
    by_hand: dict[str, Any] = {"actor": charlie, "reason": "prize"}
    batch = ledger.top_up_many(batch_id=BATCH, lines=lines, **by_hand)
    hers = batch.transactions.get(kind="top_up")
    ledger.reverse(transaction_id=hers.pk, **by_hand)
    image = Image.objects.get(state="stored")
    ledger.refund_image(image_id=image.pk, **by_hand)
    codes.create_batch(
        batch_id=BATCH, actor=charlie, name="fair", amount_ucr=CREDIT, count=2, uses_per_code=3
    )
    (written, _unused) = codes.export_batch(batch_id=BATCH, actor=charlie)
    codes.redeem_code(user=alice, text=written.text)
    ledger.close_account(user=charlie)
    charlie.delete()


def test_honest_books_are_clean(busy_studio: None) -> None:
    assert check() == (
        "The ledger is clean: 2 accounts, 3 transactions, 399.80 credits posted, 0.40 held.\n"
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
            "INSERT INTO credits_transaction (kind, actor_name, reason, note,"
            " idempotency_key, created_at) VALUES ('grant', '', '', '', 'x', now())",
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
        (
            "UPDATE generation_generation SET price_each_ucr = 1 WHERE price_each_ucr > 0",
            "1 was quoted, 200000 is its hold",
        ),
        ("UPDATE credits_entry SET at = at - interval '1 s'", "its transaction of"),
        ("UPDATE credits_entry SET kind = 'code' WHERE kind = 'grant'", "is of code at"),
        ("DELETE FROM credits_mailboxgrant", "to which mailbox is not written down"),
        (
            "UPDATE credits_mailboxgrant SET transaction_id = (SELECT id FROM credits_transaction"
            " WHERE kind = 'capture')  WHERE id = (SELECT MIN(id) FROM credits_mailboxgrant)",
            "is a capture, and stands for a mailbox as welcome",
        ),
        (
            "UPDATE credits_entry SET balance_after_ucr = 1 WHERE balance_after_ucr IS NULL",
            "yet says that 1 is left",
        ),
        (
            "UPDATE credits_entry SET amount_ucr = amount_ucr + 1 WHERE balance_after_ucr IS NULL",
            "all entries together sum to 3 instead of 0",
        ),
    ],
)
def test_damage_is_found_and_named(busy_studio: None, statement: str, sentence: str) -> None:
    tamper(statement)
    assert sentence in find_damage("--no-files")


def test_a_long_story_is_clean(long_story: None) -> None:
    assert "clean" in check()


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (
            "UPDATE credits_entry SET amount_ucr = amount_ucr + 1 WHERE kind = 'reversal'",
            "but moves",
        ),
        (
            "UPDATE credits_entry SET amount_ucr = amount_ucr + 1 WHERE kind = 'refund'",
            "200000 was charged, 200001 was given back in 1 refunds",
        ),
        (
            "UPDATE credits_entry SET kind = 'refund' WHERE kind = 'capture'",
            "in 2 refunds",
        ),
        ("UPDATE credits_topupbatch SET people = 3", "is of 3 people and 2000000"),
        ("UPDATE credits_topupbatch SET total_ucr = 1", "and 1, its lines are of 2 and 2000000"),
        (
            "UPDATE credits_code SET uses_left = uses_left - 1 WHERE number = 1",
            "1 uses are left of 3, 1 people used it",
        ),
        (
            "UPDATE credits_codebatch SET amount_ucr = 2000000",
            "the code gives 2000000, its transaction",
        ),
        ("DELETE FROM credits_codeuse", "no use of a code has it"),
        (
            "UPDATE credits_hold SET account_id = a.id FROM credits_account a"
            " WHERE a.kind = 'user' AND a.user_id IS NULL AND state = 'held'",
            "nobody has it any more, but 400000 is held",
        ),
    ],
)
def test_damage_to_what_was_given_is_found_and_named(
    long_story: None, statement: str, sentence: str
) -> None:
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


def test_a_picture_that_is_deleted_while_the_check_reads_is_no_fault(
    busy_studio: None, alice: User, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image.objects.get(state="stored")

    def delete_first(name: str) -> bool:
        services.delete_image(owner=alice, image_id=image.pk)
        monkeypatch.undo()
        return False

    monkeypatch.setattr("webapp.generation.storage.default_storage.exists", delete_first)
    assert "clean" in check()


def test_a_picture_that_goes_while_it_is_read_is_found(
    busy_studio: None, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image.objects.get(state="stored")
    (settings.MEDIA_ROOT / image.file).unlink()
    monkeypatch.setattr("webapp.generation.storage.default_storage.exists", lambda _name: True)
    assert f"its file {image.file} is gone" in find_damage()


def test_the_check_can_be_said_as_json(busy_studio: None) -> None:
    said = json.loads(check("--json"))
    assert (said["clean"], said["violations"], said["repairs"]) == (True, [], [])
    assert said["summary"].startswith("2 accounts, 3 transactions")
    tamper("UPDATE generation_queueshare SET queued = queued + 1")
    said = json.loads(find_damage("--json", "--no-files"))
    assert said["clean"] is False
    assert [one["code"] for one in said["violations"]] == ["share", "share"]


def test_a_single_fault_is_told_as_one(alice: User) -> None:
    keep_check([Violation("share", "one fault")], took_s=0.1)
    assert Notice.objects.get().sentence == "The ledger check found 1 fault."


def test_a_whole_check_is_kept_and_told_to_admins_until_it_is_clean(busy_studio: None) -> None:
    tamper("UPDATE generation_queueshare SET queued = queued + 1")
    find_damage("--no-files")
    assert not BooksCheck.objects.exists()
    find_damage()
    kept = BooksCheck.objects.get()
    assert (kept.violations, len(kept.first_sentences)) == (2, 2)
    notice = Notice.objects.get()
    assert notice.sentence == "The ledger check found 2 faults."
    assert "queued images" in notice.detail
    tamper("UPDATE generation_queueshare SET queued = queued - 1")
    check()
    assert not Notice.objects.exists()


@pytest.mark.usefixtures("busy_studio")
def test_pictures_that_could_not_be_read_are_never_clean(
    settings: LazySettings, tmp_path: Path
) -> None:
    """A folder that cannot be entered (here a link to itself) is no lost file, either."""
    (image,) = Image.objects.filter(state="stored")
    folder = (Path(settings.MEDIA_ROOT) / image.file).parent
    folder.rename(tmp_path / "away")
    folder.symlink_to(folder)
    said = find_damage("--repair")
    assert "left alone: whether files are lost could not be seen" in said
    assert f"the images were not read from image {image.pk} on" in said
    assert "is gone" not in said
    assert BooksCheck.objects.latest("pk").violations >= 1
    folder.unlink()
    (tmp_path / "away").rename(folder)
    assert "clean" in check()


@pytest.mark.usefixtures("busy_studio")
def test_a_check_without_the_pictures_says_so() -> None:
    assert check("--no-files").rstrip().endswith("The images were not read.")
    assert "not read" not in check()
