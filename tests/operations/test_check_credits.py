"""`manage.py check_credits` finds every kind of damage, each done here behind the ledger's back."""

import io
import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.test import Client

from tests.core.fixtures import static_files as static_files
from tests.people import claim, finish, make_model, submit
from webapp.accounts.models import User
from webapp.core.models import AuditLine, Notice
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import codes, ledger
from webapp.credits.models import Account, Entry, Hold
from webapp.credits.selectors import get_balance
from webapp.generation.models import Image
from webapp.generation.queueing import services
from webapp.operations import repairs
from webapp.operations.audit import Violation, keep_check
from webapp.operations.models import BooksCheck

TABLES = [
    f"credits_{table}"
    for table in (
        *("account", "codeuse", "entry", "hold", "mailboxgrant", "topupbatch", "transaction"),
    )
]
CREDIT = UCR_PER_CREDIT
BATCH = uuid.UUID(int=1)


@pytest.fixture
def busy_studio(alice: User, bob: User) -> None:
    """One image stored, one cancelled, two queued."""
    model = make_model()
    submit(alice, model)
    assert finish(claim(model))
    cancelled = submit(alice, model)
    services.cancel_generation(owner=alice, generation_id=cancelled.pk)
    submit(bob, model, count=2)


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


# -- Repairs ------------------------------------------------------------------------------------


def test_there_is_nothing_to_repair_in_clean_books(busy_studio: None) -> None:
    lines = Entry.objects.count()
    assert check("--repair").startswith("The books are clean")
    assert Entry.objects.count() == lines
    assert not AuditLine.objects.filter(action="credits.repair").exists()


def test_what_is_held_is_counted_anew(busy_studio: None, bob: User) -> None:
    tamper("UPDATE credits_account SET held_ucr = held_ucr + 1000000 WHERE held_ucr > 0")
    assert "Repair: account" in check("--repair")
    assert get_balance(user=bob).held_ucr == 400_000
    line = AuditLine.objects.get(action="credits.repair")
    assert (line.actor, line.before, line.after) == (
        None,
        {"held_ucr": 1_400_000},
        {"held_ucr": 400_000},
    )


def test_a_hold_of_a_stored_image_is_charged(busy_studio: None, alice: User) -> None:
    submit(alice, make_model("other"))
    Image.objects.filter(owner=alice, state="queued").update(
        state="stored", file="x.png", thumbnail="x.webp", sha256="x"
    )
    tamper("UPDATE generation_queueshare SET queued = 0 WHERE queued = 1")
    assert "its hold is captured" in check("--repair", "--no-files")
    assert get_balance(user=alice).posted_ucr == 200 * CREDIT - 400_000


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_hold_of_an_image_that_ended_without_a_picture_is_given_back(
    busy_studio: None, bob: User, state: str
) -> None:
    Image.objects.filter(owner=bob).update(state=state)
    tamper("UPDATE generation_queueshare SET queued = 0 WHERE queued = 2")
    said = check("--repair")
    assert said.count("its hold is released") == 2
    assert get_balance(user=bob).available_ucr == 200 * CREDIT
    assert AuditLine.objects.filter(action="credits.repair").count() == 2


def test_a_hold_without_an_image_is_given_back(busy_studio: None, bob: User) -> None:
    tamper("DELETE FROM generation_image WHERE state = 'queued'")
    tamper("UPDATE generation_queueshare SET queued = 0 WHERE queued = 2")
    assert "its hold is released" in check("--repair", "--no-files")
    assert get_balance(user=bob).available_ucr == 200 * CREDIT


def test_a_line_that_is_missing_is_added_and_the_balance_stays(
    busy_studio: None, alice: User
) -> None:
    Account.objects.filter(user=alice).update(posted_ucr=F("posted_ucr") + CREDIT)
    assert "a line of 1.00 was added" in check("--repair")
    assert get_balance(user=alice).posted_ucr == 201 * CREDIT - 200_000
    assert Entry.objects.filter(kind="repair", amount_ucr=CREDIT).count() == 1


def test_repairs_are_said_in_json_too(busy_studio: None) -> None:
    tamper("UPDATE credits_account SET held_ucr = held_ucr + 1 WHERE held_ucr > 0")
    said = json.loads(check("--json", "--repair"))
    assert said["clean"] is True
    assert len(said["repairs"]) == 1


def test_what_cannot_be_mended_is_left_alone_and_said(busy_studio: None, bob: User) -> None:
    """More is held than there is: no count can be right, and a release would go below zero."""
    Account.objects.filter(user=bob).update(posted_ucr=0, held_ucr=0)
    Image.objects.filter(owner=bob).update(state="failed")
    said = find_damage("--repair", "--no-files")
    account = Account.objects.get(user=bob)
    assert f"account {account.pk}: left alone, its open holds are more than it has" in said
    assert said.count("left alone, its account holds less than its hold says") == 2
    assert Hold.objects.filter(account=account, state="held").count() == 2


def test_an_image_that_somebody_else_ends_meanwhile_is_not_repaired(
    busy_studio: None, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = Image.objects.filter(owner=bob).earliest("index").pk
    ledger_release = ledger.release

    def release_twice(*, image_id: uuid.UUID) -> bool:
        ledger_release(image_id=image_id)
        return ledger_release(image_id=image_id)

    Image.objects.filter(pk=image_id).update(state="failed")
    tamper("UPDATE generation_queueshare SET queued = 1 WHERE queued = 2")
    monkeypatch.setattr(ledger, "release", release_twice)
    assert "Repair" not in check("--repair", "--no-files")


def test_a_stored_image_whose_file_is_gone_is_refunded_and_told_to_its_owner(
    client: Client, static_files: None, busy_studio: None, alice: User, settings: LazySettings
) -> None:
    image = Image.objects.get(state="stored")
    Image.objects.filter(pk=image.pk).update(is_favourite=True)
    before = get_balance(user=alice).posted_ucr
    entries = list(Entry.objects.order_by("pk").values())
    (settings.MEDIA_ROOT / image.file).unlink()
    said = check("--repair")
    assert f"image {image.pk}: its file is gone, it is failed now; 0.20 were refunded" in said
    assert list(Entry.objects.order_by("pk").values())[: len(entries)] == entries
    assert get_balance(user=alice).posted_ucr == before + CREDIT // 5
    image.refresh_from_db()
    assert (image.state, image.file) == ("failed", "")
    assert AuditLine.objects.filter(action="credits.repair").exists()
    assert "Repair" not in check("--repair")
    client.force_login(alice)
    told = "The file of this image was lost. What it cost was given back."
    assert told in client.get(f"/images/{image.pk}/").content.decode()


def test_an_image_that_was_free_is_only_failed_when_its_file_is_gone(
    alice: User, settings: LazySettings
) -> None:
    settings.PRICE_PER_IMAGE = Decimal(0)
    model = make_model()
    submit(alice, model)
    assert finish(claim(model))
    image = Image.objects.get()
    (settings.MEDIA_ROOT / image.file).unlink()
    assert "nothing was to be refunded" in check("--repair")


def test_files_that_are_all_gone_are_a_storage_that_is_not_there(
    alice: User, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repairs, "LOST_AT_ONCE", 2)
    model = make_model()
    submit(alice, model, count=3)
    for _image in range(3):
        assert finish(claim(model))
    settings.MEDIA_ROOT.rename(settings.MEDIA_ROOT.with_name("elsewhere"))
    said = find_damage("--repair")
    assert "left alone: the files of 3 of 3 stored images are not there" in said
    assert not Entry.objects.filter(kind="refund").exists()


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
