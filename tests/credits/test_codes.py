"""Codes: made in batches, read leniently, redeemed once; and who wins a race for one."""

import uuid
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from tests.credits.races import race
from tests.pages import serve_plain_static
from tests.people import make_user
from webapp.accounts.models import User
from webapp.core.errors import Conflict, InvalidInput, NotFound, TooMany
from webapp.core.models import AuditLine
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import codes, ledger
from webapp.credits.code_text import ALPHABET, derive_code, digest_code, read_code, write_code
from webapp.credits.models import Code, CodeBatch, CodeUse, Entry, Transaction
from webapp.credits.selectors import get_balance

CREDIT = UCR_PER_CREDIT
BATCH = uuid.UUID(int=7)


def make_batch(actor: User, **changes: Any) -> CodeBatch:
    body: dict[str, Any] = {"name": "Workshop", "amount_ucr": 5 * CREDIT, "count": 1}
    return codes.create_batch(**{"batch_id": uuid.uuid4(), "actor": actor, **body, **changes})


def texts(batch: CodeBatch) -> list[str]:
    return [
        write_code(derive_code(batch_id=batch.pk, number=number))
        for number in range(1, batch.count + 1)
    ]


def have(user: User) -> int:
    return get_balance(user=user).posted_ucr // CREDIT - 200


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
    with pytest.raises(Conflict, match="already used"):
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
    with pytest.raises(Conflict, match="revoked before"):
        codes.revoke_batch(batch_id=batch.pk, actor=charlie, reason="leaked")
    assert AuditLine.objects.filter(action="codes.revoke").count() == 1


def test_a_batch_tells_how_far_it_is_used(alice: User, bob: User, charlie: User) -> None:
    batch = make_batch(charlie, count=3, uses_per_code=2, per_user_limit=2)
    for user, number in ((alice, 0), (alice, 1), (bob, 0)):
        codes.redeem_code(user=user, text=texts(batch)[number])
    assert codes.summarise_batch(batch=batch) == codes.BatchUse(
        uses=3, people=2, untouched=1, given_ucr=15 * CREDIT
    )


# -- Redeeming


def test_a_code_gives_its_credits_once(alice: User, charlie: User) -> None:
    (text,) = texts(make_batch(charlie))
    assert codes.redeem_code(user=alice, text=text.lower()) == 5 * CREDIT
    assert have(alice) == 5
    entry = Entry.objects.filter(account__user=alice).latest("id")
    assert (entry.transaction.kind, entry.amount_ucr) == (Transaction.Kind.CODE, 5 * CREDIT)
    use = CodeUse.objects.get()
    assert (use.transaction, use.account.user) == (entry.transaction, alice)
    assert use.code.uses_left == 0


def test_a_code_that_was_redeemed_by_you_says_so(alice: User, charlie: User) -> None:
    for uses in (1, 2):
        (text,) = texts(make_batch(charlie, uses_per_code=uses))
        codes.redeem_code(user=alice, text=text)
        with pytest.raises(Conflict, match="You have redeemed this code already"):
            codes.redeem_code(user=alice, text=text)
    assert have(alice) == 10
    assert [code.uses_left for code in Code.objects.order_by("pk")] == [0, 1]


def test_a_code_that_was_undone_cannot_be_redeemed_again(alice: User, charlie: User) -> None:
    (text,) = texts(make_batch(charlie, uses_per_code=2))
    codes.redeem_code(user=alice, text=text)
    ledger.reverse(
        transaction_id=CodeUse.objects.get().transaction_id, actor=charlie, reason="by mistake"
    )
    with pytest.raises(Conflict, match="already"):
        codes.redeem_code(user=alice, text=text)
    assert have(alice) == 0


def test_a_code_that_is_used_up_says_so(alice: User, bob: User, charlie: User) -> None:
    (text,) = texts(make_batch(charlie))
    codes.redeem_code(user=alice, text=text)
    with pytest.raises(Conflict, match="used up"):
        codes.redeem_code(user=bob, text=text)
    assert have(bob) == 0


def test_an_unknown_code_says_so(alice: User, charlie: User) -> None:
    make_batch(charlie)
    with pytest.raises(InvalidInput, match="no such code"):
        codes.redeem_code(user=alice, text="0" * 26)


def test_an_expired_code_says_which_day_was_its_last(alice: User, charlie: User) -> None:
    batch = make_batch(charlie, expires_at=timezone.now() + timedelta(hours=1))
    CodeBatch.objects.update(expires_at=timezone.now() - timedelta(days=2))
    day = (timezone.localdate() - timedelta(days=2)).isoformat()
    with pytest.raises(Conflict, match=f"expired; its last day was {day}"):
        codes.redeem_code(user=alice, text=texts(batch)[0])
    assert have(alice) == 0


def test_the_last_day_is_the_one_before_midnight_where_the_studio_is(charlie: User) -> None:
    with timezone.override("Asia/Seoul"):
        midnight = timezone.make_aware(datetime(2040, 3, 2))  # noqa: DTZ001 - in Seoul
        batch = make_batch(charlie, expires_at=midnight)
        assert codes.last_day(batch) == date(2040, 3, 1)
    assert codes.last_day(make_batch(charlie)) is None


