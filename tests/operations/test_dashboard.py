"""The first page of the admin site: what the studio is doing, in figures that are right."""

import re
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.people import claim, finish, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger
from webapp.credits.models import Account, CreditRequest
from webapp.generation.models import Image
from webapp.operations import figures
from webapp.operations.models import BooksCheck

CREDIT = UCR_PER_CREDIT


@pytest.fixture
def admin(client: Client, charlie: User) -> Client:
    client.force_login(charlie)
    return client


def test_the_queue_is_counted_as_it_is(alice: User, offered_model: DiffusionModel) -> None:
    assert figures.count_queue() == figures.QueueNow(0, 0, None)
    assert figures.count_queue().oldest_wait_s is None
    submit(alice, offered_model, count=3)
    claim(offered_model)
    waiting = Image.objects.filter(state="queued")
    waiting.update(created_at=timezone.now() - timedelta(minutes=5))
    queue = figures.count_queue()
    assert (queue.waiting, queue.developing) == (2, 1)
    assert queue.oldest_wait_s == pytest.approx(300, abs=10)


def test_images_stand_in_the_hour_that_they_ended_in(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, count=5)
    images = list(Image.objects.order_by("index"))
    for _image in images[:2]:
        finish(claim(offered_model))
    now = timezone.now()
    times = {0: now, 1: now - timedelta(hours=2)}
    for number, at in times.items():
        Image.objects.filter(pk=images[number].pk).update(finished_at=at)
    failed = {"state": "failed", "failure_code": "out_of_memory"}
    Image.objects.filter(pk=images[2].pk).update(finished_at=now, **failed)
    Image.objects.filter(pk=images[3].pk).update(finished_at=now - timedelta(hours=25), **failed)
    hours = figures.count_hours()
    assert len(hours.at) == len(hours.stored) == len(hours.failed) == 24
    assert (hours.stored[-1], hours.stored[-3], sum(hours.stored)) == (1, 1, 2)
    assert (hours.failed[-1], sum(hours.failed)) == (1, 1)


def test_failures_are_counted_by_code_with_the_newest_sentence(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, count=4)
    told = [("a", "first", 3), ("a", "second", 1), ("b", "other", 2), ("a", "long ago", 30)]
    for image, (code, sentence, hours) in zip(Image.objects.order_by("index"), told, strict=True):
        Image.objects.filter(pk=image.pk).update(
            state="failed",
            failure_code=code,
            failure=sentence,
            finished_at=timezone.now() - timedelta(hours=hours),
        )
    counted = figures.list_failures()
    assert [(one.code, one.times, one.sentence) for one in counted] == [
        ("a", 2, "second"),
        ("b", 1, "other"),
    ]


def test_the_month_tells_what_was_given_what_was_spent_and_by_whom(
    alice: User, bob: User, charlie: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, count=2)
    submit(bob, offered_model)
    for _image in range(3):
        finish(claim(offered_model))
    ledger.top_up(user=bob, amount_ucr=7 * CREDIT, actor=charlie, reason="x", key="1")
    ledger.adjust(user=bob, amount_ucr=-200 * CREDIT, actor=charlie, reason="x", key="2")
    month = figures.read_month()
    assert month.days[-1] == timezone.localdate()
    assert len(month.days) == 30
    assert month.granted_ucr[-1] == 607 * CREDIT
    assert (month.spent_ucr[-1], sum(month.spent_ucr)) == (600_000, 600_000)
    assert [(one.name, one.spent_ucr, one.images) for one in month.spenders] == [
        (alice.email, 400_000, 2),
        (bob.email, 200_000, 1),
    ]
    assert month.low_accounts == 1


def test_who_is_gone_is_told_as_such_among_those_who_spent_most(
    admin: Client, alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    finish(claim(offered_model))
    pseudonym = str(Account.objects.get(user=alice).pseudonym)
    Account.objects.filter(user=alice).update(user=None)
    page = admin.get("/admin/").content.decode()
    assert f"deleted account {pseudonym[:8]}" in page
    assert pseudonym not in page


def test_sums_of_a_month_are_kept_for_a_minute(admin: Client, charlie: User) -> None:
    figures.read_month()
    with CaptureQueriesContext(connection) as queries:
        figures.read_month()
    assert len(queries) == 0


def test_the_first_page_shows_it_all(
    admin: Client, alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, count=2)
    finish(claim(offered_model))
    CreditRequest.objects.create(user=alice, amount_ucr=CREDIT, reason="a poster")
    BooksCheck.objects.create(violations=3, first_sentences=["x"], summary="", took_s=0.1)
    page = admin.get("/admin/").content.decode()
    assert "Images per hour" in page
    assert "Credits per day" in page
    cells = " ".join(page.split())
    assert '<td data-label="User"> <a href="/admin/accounts/user/' in cells
    assert "Answer them" in page
    assert re.search(r'<dd class="op-bad">\s*3\s*<small>', page)


def test_the_first_page_costs_the_same_for_much_as_for_little(
    admin: Client, offered_model: DiffusionModel, settings: LazySettings
) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert admin.get("/admin/").status_code == 200
        return len(queries)

    count()
    few = count()
    for number in range(12):
        submit(make_user(f"user{number}"), offered_model)
        finish(claim(offered_model))
    assert count() == few <= 14


def test_staff_without_all_rights_see_no_figures(client: Client, alice: User) -> None:
    client.force_login(make_user("dora", is_staff=True))
    page = client.get("/admin/").content.decode()
    assert "Choose a page from the menu." in page
    assert "Images per hour" not in page
