"""An administrator posts credits in the admin site."""

import uuid
from typing import Any

import pytest
from django.test import Client

from tests.operations.passwords import give_password
from tests.people import PASSWORD, claim, finish, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.models import AuditLine
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits.models import Entry, Transaction
from webapp.credits.selectors import get_balance

CREDIT = UCR_PER_CREDIT


@pytest.fixture
def admin(client: Client, charlie: User) -> Client:
    client.force_login(charlie)
    give_password(client)
    return client


def book(admin: Client, user: User, **form: str) -> Any:
    fields = {"amount": "5", "reason": "prize", "key": str(uuid.uuid4()), **form}
    return admin.post(f"/admin/accounts/user/{user.pk}/credits/", fields)


def posted_by_hand() -> int:
    return Transaction.objects.filter(kind__in=["top_up", "adjustment"]).count()


def test_a_top_up_shows_at_once_everywhere(admin: Client, alice: User) -> None:
    response = book(admin, alice, amount="12.5")
    assert response["Location"] == f"/admin/accounts/user/{alice.pk}/change/"
    assert "212.50" in admin.get(response["Location"]).content.decode()
    hers = Client()
    hers.force_login(alice)
    assert "212.50" in hers.get("/").content.decode()
    statement = hers.get("/credits/").content.decode()
    assert "Prize" in statement
    assert "212.50" in statement


def test_the_books_say_who_and_why(admin: Client, alice: User, charlie: User) -> None:
    book(admin, alice, reason="  prize  ")
    posted = Transaction.objects.get(kind="top_up")
    assert (posted.actor, posted.actor_name, posted.reason) == (charlie, charlie.email, "prize")


def test_a_negative_amount_is_an_adjustment(admin: Client, alice: User) -> None:
    book(admin, alice, amount="-50")
    assert get_balance(user=alice).posted_ucr == 150 * CREDIT
    assert Transaction.objects.filter(kind="adjustment").count() == 1


def test_no_more_is_taken_than_is_available(
    admin: Client, alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model, count=5)
    response = book(admin, alice, amount="-199.5")
    assert "This needs 199.50 credits; 199.00 are available." in response.content.decode()
    assert posted_by_hand() == 0


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("amount", "", "This field is required."),
        ("amount", "abc", "“abc” is not a number. Write it like 12.5."),
        ("amount", "NaN", "“NaN” is not a number. Write it like 12.5."),
        ("amount", "Infinity", "“Infinity” is not a number. Write it like 12.5."),
        ("amount", "0", "The amount must not be 0."),
        ("amount", "0.0000001", "Enter at most 6 decimals."),
        ("amount", "1e12", "“1e12” is not a number. Write it like 12.5."),
        ("amount", "1" + "0" * 12, "This number is too large."),
        ("note", "x" * 501, "at most 500 characters"),
        ("amount", "1000000.000001", "At most 1000000.00 credits"),
        ("reason", "", "This field is required."),
        ("reason", "   ", "This field is required."),
        ("reason", "x" * 201, "at most 200 characters"),
        ("key", "", "This form is incomplete. Open it again."),
        ("key", "no uuid", "This form is incomplete. Open it again."),
    ],
)
def test_what_will_not_do_is_answered_with_a_sentence_and_changes_nothing(
    admin: Client, alice: User, field: str, value: str, sentence: str
) -> None:
    response = book(admin, alice, **{field: value})
    assert response.status_code == 200
    assert sentence in response.content.decode()
    assert posted_by_hand() == 0
    assert get_balance(user=alice).posted_ucr == 200 * CREDIT


def test_a_double_click_books_once(admin: Client, alice: User) -> None:
    key = str(uuid.uuid4())
    for _click in range(2):
        assert book(admin, alice, key=key).status_code == 302
    assert get_balance(user=alice).posted_ucr == 205 * CREDIT


def test_a_form_that_was_used_already_books_nothing_else(
    admin: Client, alice: User, bob: User
) -> None:
    key = str(uuid.uuid4())
    book(admin, alice, key=key)
    for user, amount in ((alice, "7"), (bob, "5")):
        response = book(admin, user, amount=amount, key=key)
        assert "This form was already sent" in response.content.decode()
    assert posted_by_hand() == 1


def test_every_opening_of_the_form_has_its_own_key(admin: Client, alice: User) -> None:
    url = f"/admin/accounts/user/{alice.pk}/credits/"
    keys = {admin.get(url).context["form"]["key"].value() for _opening in range(2)}
    assert len(keys) == 2


def test_staff_without_the_right_to_change_people_book_nothing(client: Client, alice: User) -> None:
    client.force_login(make_user("dora", is_staff=True))
    book(client, alice)
    assert posted_by_hand() == 0


def test_nobody_without_the_admin_site_books_anything(client: Client, alice: User) -> None:
    assert book(client, alice).status_code == 302
    client.force_login(alice)
    assert book(client, alice).status_code == 302
    assert posted_by_hand() == 0


def test_a_reason_is_text_and_never_markup(admin: Client, alice: User) -> None:
    book(admin, alice, reason="<script>alert(1)</script>")
    hers = Client()
    hers.force_login(alice)
    for page in (hers.get("/credits/"), admin.get("/admin/credits/transaction/")):
        assert "<script>alert(1)" not in page.content.decode()
        assert "&lt;script&gt;alert(1)" in page.content.decode()


