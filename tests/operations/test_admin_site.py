"""The admin site: who is let in, what cannot be written there, and that lists stay quick."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from tests.operations.passwords import give_password
from tests.people import PASSWORD, claim, finish, make_model, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core import audit
from webapp.core.models import Notice
from webapp.core.notices import tell_admins
from webapp.credits.ledger import top_up_many
from webapp.credits.models import Account, Entry, Hold, Transaction
from webapp.generation.models import Image
from webapp.generation.queueing.heartbeat import beat_once
from webapp.operations.admin.theme_words import THEME_WORDS

BOOKS: list[type[Model]] = [Transaction, Account, Hold, Image]
LISTS = [
    "accounts/user",
    "catalog/diffusionmodel",
    "core/auditline",
    "core/notice",
    "credits/transaction",
    "credits/account",
    "credits/hold",
    "credits/topupbatch",
    "generation/image",
    "operations/bookscheck",
]


@pytest.fixture
def admin(client: Client, charlie: User) -> Client:
    client.force_login(charlie)
    give_password(client)
    return client


@pytest.fixture
def some_work(alice: User, offered_model: DiffusionModel) -> None:
    """One image stored, one queued."""
    submit(alice, offered_model, count=2)
    assert finish(claim(offered_model))


def address(model: type[Model], *parts: object) -> str:
    return "/".join(["/admin", *model._meta.label_lower.split("."), *map(str, parts), ""])


def test_the_admin_site_is_entered_through_the_common_sign_in(
    client: Client, charlie: User
) -> None:
    response = client.get("/admin/", follow=True)
    assert response.redirect_chain[-1][0].startswith("/accounts/login/?next=")
    form = {"login": charlie.email, "password": PASSWORD, "next": "/admin/"}
    assert client.post("/accounts/login/", form)["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_djangos_own_sign_in_checks_no_password(client: Client, charlie: User) -> None:
    form = {"username": charlie.email, "password": PASSWORD}
    assert client.post("/admin/login/", form)["Location"].startswith("/accounts/login/")
    assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize("path", ["", *(f"{one}/" for one in LISTS)])
def test_users_are_kept_out(client: Client, alice: User, path: str) -> None:
    client.force_login(alice)
    response = client.get(f"/admin/{path}", follow=True)
    assert response.status_code == 403
    assert "You may not open this page." in response.content.decode()


@pytest.mark.parametrize("path", LISTS)
def test_staff_see_only_what_they_were_given(client: Client, db: None, path: str) -> None:
    client.force_login(make_user("dora", is_staff=True))
    assert client.get(f"/admin/{path}/").status_code == 403


@pytest.mark.parametrize("model", BOOKS)
def test_the_books_can_be_looked_at_and_never_written(
    admin: Client, some_work: None, model: type[Model]
) -> None:
    row = model._default_manager.first()
    assert row is not None
    before = list(model._default_manager.order_by("pk").values())
    assert admin.get(address(model)).status_code == 200
    assert admin.get(address(model, row.pk, "change")).status_code == 200
    assert admin.get(address(model, "add")).status_code == 403
    for form in ("add", f"{row.pk}/change", f"{row.pk}/delete"):
        answer = admin.post(address(model, form), {"post": "yes", "posted_ucr": "1"})
        assert answer.status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    admin.post(address(model), chosen)
    assert list(model._default_manager.order_by("pk").values()) == before


def test_the_lines_of_a_transaction_cannot_be_changed_with_it(
    admin: Client, some_work: None
) -> None:
    entry = Entry.objects.order_by("pk")[0]
    form = {
        "entries-TOTAL_FORMS": "1",
        "entries-INITIAL_FORMS": "1",
        "entries-0-id": str(entry.pk),
        "entries-0-amount_ucr": "1",
    }
    answer = admin.post(address(Transaction, entry.transaction_id, "change"), form)
    assert answer.status_code == 403
    assert Entry.objects.get(pk=entry.pk).amount_ucr == entry.amount_ucr


def test_people_and_models_are_switched_off_and_never_deleted(
    admin: Client, alice: User, offered_model: DiffusionModel
) -> None:
    for row in (alice, offered_model):
        answer = admin.post(address(type(row), row.pk, "delete"), {"post": "yes"})
        assert answer.status_code == 403
    assert User.objects.filter(pk=alice.pk).exists()


def test_prompts_and_pictures_stay_their_owners(admin: Client, some_work: None) -> None:
    for image in Image.objects.all():
        page = admin.get(address(Image, image.pk, "change")).content.decode()
        assert "a fox at dusk" not in page
        if image.file:
            assert image.file not in page
        assert admin.get(f"/images/{image.pk}/file/").status_code == 404


def test_a_person_made_in_the_admin_site_has_the_welcome_credits(admin: Client) -> None:
    form = {"email": "Dora@Example.org", "password1": PASSWORD, "password2": PASSWORD}
    admin.post(address(User, "add"), {**form, "usable_password": "true"})
    dora = User.objects.get(email__iexact="dora@example.org")
    assert (dora.email, dora.account.posted_ucr) == ("dora@example.org", 200_000_000)


def test_an_address_is_changed_in_lower_case(admin: Client, alice: User) -> None:
    form = {"email": "Alice.B@Example.org", "is_active": "on"}
    admin.post(address(User, alice.pk, "change"), form)
    assert User.objects.get(pk=alice.pk).email == "alice.b@example.org"


def test_choosing_a_default_takes_it_from_the_one_before(admin: Client, charlie: User) -> None:
    first, second = make_model("one", is_default=True), make_model("two")
    page = admin.get(address(DiffusionModel, second.pk, "change"))
    fields = page.context["adminform"].form.initial
    form = {name: value for name, value in fields.items() if value not in (None, False)}
    admin.post(address(DiffusionModel, second.pk, "change"), {**form, "is_default": "on"})
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.is_default, second.is_default) == (False, True)


def test_standing_problems_are_on_the_first_page_until_somebody_deletes_them(
    admin: Client,
) -> None:
    for _time in range(3):
        tell_admins(code="disk", sentence="The disk is full.", detail="/var: 0 bytes")
    page = admin.get("/admin/").content.decode()
    assert "The disk is full." in page
    assert "3 times" in page
    admin.post(address(Notice, Notice.objects.get().pk, "delete"), {"post": "yes"})
    admin.get("/admin/")  # says that it was deleted
    assert "The disk is full." not in admin.get("/admin/").content.decode()


def count_queries(admin: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert admin.get(f"/admin/{path}/").status_code == 200
    return len(queries)


@pytest.mark.parametrize("path", LISTS)
def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(
    admin: Client, offered_model: DiffusionModel, path: str
) -> None:
    def fill(start: int) -> None:
        for number in range(start, start + 6):
            submit(make_user(f"user{number}"), offered_model)
            make_model(f"model{number}")
            tell_admins(code=f"code{number}", sentence="Something broke.")

    fill(0)
    count_queries(admin, path)
    few = count_queries(admin, path)
    fill(6)
    assert count_queries(admin, path) == few <= 14


def test_an_empty_list_says_whether_anything_is_there_at_all(admin: Client) -> None:
    page = admin.get("/admin/accounts/usergroup/").content.decode()
    assert "Nothing here yet" in page
    assert "Add group" in page
    page = admin.get("/admin/accounts/user/?q=nobody").content.decode()
    assert "Nothing here matches the search and the filters" in page
    assert "Show everything" in page


def test_a_list_offers_to_show_all_only_where_something_is_hidden(
    admin: Client, charlie: User
) -> None:
    top_up_many(batch_id=uuid4(), lines=[(charlie.pk, 5)], actor=charlie, reason="prize")
    assert "Show all" not in admin.get("/admin/credits/topupbatch/").content.decode()
    assert "Show all" in admin.get("/admin/credits/topupbatch/?q=prize").content.decode()


def test_days_and_times_of_the_admin_site_are_told_in_one_way(admin: Client, alice: User) -> None:
    User.objects.update(date_joined=datetime(2026, 3, 4, 17, 5, tzinfo=UTC))
    assert "2026-03-04 17:05" in admin.get("/admin/accounts/user/").content.decode()
    page = admin.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    assert "4 Mar 2026, 17:05" in page
    assert "p.m." not in page


def test_what_is_empty_is_one_dash_everywhere(admin: Client, charlie: User) -> None:
    audit.record(actor=charlie, action="user.note", subject=charlie)
    for page in ("accounts/user", "core/auditline", "credits/transaction"):
        cells = admin.get(f"/admin/{page}/").content.decode()
        assert ">–<" in cells
        assert ">-<" not in cells


@pytest.mark.parametrize("page", ["core/auditline", "core/notice", "operations/bookscheck"])
def test_the_head_of_a_page_names_the_room_that_it_stands_in(admin: Client, page: str) -> None:
    head = admin.get(f"/admin/{page}/").content.decode().partition("</h1>")[0]
    assert " ".join(head.rpartition("<h1")[2].split()).count("> Log <") == 1


def test_the_theme_speaks_korean_too(admin: Client, alice: User) -> None:
    with translation.override("ko"):
        assert [word for word in THEME_WORDS if translation.gettext(word) == word] == []
    User.objects.update(date_joined=datetime(2026, 3, 4, 17, 5, tzinfo=UTC))
    admin.cookies[settings.LANGUAGE_COOKIE_NAME] = "ko"
    page = admin.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    assert "2026년 3월 4일 17:05" in page
    assert "Select value" not in page


def test_the_first_page_says_whether_a_worker_is_alive(
    admin: Client, offered_model: DiffusionModel, valkey_is_empty: None
) -> None:
    assert "No worker is running" in admin.get("/admin/").content.decode()
    beat_once(name="gpu-1", models=["tiny"], facts={"in_flight": 1, "queued": 2, "model": "tiny"})
    page = admin.get("/admin/").content.decode()
    assert "gpu-1: 1 generating, 2 waiting, model tiny" in page
    assert "No worker is running" not in page
