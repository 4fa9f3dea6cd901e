"""The statement: every line once, linked to its image, filtered, and as quick for many lines."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.bench.bulk import Bulk, check_bulk, make_bulk
from tests.people import claim, finish, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.credits import ledger
from webapp.credits.models import Account, Hold
from webapp.generation.models import Image
from webapp.generation.queueing import services
from webapp.statements.filters import StatementFilter
from webapp.statements.lines import EPOCH, Cursor, StatementLine, list_lines
from webapp.statements.views import LINES_SHOWN

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static")]
MOST_QUERIES = 13
ALL = StatementFilter()


def draw(owner: User, model: DiffusionModel, **changes: Any) -> Image:
    made = submit(owner, model, **changes)
    assert finish(claim(model))
    return made.images.get(index=0)


def cancel(owner: User, model: DiffusionModel, **changes: Any) -> Image:
    image = submit(owner, model, **changes).images.get(index=0)
    services.cancel_image(owner=owner, image_id=image.pk)
    return image


def top_up(user: User, actor: User, reason: str, amount_ucr: int = 1_000_000) -> None:
    key = uuid.uuid4().hex
    ledger.top_up(user=user, amount_ucr=amount_ucr, actor=actor, reason=reason, key=key)


def read_all(user: User, asked: StatementFilter = ALL, limit: int = 7) -> list[StatementLine]:
    """Every line that fits, a small page at a time."""
    account = Account.objects.get(user=user)
    lines: list[StatementLine] = []
    page = list_lines(account=account, asked=asked, before=None, limit=limit)
    while True:
        assert len(page.lines) <= limit
        lines += page.lines
        if page.next_cursor is None:
            return lines
        assert len(page.lines) == limit
        cursor = Cursor.read(str(page.next_cursor))
        page = list_lines(account=account, asked=asked, before=cursor, limit=limit)


def test_lines_lead_to_pictures_and_tell_what_was_not_charged(
    as_alice: Client, alice: User, charlie: User, offered_model: DiffusionModel
) -> None:
    kept, gone = draw(alice, offered_model), draw(alice, offered_model, prompt="forgotten")
    services.delete_image(owner=alice, image_id=gone.pk)
    cancel(alice, offered_model, prompt="second thoughts")
    top_up(alice, charlie, "a prize", 5_000_000)
    page = as_alice.get("/credits/").content.decode()
    assert page.index("A prize") < page.index("second thoughts") < page.index("was deleted")
    assert f'href="/images/{kept.pk}/"' in page
    assert f'href="/images/{kept.pk}/#receipt"' in page
    assert f'href="/credits/?image={gone.pk}#lines"' in page
    for words in ("+5.00", "not charged", "−0.20", "+200.00", "Welcome credits", "204.60"):
        assert words in page
    assert "forgotten" not in page


def test_what_only_administrators_may_read_is_not_shown(
    as_alice: Client, alice: User, charlie: User
) -> None:
    ledger.top_up(
        user=alice,
        amount_ucr=1_000_000,
        actor=charlie,
        reason="a prize",
        key="1",
        note="she complained",
    )
    page = as_alice.get("/credits/").content.decode()
    assert "she complained" not in page
    assert "charlie@example.org" not in page


def test_the_month_and_its_days_are_summed(
    as_alice: Client, alice: User, charlie: User, offered_model: DiffusionModel
) -> None:
    images = [draw(alice, offered_model) for _picture in range(3)]
    cancel(alice, offered_model)
    ledger.refund_image(image_id=images[0].pk, actor=charlie, reason="a smudge")
    page = as_alice.get("/credits/").content.decode()
    for words in ("0.60", "3 images", "1 not charged", "0.20 refunded", "Credits spent per day"):
        assert words in page
    assert "a smudge" in page


def test_every_line_stands_on_one_page_once(
    alice: User, charlie: User, offered_model: DiffusionModel
) -> None:
    for number in range(12):
        top_up(alice, charlie, f"gift {number}")
        if number % 3 == 0:
            draw(alice, offered_model)
    for image in submit(alice, offered_model, count=10).images.all():
        services.cancel_image(owner=alice, image_id=image.pk)
    for limit in (1, 2, 5, 27, 100):
        lines = read_all(alice, limit=limit)
        assert len({line.key for line in lines}) == len(lines) == 1 + 12 + 4 + 10
        assert [line.when for line in lines] == sorted((line.when for line in lines), reverse=True)


def test_lines_of_one_moment_are_all_shown(alice: User) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    Hold.objects.bulk_create(
        Hold(
            account=alice.account,
            image_id=uuid.uuid4(),
            amount_ucr=1,
            state=Hold.State.RELEASED,
            resolved_at=moment,
        )
        for _line in range(10)
    )
    assert len({line.key for line in read_all(alice, limit=3)}) == 11


def test_a_filter_by_kind_shows_that_kind_alone(
    alice: User, charlie: User, offered_model: DiffusionModel
) -> None:
    image = draw(alice, offered_model)
    cancel(alice, offered_model)
    top_up(alice, charlie, "a prize")
    ledger.refund_image(image_id=image.pk, actor=charlie, reason="a smudge")
    found = {
        kind: [line.kind for line in read_all(alice, StatementFilter(kind=kind))]
        for kind in ("grant", "capture", "not_charged", "top_up", "refund", "code")
    }
    assert found == {
        **{kind: [kind] for kind in ("grant", "capture", "not_charged", "top_up", "refund")},
        "code": [],
    }


def test_a_filter_by_days_includes_both_of_them(
    settings: LazySettings, offered_model: DiffusionModel
) -> None:
    settings.TIME_ZONE = "Asia/Seoul"
    person = make_bulk(Bulk(people=1, lines=200, released=100, days=20), model_id=offered_model.pk)
    day = timezone.localdate() - timedelta(days=10)
    lines = read_all(person, StatementFilter(since=day, until=day + timedelta(days=1)))
    days = {timezone.localdate(line.when) for line in lines}
    before = read_all(person, StatementFilter(until=day - timedelta(days=1)))
    after = read_all(person, StatementFilter(since=day + timedelta(days=2)))
    assert days == {day, day + timedelta(days=1)}
    assert len(lines) + len(before) + len(after) == 300


def test_a_filter_by_picture_shows_its_lines_even_when_it_is_deleted(
    as_alice: Client, alice: User, bob: User, charlie: User, offered_model: DiffusionModel
) -> None:
    image = draw(alice, offered_model)
    ledger.refund_image(image_id=image.pk, actor=charlie, reason="a smudge")
    services.delete_image(owner=alice, image_id=image.pk)
    asked = StatementFilter(image_id=image.pk)
    assert [line.kind for line in read_all(alice, asked)] == ["refund", "capture"]
    assert read_all(bob, asked) == []
    page = as_alice.get(f"/credits/?image={image.pk}").content.decode()
    assert page.count("an image that was deleted") == 2


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("kind=bribes", "There is no such kind of line."),
        ("since=yesterday", "Write a day as year-month-day"),
        ("until=2026-02-30", "Write a day as year-month-day"),
        ("until=9999-12-31", "Write a day as year-month-day"),
        ("since=0001-01-01", "Write a day as year-month-day"),
        (
            "since=2026-02-02&until=2026-02-01",
            "The first day is after the last day. Choose an earlier first day.",
        ),
        ("image=7", "That is not the id of an image."),
        ("before=abc", "That page does not exist."),
        ("before=1-2", "That page does not exist."),
        ("before=1-999999999999999999-2", "That page does not exist."),
    ],
)
def test_a_filter_that_is_none_is_answered_with_a_sentence_and_no_lines(
    as_alice: Client, query: str, sentence: str
) -> None:
    answer = as_alice.get(f"/credits/?{query}")
    assert answer.status_code == 400
    page = answer.content.decode()
    assert sentence in page
    assert "<table>" not in page.split('id="lines"')[1]
    if "before" not in query:
        assert as_alice.get(f"/credits/statement.csv?{query}").status_code == 400


def test_an_older_page_keeps_the_filter(as_alice: Client, alice: User, charlie: User) -> None:
    for number in range(LINES_SHOWN + 1):
        top_up(alice, charlie, f"gift {number}")
    page = as_alice.get("/credits/?kind=top_up&since=2026-01-01").content.decode()
    older = page.split('href="?')[1].split('"')[0].replace("&amp;", "&")
    assert older.startswith("kind=top_up&since=2026-01-01&before=")
    page = as_alice.get(f"/credits/?{older}").content.decode()
    assert "Gift 0" in page
    assert "Gift 1<" not in page
    assert 'href="/credits/?kind=top_up&amp;since=2026-01-01#lines"' in page


def test_a_cursor_is_read_as_it_was_written() -> None:
    cursor = Cursor(12, datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC), 34)
    assert Cursor.read(str(cursor)) == cursor
    assert Cursor.read("0-0-0") == Cursor(0, EPOCH, 0)


@pytest.mark.parametrize("query", ["", "kind=capture", "kind=not_charged", "until=2026-01-31"])
def test_a_long_statement_asks_the_database_no_more_than_a_short_one(
    client: Client, offered_model: DiffusionModel, query: str
) -> None:
    person = make_bulk(
        Bulk(people=50, lines=11_000, released=2000, share=2), model_id=offered_model.pk
    )
    check_bulk()
    client.force_login(person)
    asked = []
    path = f"/credits/?{query}"
    for _page in range(3):
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(path)
        assert answer.status_code == 200
        asked.append(len(queries))
        older = answer.context["older_query"]
        path = f"/credits/?{older}"
    assert max(asked) <= MOST_QUERIES