def test_a_code_is_good_until_it_expires(alice: User, charlie: User) -> None:
    batch = make_batch(charlie, expires_at=timezone.now() + timedelta(hours=1))
    assert codes.redeem_code(user=alice, text=texts(batch)[0])


@pytest.mark.parametrize(("limit", "sentence"), [(1, "one is for one person"), (2, "2 codes of")])
def test_one_person_redeems_no_more_codes_of_a_batch_than_allowed(
    alice: User, bob: User, charlie: User, limit: int, sentence: str
) -> None:
    batch = make_batch(charlie, count=3, per_user_limit=limit)
    for text in texts(batch)[:limit]:
        codes.redeem_code(user=alice, text=text)
    with pytest.raises(Conflict, match=sentence):
        codes.redeem_code(user=alice, text=texts(batch)[limit])
    assert have(alice) == 5 * limit
    assert codes.redeem_code(user=bob, text=texts(batch)[limit])  # the use was not lost


def test_a_batch_limits_only_its_own_codes(alice: User, charlie: User) -> None:
    for _batch in range(2):
        codes.redeem_code(user=alice, text=texts(make_batch(charlie))[0])
    assert have(alice) == 10


def test_the_database_refuses_a_second_use_by_the_same_person(alice: User, charlie: User) -> None:
    (text,) = texts(make_batch(charlie))
    codes.redeem_code(user=alice, text=text)
    use = CodeUse.objects.get()
    posted = Transaction.objects.get(kind="grant", entries__account=use.account)
    with pytest.raises(IntegrityError, match="code_once_per_person"):
        CodeUse.objects.create(code=use.code, account=use.account, transaction=posted)


# -- How often it may be tried


@pytest.mark.usefixtures("valkey_is_empty")
def test_a_person_tries_ten_codes_an_hour(alice: User, bob: User) -> None:
    for _try in range(10):
        codes.count_redeem_attempt(user=alice, address="192.0.2.1")
    with pytest.raises(TooMany, match="Try again in 60 minutes"):
        codes.count_redeem_attempt(user=alice, address="192.0.2.1")
    codes.count_redeem_attempt(user=bob, address="192.0.2.1")


@pytest.mark.usefixtures("valkey_is_empty")
def test_an_address_tries_thirty_codes_an_hour(db: None) -> None:
    for number in range(3):
        user = make_user(f"u{number}")
        for _try in range(10):
            codes.count_redeem_attempt(user=user, address="192.0.2.1")
    other = make_user("other")
    with pytest.raises(TooMany):
        codes.count_redeem_attempt(user=other, address="192.0.2.1")
    codes.count_redeem_attempt(user=other, address="192.0.2.2")


@pytest.mark.usefixtures("valkey_is_empty")
def test_a_class_behind_one_address_redeems_as_many_codes_as_it_has(
    charlie: User, settings: LazySettings
) -> None:
    serve_plain_static(settings)
    codes_of_the_class = texts(make_batch(charlie, count=31))
    for number, text in enumerate(codes_of_the_class):
        client = Client()
        client.force_login(make_user(f"u{number}"))
        assert client.post("/credits/redeem/", {"code": text}).status_code == 302
    assert CodeUse.objects.count() == 31


# -- Races


@pytest.mark.django_db(transaction=True)
def test_sixteen_people_race_for_one_single_use_code_and_one_wins(charlie: User) -> None:
    (text,) = texts(make_batch(charlie))
    people = [make_user(f"u{number}") for number in range(16)]
    outcomes = race([partial(codes.redeem_code, user=user, text=text) for user in people])
    assert sorted(str(one) for one in outcomes) == sorted(
        [str(5 * CREDIT), *["This code is used up."] * 15]
    )
    assert sum(have(user) for user in people) == 5
    assert CodeUse.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("uses", [1, 16])
def test_one_person_redeems_one_code_sixteen_times_at_once_and_gets_it_once(
    alice: User, charlie: User, uses: int
) -> None:
    (text,) = texts(make_batch(charlie, uses_per_code=uses))
    outcomes = race([lambda: codes.redeem_code(user=alice, text=text)] * 16)
    assert outcomes.count(5 * CREDIT) == 1
    assert have(alice) == 5
    assert Code.objects.get().uses_left == uses - 1


@pytest.mark.django_db(transaction=True)
def test_one_person_redeems_all_codes_of_a_batch_at_once_and_gets_one(
    alice: User, charlie: User
) -> None:
    batch = make_batch(charlie, count=16)
    outcomes = race([partial(codes.redeem_code, user=alice, text=text) for text in texts(batch)])
    assert outcomes.count(5 * CREDIT) == 1
    assert have(alice) == 5
    assert Code.objects.filter(uses_left=1).count() == 15


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_is_revoked_while_people_redeem_gives_nothing_afterwards(
    charlie: User,
) -> None:
    batch = make_batch(charlie, uses_per_code=16)
    (text,) = texts(batch)
    people = [make_user(f"u{number}") for number in range(15)]

    def revoke() -> int:
        codes.revoke_batch(batch_id=batch.pk, actor=charlie, reason="leaked")
        return CodeUse.objects.count()

    redeems = [partial(codes.redeem_code, user=user, text=text) for user in people]
    *outcomes, used_when_revoked = race([*redeems, revoke])
    assert CodeUse.objects.count() == used_when_revoked == outcomes.count(5 * CREDIT)
