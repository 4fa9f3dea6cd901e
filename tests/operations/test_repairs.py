"""`manage.py check_credits --repair` mends what can be mended, and says what it can not."""

import json
import uuid
from decimal import Decimal

import pytest
from django.conf import LazySettings
from django.db.models import F
from django.test import Client

from tests.core.fixtures import static_files as static_files
from tests.operations.damage import CREDIT, check, find_damage, tamper
from tests.operations.damage import busy_studio as busy_studio
from tests.people import claim, finish, make_model, submit
from webapp.accounts.models import User
from webapp.core.models import AuditLine
from webapp.credits import ledger
from webapp.credits.models import Account, Entry, Hold
from webapp.credits.selectors import get_balance
from webapp.generation.models import Image
from webapp.operations import repairs


def test_there_is_nothing_to_repair_in_clean_books(busy_studio: None) -> None:
    lines = Entry.objects.count()
    assert check("--repair").startswith("The ledger is clean")
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
