"""Codes: how they read, made in batches, written again as CSV, and revoked."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from tests.credits.code_batches import CREDIT, have, make_batch, texts
from webapp.accounts.models import User
from webapp.core.errors import Conflict, InvalidInput, NotFound
from webapp.core.models import AuditLine
from webapp.credits import codes
from webapp.credits.code_text import ALPHABET, derive_code, digest_code, read_code, write_code
from webapp.credits.models import Code, CodeBatch

BATCH = uuid.UUID(int=7)


def in_full_width(text: str) -> str:
    """As Korean and Japanese input methods may leave it."""
    return "".join(chr(ord(letter) + 0xFEE0) for letter in text)


# -- How a code is written and read


def test_a_code_has_128_bits_in_crockfords_alphabet() -> None:
    code = derive_code(batch_id=BATCH, number=1)
    value = 0
    for letter in code:
        value = value * 32 + ALPHABET.index(letter)
    assert len(code) == 26
    assert value < 2**128
    assert not set("ILOU") & set(ALPHABET)


def test_a_code_is_the_same_whenever_it_is_asked_and_another_for_each_number() -> None:
    assert derive_code(batch_id=BATCH, number=1) == derive_code(batch_id=BATCH, number=1)
    made = {derive_code(batch_id=BATCH, number=number) for number in range(500)}
    made |= {derive_code(batch_id=uuid.UUID(int=8), number=number) for number in range(500)}
    assert len(made) == 1000


def test_a_code_is_derived_from_the_studios_secret(settings: LazySettings) -> None:
    before = derive_code(batch_id=BATCH, number=1)
    settings.SECRET_KEY = "another secret"
    assert derive_code(batch_id=BATCH, number=1) != before


def test_a_code_is_written_in_groups_and_read_back() -> None:
    code = "0123456789ABCDEFGHJKMNPQRS"
    assert write_code(code) == "DR-01234-56789-ABCDE-FGHJK-MNPQRS"
    assert read_code(write_code(code)) == code


@pytest.mark.parametrize(
    "typed",
    [
        "01234 56789 abcde fghjk mnpqrs",
        "  dr-01234-56789-abcde-fghjk-mnpqrs\n",
        "DR O1234 56789 ABCDE FGHJK MNPQRS",
        "0l234-56789-ABCDE-FGHJK-MNPQRS",
        "0I23456789ABCDEFGHJKMNPQRS",
        "DR–01234–56789—ABCDE\u2011FGHJK\u2011MNPQRS",
        in_full_width("DR-01234-56789-ABCDE-FGHJK-MNPQRS"),
    ],
)
def test_a_code_is_read_however_people_type_it(typed: str) -> None:
    assert read_code(typed) == "0123456789ABCDEFGHJKMNPQRS"


def test_a_code_that_begins_with_the_prefixs_letters_is_read_whole() -> None:
    assert read_code("DR23456789ABCDEFGHJKMNPQRS") == "DR23456789ABCDEFGHJKMNPQRS"
    assert read_code("DR-DR234-56789-ABCDE-FGHJK-MNPQRS") == "DR23456789ABCDEFGHJKMNPQRS"


@pytest.mark.parametrize("typed", ["", "DR-", "0123456789ABCDEFGHJKMNPQR", "U" * 26, "0" * 28])
def test_what_cannot_be_a_code_is_told_what_one_looks_like(typed: str) -> None:
    with pytest.raises(InvalidInput, match="A code looks like DR-XXXXX-") as refused:
        read_code(typed)
    assert refused.value.field == "code"


# -- Batches


def test_a_batch_keeps_no_code_in_the_database(charlie: User) -> None:
    batch = make_batch(charlie, count=3, uses_per_code=2)
    rows = list(batch.codes.order_by("number"))
    assert [(row.number, row.uses_left) for row in rows] == [(1, 2), (2, 2), (3, 2)]
    for row, text in zip(rows, texts(batch), strict=True):
        assert row.digest == digest_code(read_code(text))
        assert read_code(text) not in row.digest.upper()


def test_ten_thousand_codes_are_made_at_once(charlie: User) -> None:
    batch = make_batch(charlie, count=10_000)
    assert Code.objects.filter(batch=batch).count() == 10_000


def test_making_a_batch_is_written_to_the_audit_log(charlie: User) -> None:
    until = timezone.now() + timedelta(days=3)
    batch = make_batch(charlie, count=2, expires_at=until)
    line = AuditLine.objects.get(action="codes.create")
    assert (line.actor, line.subject_id) == (charlie, str(batch.pk))
    assert line.after == {
        "amount": "5.00",
        "codes": 2,
        "people_per_code": 1,
        "codes_per_person": 1,
        "until": until.isoformat(),
    }


def test_a_form_that_is_sent_twice_makes_one_batch(charlie: User) -> None:
    made = [make_batch(charlie, batch_id=BATCH, count=2) for _click in range(2)]
    assert made[0] == made[1]
    assert Code.objects.count() == 2
    assert AuditLine.objects.filter(action="codes.create").count() == 1


def test_a_form_that_is_sent_again_with_other_figures_is_a_conflict(charlie: User) -> None:
    make_batch(charlie, batch_id=BATCH)
    with pytest.raises(Conflict, match="already sent with other content"):
        make_batch(charlie, batch_id=BATCH, amount_ucr=6 * CREDIT)
    assert Code.objects.count() == 1


def test_a_form_that_is_sent_twice_is_answered_the_same_even_after_the_codes_expired(
    charlie: User,
) -> None:
    until = timezone.now() - timedelta(days=1)
    CodeBatch.objects.create(
        id=BATCH, name="Workshop", amount_ucr=5 * CREDIT, count=1, expires_at=until
    )
    assert make_batch(charlie, batch_id=BATCH, expires_at=until).pk == BATCH


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("name", {"name": "  "}),
        ("name", {"name": "x" * 81}),
        ("amount", {"amount_ucr": 0}),
        ("amount", {"amount_ucr": -1}),
        ("amount", {"amount_ucr": 10**12 + 1}),
        ("count", {"count": 0}),
        ("count", {"count": 10_001}),
        ("uses_per_code", {"uses_per_code": 0}),
        ("uses_per_code", {"uses_per_code": 1_000_001}),
        ("per_user_limit", {"per_user_limit": 0}),
        ("per_user_limit", {"per_user_limit": 10_001}),
        ("expires_at", {"expires_at": timezone.now() - timedelta(seconds=1)}),
    ],
)
def test_a_batch_that_cannot_be_is_refused_at_its_field_and_nothing_is_made(
    charlie: User, field: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        make_batch(charlie, **changes)
    assert refused.value.field == field
    assert not CodeBatch.objects.filter(codes__isnull=False).exists()
    assert not AuditLine.objects.exists()


# -- The CSV, and revoking


def test_the_codes_can_be_written_again_at_any_time_with_their_uses_left(
    alice: User, charlie: User
) -> None:
    batch = make_batch(charlie, count=3)
    codes.redeem_code(user=alice, text=texts(batch)[1])
    lines = codes.export_batch(batch_id=batch.pk, actor=charlie)
    assert [line.text for line in lines] == texts(batch)
    assert [line.uses_left for line in lines] == [1, 0, 1]
    line = AuditLine.objects.get(action="codes.export")
    assert (line.actor, line.after) == (charlie, {"codes": 3})


def test_codes_of_another_secret_are_said_to_be_lost(charlie: User, settings: LazySettings) -> None:
    batch = make_batch(charlie)
    settings.SECRET_KEY = "another secret"
    with pytest.raises(Conflict, match="these codes are lost"):
        codes.export_batch(batch_id=batch.pk, actor=charlie)
    assert not AuditLine.objects.filter(action="codes.export").exists()


def test_a_batch_that_is_not_there_can_neither_be_written_nor_revoked(charlie: User) -> None:
    with pytest.raises(NotFound):
        codes.export_batch(batch_id=BATCH, actor=charlie)
    with pytest.raises(NotFound):
        codes.revoke_batch(batch_id=BATCH, actor=charlie, reason="leaked")


def test_revoking_stops_what_is_unused_and_takes_nothing_back(
    alice: User, bob: User, charlie: User
) -> None:
    batch = make_batch(charlie, count=2)
    codes.redeem_code(user=alice, text=texts(batch)[0])
    codes.revoke_batch(batch_id=batch.pk, actor=charlie, reason=" leaked ")
    with pytest.raises(Conflict, match="was revoked"):
        codes.redeem_code(user=bob, text=texts(batch)[1])
    assert (have(alice), have(bob)) == (5, 0)
    line = AuditLine.objects.get(action="codes.revoke")
    assert (line.actor, line.reason) == (charlie, "leaked")


def test_a_batch_is_revoked_once_and_with_a_reason(charlie: User) -> None:
    batch = make_batch(charlie)
    with pytest.raises(InvalidInput):
        codes.revoke_batch(batch_id=batch.pk, actor=charlie, reason=" ")
    codes.revoke_batch(batch_id=batch.pk, actor=charlie, reason="leaked")
    with pytest.raises(Conflict, match="already revoked"):
        codes.revoke_batch(batch_id=batch.pk, actor=charlie, reason="leaked")
    assert AuditLine.objects.filter(action="codes.revoke").count() == 1


def test_a_batch_tells_how_far_it_is_used(alice: User, bob: User, charlie: User) -> None:
    batch = make_batch(charlie, count=3, uses_per_code=2, per_user_limit=2)
    for user, number in ((alice, 0), (alice, 1), (bob, 0)):
        codes.redeem_code(user=user, text=texts(batch)[number])
    assert codes.summarise_batch(batch=batch) == codes.BatchUse(
        uses=3, people=2, untouched=1, given_ucr=15 * CREDIT
    )
