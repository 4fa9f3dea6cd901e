"""Many people are topped up at once: chosen or from a file, looked at, and posted all or none."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from tests.operations.downloads import download
from tests.operations.passwords import give_password
from tests.people import make_user, submit
from webapp.accounts.models import User, UserGroup
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput
from webapp.core.models import AuditLine
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import ledger
from webapp.credits.models import TopUpBatch, Transaction
from webapp.credits.selectors import get_balance
from webapp.operations.batch_file import MAX_LINES, read_batch_file, template_file

CREDIT = UCR_PER_CREDIT
NEW = "/admin/credits/topupbatch/new/"


@pytest.fixture
def admin(client: Client, charlie: User) -> Client:
    client.force_login(charlie)
    give_password(client)
    return client


def send(admin: Client, text: str | bytes, **words: str) -> Any:
    data = text if isinstance(text, bytes) else text.encode()
    file = SimpleUploadedFile("people.csv", data, "text/csv")
    fields = {"reason": "term begins", **words}
    form = {f"file-{name}": value for name, value in fields.items()}
    return admin.post(NEW, {"kind": "file", "file-file": file, **form})


def choose(admin: Client, **choice: str) -> Any:
    fields = {"amount": "5", "reason": "term begins", **choice}
    return admin.post(
        NEW, {"kind": "choice", **{f"choice-{name}": value for name, value in fields.items()}}
    )


def words_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def balance(user: User) -> int:
    return get_balance(user=user).posted_ucr // CREDIT


# -- Reading the file ------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_of_all_usual_kinds_are_read(delimiter: str, encoding: str, end: str) -> None:
    rows = [["Amount", " EMAIL ", "reason"], ["12.5", "a@b.org", "프라이즈"], ["-3", "c@d.org", ""]]
    text = end.join(delimiter.join(row) for row in rows) + end + end
    lines = read_batch_file(text.encode(encoding))
    assert [(line.number, line.email, line.amount_ucr, line.reason) for line in lines] == [
        (2, "a@b.org", 12_500_000, "프라이즈"),
        (3, "c@d.org", -3_000_000, ""),
    ]
    assert not any(line.problem for line in lines)


def test_the_template_can_be_sent_back_as_it_is() -> None:
    [line] = read_batch_file(template_file())
    assert (line.email, line.amount_ucr, line.problem) == ("somebody@example.org", 12_500_000, "")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "The file is empty."),
        (b"\xef\xbb\xbf \n", "The file is empty."),
        (b"email,amount\n", "no line below its header"),
        (b"email,amount\na@b.org,1\nc\xe9@b.org,2\n", "Line 3 is not UTF-8"),
        ("email,amount\na@b.org,1".encode("utf-16"), "is not UTF-8"),
        (b"email,amount\na@b.org,1\0\n", "not a text file"),
        (b"email\na@b.org\n", "“amount” is missing"),
        (b"a@b.org,5\n", "“email” is missing"),
        (b"email,amount,amount\na@b.org,1,2\n", "“amount” is not allowed here"),
        (b"email,amount,group\na@b.org,1,x\n", "“group” is not allowed here"),
        (b'email,amount\n"a@b.org,1\n', "Line 2 can't be read"),
        (b"x" * (2 * 1024 * 1024 + 1), "larger than 2 MB"),
        (b"email,amount\n" + b"a@b.org,1\n" * (MAX_LINES + 1), "more than 20000 lines"),
    ],
)
def test_a_file_that_cannot_be_read_is_answered_with_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(sentence)):
        read_batch_file(data)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("a@b.org,", "The amount is missing."),
        ("a@b.org", "The amount is missing."),
        (",5", "The e-mail address is missing."),
        ("a@b.org,five", "“five” is not a number"),
        ('a@b.org,"1,5"', "“1,5” is not a number"),
        ("a@b.org,1e3", "is not a number"),
        ("a@b.org,NaN", "is not a number"),
        ("a@b.org,٣", "is not a number"),
        ("a@b.org,0.0000001", "at most six decimals"),
        ("a@b.org,0", "The amount must not be 0."),
        ("a@b.org,-0.00", "The amount must not be 0."),
        ("a@b.org,1000000.000001", "At most 1000000.00 credits"),
        ("a@b.org,9999999999999999", "is not a number"),
        ("a@b.org,5," + "x" * 201, "at most 200 characters"),
        ("a@b.org,5,x,y", "more cells than the first"),
    ],
)
def test_a_line_that_will_not_do_says_why(line: str, sentence: str) -> None:
    [read] = read_batch_file(f"email,amount,reason\n{line}\n".encode())
    assert sentence in read.problem


# -- From a file to the ledger ----------------------------------------------------------------


def test_a_file_is_looked_at_and_then_booked(
    admin: Client, alice: User, bob: User, charlie: User
) -> None:
    sent = send(admin, f"email,amount,reason\nAlice@Example.org,12.5,prize\n{bob.email},-50\n")
    preview = admin.get(sent["Location"])
    assert "212.50" in words_of(preview)
    assert "150.00" in words_of(preview)
    assert Transaction.objects.exclude(kind="grant").count() == 0
    booked = admin.post(sent["Location"], follow=True)
    assert "-37.50 credits were posted for 2 users." in words_of(booked)
    assert (balance(alice), balance(bob)) == (212, 150)
    batch = TopUpBatch.objects.get()
    reasons = dict(batch.transactions.values_list("entries__account__user", "reason"))
    assert (reasons[alice.pk], reasons[bob.pk]) == ("prize", "term begins")
    line = AuditLine.objects.get(action="credits.batch")
    assert (line.actor_id, line.subject_id) == (charlie.pk, str(batch.pk))
    assert line.after == {"people": 2, "credits": "-37.50"}


def test_a_preview_with_a_wrong_line_tells_which_and_books_nothing(
    admin: Client, alice: User, bob: User
) -> None:
    text = (
        f"email,amount\n{alice.email},5\nnobody@example.org,5\n{bob.email},1\n{bob.email},2\n"
        f"{alice.email.upper()},-500\n"
    )
    url = send(admin, text)["Location"]
    page = words_of(admin.get(url))
    assert "No user has this e-mail address." in page
    assert page.count("This user is in the file 2 times.") == 4
    assert 'type="submit">Post' not in page
    assert "nothing was posted" in words_of(admin.post(url))
    text = f"email,amount\n{alice.email},-500\n"
    page = words_of(admin.get(send(admin, text)["Location"]))
    assert "Only 200.00 credits can be taken away." in page
    assert not TopUpBatch.objects.exists()


def test_a_batch_that_is_sent_twice_is_booked_once(admin: Client, alice: User) -> None:
    url = send(admin, f"email,amount\n{alice.email},5\n")["Location"]
    first, second = admin.post(url), admin.post(url)
    assert first["Location"] == second["Location"]
    assert balance(alice) == 205
    assert AuditLine.objects.filter(action="credits.batch").count() == 1
    assert admin.get(url)["Location"] == first["Location"]


def test_what_changed_since_the_preview_is_seen_before_anything_is_booked(
    admin: Client, alice: User, bob: User, charlie: User
) -> None:
    url = send(admin, f"email,amount\n{bob.email},5\n{alice.email},-150\n")["Location"]
    ledger.adjust(
        user=alice, amount_ucr=-100 * CREDIT, actor=charlie, reason="x", key=str(uuid.uuid4())
    )
    page = words_of(admin.post(url))
    assert "Only 100.00 credits can be taken away." in page
    assert (balance(alice), balance(bob)) == (100, 200)
    assert not TopUpBatch.objects.exists()


def test_a_preview_belongs_to_who_made_it_and_is_gone_after_an_hour(
    admin: Client, alice: User
) -> None:
    url = send(admin, f"email,amount\n{alice.email},5\n")["Location"]
    other = Client()
    other.force_login(make_user("dan", is_staff=True, is_superuser=True))
    give_password(other)
    assert other.get(url).status_code == 404
    assert other.post(url).status_code == 404
    cache.clear()
    assert admin.post(url).status_code == 404
    assert balance(alice) == 200


def test_nothing_is_booked_without_the_password_of_the_last_minutes(
    client: Client, alice: User, charlie: User
) -> None:
    client.force_login(charlie)
    url = send(client, f"email,amount\n{alice.email},5\n")["Location"]
    assert client.get(url).status_code == 200
    assert client.post(url)["Location"].startswith("/accounts/reauthenticate/")
    assert balance(alice) == 200


def test_staff_without_the_right_to_change_people_come_nowhere_near(
    client: Client, alice: User
) -> None:
    client.force_login(make_user("dora", is_staff=True))
    give_password(client)
    assert client.get(NEW).status_code == 403
    assert send(client, f"email,amount\n{alice.email},5\n").status_code == 403


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"reason": ""}, "This field is required."),
        ({"reason": "x" * 201}, "at most 200 characters"),
        ({"note": "x" * 501}, "at most 500 characters"),
    ],
)
def test_words_that_will_not_do_are_told_at_their_field(
    admin: Client, alice: User, words: dict[str, str], sentence: str
) -> None:
    page = words_of(send(admin, f"email,amount\n{alice.email},5\n", **words))
    assert sentence in page


def test_a_file_that_cannot_be_read_is_told_at_its_field(admin: Client) -> None:
    assert "“amount” is missing" in words_of(send(admin, "email\na@b.org\n"))


def test_names_in_a_file_are_text_and_never_markup(admin: Client) -> None:
    page = admin.get(send(admin, "email,amount\n<script>alert(1)</script>,5\n")["Location"])
    assert "<script>alert(1)" not in page.content.decode()


# -- By choice -------------------------------------------------------------------------------


def people_of(response: Any, admin: Client) -> set[str]:
    page = admin.get(response["Location"])
    return {line.email for line in page.context["draft"].lines}


def test_people_are_chosen_by_what_fits_them(
    admin: Client, alice: User, bob: User, charlie: User, offered_model: DiffusionModel
) -> None:
    group = UserGroup.objects.create(name="students")
    User.objects.filter(pk=alice.pk).update(
        group=group, date_joined=timezone.now() - timedelta(days=400)
    )
    submit(bob, offered_model, count=5)
    User.objects.filter(pk=make_user("gone").pk).update(is_active=False)
    joined = (timezone.localdate() - timedelta(days=30)).isoformat()
    assert people_of(choose(admin, group=str(group.pk)), admin) == {alice.email}
    assert people_of(choose(admin, below="199.5"), admin) == {bob.email}
    assert people_of(choose(admin, joined_since=joined), admin) == {bob.email, charlie.email}
    assert people_of(choose(admin, active_days="7"), admin) == {bob.email}
    assert people_of(choose(admin), admin) == {alice.email, bob.email, charlie.email}
    assert "No one matches" in words_of(choose(admin, below="1"))


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("amount", "0", "The amount must not be 0."),
        ("amount", "five", "“five” is not a number. Write it like 12.5."),
        ("below", "-1", "Enter at least 0."),
        ("joined_since", "yesterday", "Enter a valid date."),
        ("active_days", "0", "greater than or equal to 1"),
        ("group", "999", "Select a valid choice."),
    ],
)
def test_a_choice_that_will_not_do_is_told_at_its_field(
    admin: Client, field: str, value: str, sentence: str
) -> None:
    assert sentence in words_of(choose(admin, **{field: value}))
    assert not TopUpBatch.objects.exists()


def test_people_who_were_ticked_in_the_list_are_topped_up(
    admin: Client, alice: User, bob: User
) -> None:
    ticked = {"action": "top_up_chosen", "_selected_action": [alice.pk], "select_across": "0"}
    form = admin.post("/admin/accounts/user/", ticked)["Location"]
    assert "1 user selected" in words_of(admin.get(form))
    fields = {"ticked-amount": "5", "ticked-reason": "prize"}
    preview = admin.post(form, {"kind": "ticked", **fields})
    admin.post(preview["Location"])
    assert (balance(alice), balance(bob)) == (205, 200)


def test_all_people_of_a_search_are_taken_along(admin: Client, alice: User) -> None:
    for number in range(60):
        make_user(f"student{number}")
    ticked = {"action": "top_up_chosen", "_selected_action": [alice.pk], "select_across": "1"}
    form = admin.post("/admin/accounts/user/?q=student", ticked)["Location"]
    assert "60 users selected" in words_of(admin.get(form))


@pytest.mark.parametrize("choice", ["x", str(uuid.UUID(int=7))])
def test_a_choice_that_nobody_made_is_not_found(admin: Client, choice: str) -> None:
    assert admin.get(f"{NEW}?people={choice}").status_code == 404


# -- Afterwards ------------------------------------------------------------------------------


def booked_batch(admin: Client, text: str) -> TopUpBatch:
    admin.post(send(admin, text)["Location"])
    return TopUpBatch.objects.get()


def test_the_result_for_each_person_is_a_page_and_a_file(admin: Client, alice: User) -> None:
    batch = booked_batch(admin, f"email,amount,reason\n{alice.email},5,=1+1\n")
    page = words_of(admin.get(f"/admin/credits/topupbatch/{batch.pk}/change/"))
    assert alice.email in page
    assert "205.00" in page
    [line] = download(admin, f"/admin/credits/topupbatch/{batch.pk}/lines.csv")
    assert line == {
        "email": alice.email,
        "amount": "5.00",
        "balance": "205.00",
        "reason": "'=1+1",
        "undone": "",
    }


def test_the_result_stands_in_the_order_of_the_file(admin: Client, db: None) -> None:
    emails = [make_user(f"member{number:02d}").email for number in range(12)][::-1]
    batch = booked_batch(admin, "email,amount\n" + "".join(f"{email},5\n" for email in emails))
    lines = download(admin, f"/admin/credits/topupbatch/{batch.pk}/lines.csv")
    assert [line["email"] for line in lines] == emails


def test_the_file_to_fill_in_is_there(admin: Client) -> None:
    response = admin.get("/admin/credits/topupbatch/template.csv")
    assert response.content == template_file()


@pytest.mark.parametrize("page", ["change", "undo"])
def test_a_batch_that_is_not_there_is_not_found(admin: Client, page: str) -> None:
    url = f"/admin/credits/topupbatch/{uuid.uuid4()}"
    assert admin.get(f"{url}/{page}/").status_code == 404
    assert admin.get(f"{url}/lines.csv").status_code == 404


def test_a_batch_is_undone_but_for_what_was_spent(
    admin: Client, alice: User, bob: User, charlie: User
) -> None:
    batch = booked_batch(admin, f"email,amount\n{alice.email},5\n{bob.email},5\n")
    ledger.adjust(
        user=bob, amount_ucr=-203 * CREDIT, actor=charlie, reason="x", key=str(uuid.uuid4())
    )
    url = f"/admin/credits/topupbatch/{batch.pk}/undo/"
    page = words_of(admin.post(url, {"reason": "wrong list"}, follow=True))
    assert "1 line was undone. 1 line stays: its credits were spent." in page
    assert "undone" in words_of(admin.get(f"/admin/credits/topupbatch/{batch.pk}/change/"))
    assert (balance(alice), balance(bob)) == (200, 2)
    line = AuditLine.objects.get(action="credits.batch_undo")
    assert line.after == {"undone": 1, "kept": 1}


def test_a_long_preview_is_turned_page_by_page(admin: Client, db: None) -> None:
    people = [make_user(f"student{number}") for number in range(130)]
    text = "email,amount\n" + "".join(f"{person.email},1\n" for person in people)
    url = send(admin, text)["Location"]
    assert "Page 1 of 2" in words_of(admin.get(url))
    assert "student129@example.org" in words_of(admin.get(f"{url}?page=2"))
