"""A person's page in the admin site, and the list of people."""

import re
import uuid
from datetime import timedelta

from django.test import Client
from django.utils import timezone

from tests.operations.admin_pages import CREDIT, count_queries, page_of, top_up, words_of
from tests.operations.admin_pages import admin as admin
from tests.people import claim, finish, make_user, submit
from webapp.accounts.models import User, UserGroup
from webapp.catalog.models import DiffusionModel
from webapp.core import audit
from webapp.credits import ledger
from webapp.generation.models import Image


def test_a_persons_page_answers_why_they_were_charged(
    admin: Client, alice: User, charlie: User, offered_model: DiffusionModel
) -> None:
    group = UserGroup.objects.create(name="students", allowance="add", allowance_ucr=30 * CREDIT)
    User.objects.filter(pk=alice.pk).update(group=group)
    submit(alice, offered_model, count=3)
    claimed = claim(offered_model)
    finish(claimed)
    top_up(alice, charlie, 5, "for the poster")
    audit.record(actor=charlie, action="user.note", subject=alice, reason="she called")
    page = words_of(admin.get(page_of(alice)))
    for words in ("204.40", "0.40", "students", "30.00, add every month", "for the poster"):
        assert words in page
    assert "allowance was not given yet" in page
    assert f"/admin/generation/image/{claimed.image_id}/refund/" in page
    assert "worker-1" in page
    assert "she called" in page
    assert "a fox at dusk" not in page


def test_a_persons_page_tells_the_seconds_of_drawing_alone(
    admin: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = submit(alice, offered_model).images.get()
    begun = timezone.now()
    Image.objects.filter(pk=image.pk).update(
        timings_s={"queue_s": 60.0, "denoise_s": 2.5},
        started_at=begun,
        finished_at=begun + timedelta(seconds=2.5),
    )
    page = words_of(admin.get(page_of(alice)))
    assert 'data-label="Seconds">2.5<' in page


def test_a_cell_with_nothing_in_it_is_empty_so_that_phones_leave_it_out(
    admin: Client, alice: User, charlie: User
) -> None:
    top_up(alice, charlie, 5, "for the poster")
    page = words_of(admin.get(page_of(alice)))
    assert re.search(r'<td data-label="Image">\s*</td>', page)
    assert re.search(r"<td[^>]*>\s+</td>", page) is None


def test_a_persons_page_leads_to_a_new_password_and_shows_no_hash(
    admin: Client, alice: User
) -> None:
    page = words_of(admin.get(page_of(alice)))
    assert f'href="/admin/accounts/user/{alice.pk}/password/"' in page
    assert "algorithm" not in page
    assert alice.password[-8:] not in page


def test_the_address_at_the_head_of_a_persons_page_keeps_its_letters(
    admin: Client, alice: User
) -> None:
    head = words_of(admin.get(page_of(alice))).partition("</h1>")[0]
    assert "alice@example.org" in head
    assert "Alice@example.org" not in head


def test_a_persons_page_takes_as_many_queries_for_much_as_for_little(
    admin: Client, alice: User, charlie: User, offered_model: DiffusionModel
) -> None:
    def fill() -> None:
        submit(alice, offered_model, count=2)
        finish(claim(offered_model))
        top_up(alice, charlie, 5)
        audit.record(actor=charlie, action="user.note", subject=alice)

    fill()
    count_queries(admin, page_of(alice))
    few = count_queries(admin, page_of(alice))
    for _time in range(8):
        fill()
    assert count_queries(admin, page_of(alice)) == few <= 20


def test_the_list_of_people_is_searched_and_filtered(
    admin: Client, alice: User, bob: User, charlie: User, offered_model: DiffusionModel
) -> None:
    ledger.adjust(
        user=bob, amount_ucr=-195 * CREDIT, actor=charlie, reason="x", key=str(uuid.uuid4())
    )

    def found(query: str) -> set[str]:
        rows = admin.get(f"/admin/accounts/user/?{query}").context["cl"].result_list
        return {user.email.partition("@")[0] for user in rows}

    assert found("q=ALI") == {"alice"}
    assert found("q=lice") == set()
    assert found("q=@example") == {"alice", "bob", "charlie"}
    assert found("below=10") == {"bob"}
    assert found("low=1") == {"bob"}
    assert found(f"since={timezone.localdate() + timedelta(days=1)}") == set()
    assert found("below=-1") == set()


def test_all_pages_of_a_long_list_of_people_are_in_order(admin: Client, db: None) -> None:
    for number in range(120):
        make_user(f"student{number}")
    where = "/admin/accounts/user/"
    rows = [
        user.pk
        for page in (1, 2, 3)
        for user in admin.get(f"{where}?p={page}").context["cl"].result_list
    ]
    expected = User.objects.order_by("-date_joined", "-pk").values_list("pk", flat=True)
    assert rows == list(expected)