def test_the_page_says_what_there_was_before_and_what_there_is_now(
    admin: Client, alice: User
) -> None:
    url = book(admin, alice, amount="12.5")["Location"]
    page = admin.get(url).content.decode()
    assert "12.50 credits were posted: 200.00 before, 212.50 now." in page
    url = book(admin, alice, amount="-2.5", key=str(uuid.uuid4()))["Location"]
    page = admin.get(url).content.decode()
    assert "2.50 credits were taken away: 212.50 before, 210.00 now." in page


def test_the_note_is_for_administrators_alone(admin: Client, alice: User) -> None:
    book(admin, alice, note="her teacher asked")
    posted = Transaction.objects.get(kind="top_up")
    assert posted.note == "her teacher asked"
    assert (
        "her teacher asked"
        in admin.get(f"/admin/credits/transaction/{posted.pk}/change/").content.decode()
    )
    hers = Client()
    hers.force_login(alice)
    assert "her teacher asked" not in hers.get("/credits/").content.decode()


def test_each_booking_is_one_line_in_the_audit_log(
    admin: Client, alice: User, charlie: User
) -> None:
    key = str(uuid.uuid4())
    for _click in range(2):
        book(admin, alice, amount="-12.5", key=key)
    line = AuditLine.objects.get(action="credits.adjustment")
    assert (line.actor_id, line.subject_id, line.reason) == (charlie.pk, str(alice.pk), "prize")
    assert (line.before["balance"], line.after["balance"]) == ("200.00", "187.50")


def test_nothing_is_booked_without_the_password_of_the_last_minutes(
    client: Client, alice: User, charlie: User
) -> None:
    client.force_login(charlie)
    assert book(client, alice)["Location"].startswith("/accounts/reauthenticate/")
    assert posted_by_hand() == 0
    url = f"/accounts/reauthenticate/?next=/admin/accounts/user/{alice.pk}/credits/"
    client.post(url, {"password": PASSWORD})
    assert posted_by_hand() == 1


def undo(admin: Client, posted: Transaction, reason: str = "a mistake") -> Any:
    return admin.post(f"/admin/credits/transaction/{posted.pk}/undo/", {"reason": reason})


def test_a_top_up_is_undone_by_a_new_entry(admin: Client, alice: User) -> None:
    book(admin, alice)
    posted = Transaction.objects.get(kind="top_up")
    page = admin.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    assert f"/admin/credits/transaction/{posted.pk}/undo/" in page
    assert undo(admin, posted).status_code == 302
    assert get_balance(user=alice).posted_ucr == 200 * CREDIT
    assert Transaction.objects.get(reverses=posted).reason == "a mistake"
    line = AuditLine.objects.get(action="credits.undo")
    assert (line.subject_id, line.reason) == (str(alice.pk), "a mistake")
    page = admin.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    assert f"/admin/credits/transaction/{posted.pk}/undo/" not in page


def test_nothing_is_undone_twice_without_a_reason_or_after_it_was_spent(
    admin: Client, alice: User, offered_model: DiffusionModel
) -> None:
    book(admin, alice)
    posted = Transaction.objects.get(kind="top_up")
    assert "This field is required." in undo(admin, posted, " ").content.decode()
    undo(admin, posted)
    assert "already been undone" in undo(admin, posted).content.decode()
    book(admin, alice)
    book(admin, alice, amount="-204.5")
    spent = Transaction.objects.filter(kind="top_up").latest("pk")
    assert "0.50 are available" in undo(admin, spent).content.decode()
    assert Transaction.objects.filter(kind="reversal").count() == 1


def test_the_price_of_an_image_is_given_back_once(
    admin: Client, alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    claimed = claim(offered_model)
    finish(claimed)
    page = f"/admin/generation/image/{claimed.image_id}/"
    assert "Refund the image" in admin.get(f"{page}change/").content.decode()
    assert admin.post(f"{page}refund/", {"reason": "blurred"}).status_code == 302
    assert get_balance(user=alice).posted_ucr == 200 * CREDIT
    assert "Refund the image" not in admin.get(f"{page}change/").content.decode()
    again = admin.post(f"{page}refund/", {"reason": "blurred"}).content.decode()
    assert "already been refunded" in again
    line = AuditLine.objects.get(action="credits.refund")
    assert (line.subject_id, line.after["image"]) == (str(alice.pk), str(claimed.image_id))
    assert Entry.objects.filter(image_id=claimed.image_id, kind="refund").count() == 2


@pytest.mark.parametrize("path", ["credits/transaction/999/undo", "generation/image/{}/refund"])
def test_what_is_not_there_is_neither_undone_nor_refunded(admin: Client, path: str) -> None:
    assert admin.get(f"/admin/{path.format(uuid.uuid4())}/").status_code == 404


def test_staff_without_the_right_to_change_people_undo_and_refund_nothing(
    client: Client, admin: Client, alice: User, offered_model: DiffusionModel
) -> None:
    book(admin, alice)
    posted = Transaction.objects.get(kind="top_up")
    submit(alice, offered_model)
    claimed = claim(offered_model)
    finish(claimed)
    client.force_login(make_user("dora", is_staff=True))
    give_password(client)
    assert undo(client, posted).status_code == 403
    refund = client.post(f"/admin/generation/image/{claimed.image_id}/refund/", {"reason": "x"})
    assert refund.status_code == 403
    assert not Transaction.objects.filter(kind__in=["reversal", "refund"]).exists()
