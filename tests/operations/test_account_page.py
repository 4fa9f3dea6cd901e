"""One's own account: sessions, the export of everything, and the deletion by oneself."""

import io
import json
import zipfile
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.http import StreamingHttpResponse
from django.test import Client

from tests.accounts.signing_in import is_in, sign_in, with_password
from tests.people import PASSWORD, claim, finish, make_user, picture_bytes, submit
from webapp.accounts.models import User, UserGroup
from webapp.catalog.models import DiffusionModel
from webapp.core.models import AuditLine
from webapp.credits.models import Account, CreditRequest
from webapp.generation.models import Generation, Image, Upload
from webapp.generation.storage import delete_files, read_file
from webapp.operations import export
from webapp.operations.people import finish_deletions


def test_the_page_says_who_one_is_here(alice: User) -> None:
    friends = UserGroup.objects.create(name="Friends")
    User.objects.update(group=friends)
    page = sign_in(alice).get("/account/").content.decode()
    for words in (alice.email, "Friends", "200", "Change password", "Delete my account"):
        assert words in page


def test_an_address_is_changed_only_where_mail_can_be_sent(alice: User, settings: Any) -> None:
    client = sign_in(alice)
    assert "/accounts/email/" not in client.get("/account/").content.decode()
    settings.EMAIL_HOST = "mail.example.org"
    assert "/accounts/email/" in client.get("/account/").content.decode()


def test_signing_out_everywhere_else_keeps_this_session(alice: User, bob: User) -> None:
    here, elsewhere, his = sign_in(alice), sign_in(alice), sign_in(bob)
    assert here.post("/account/sessions/end/")["Location"] == "/account/"
    assert (is_in(here), is_in(elsewhere), is_in(his)) == (True, False, True)
    assert is_in(sign_in(alice))
    here.post("/account/sessions/end/")
    assert is_in(here)


def test_the_language_is_chosen_for_the_next_pages(alice: User) -> None:
    client = sign_in(alice)
    answer = client.post("/language/", {"language": "ko", "next": "/account/"})
    assert answer["Location"] == "/account/"
    assert 'lang="ko"' in client.get("/account/").content.decode()
    alice.refresh_from_db()
    assert alice.language == "ko"
    client.post("/language/", {"language": "tlh"})
    alice.refresh_from_db()
    assert alice.language == "ko"


# -- export -------------------------------------------------------------------------------------


def download(client: Client) -> zipfile.ZipFile:
    answer: Any = client.post("/account/export/")
    assert isinstance(answer, StreamingHttpResponse)
    pieces: Any = answer.streaming_content
    assert answer["Content-Type"] == "application/zip"

    async def join() -> bytes:
        return b"".join([piece async for piece in pieces])

    archive = zipfile.ZipFile(io.BytesIO(async_to_sync(join)()))
    assert archive.testzip() is None
    return archive


@pytest.fixture
def busy(alice: User, bob: User, offered_model: DiffusionModel) -> User:
    """Alice has two images, a cancelled one, an upload and a request; bob has an image too."""
    submit(alice, offered_model, prompt="a fox at dusk", count=2)
    submit(bob, offered_model, prompt="bob's owl")
    for _image in range(3):
        assert finish(claim(offered_model))
    submit(alice, offered_model, prompt="여우")
    default_storage.save("uploads/a.png", ContentFile(picture_bytes()))
    Upload.objects.create(
        owner=alice, kind="start", file="uploads/a.png", width_px=64, height_px=64, size_bytes=1
    )
    CreditRequest.objects.create(user=alice, amount_ucr=5_000_000, reason="for a calendar")
    return alice


def test_the_archive_holds_everything_about_the_person_and_nothing_about_others(
    busy: User, bob: User
) -> None:
    archive = download(with_password(busy))
    names = archive.namelist()
    fixed = ["profile.json", "generations.json", "requests.json", "statement.csv"]
    assert names[:4] == fixed
    assert [name.partition("/")[0] for name in names[4:]] == ["images", "images", "uploads"]
    profile = json.loads(archive.read("profile.json"))
    assert (profile["email"], profile["credits"]["held"]) == (busy.email, "0.20")
    (asked,) = json.loads(archive.read("requests.json"))
    assert (asked["amount"], asked["reason"]) == ("5.00", "for a calendar")
    assert archive.read("statement.csv").decode("utf-8-sig").count("capture") == 2
    everything = b"".join(archive.read(name) for name in fixed)
    assert b"owl" not in everything
    assert bob.email.encode() not in everything
    assert busy.password.encode() not in everything


def test_every_request_is_there_with_its_prompt_settings_and_pictures(busy: User) -> None:
    archive = download(with_password(busy))
    first, second = json.loads(archive.read("generations.json"))
    told = {"prompt": "a fox at dusk", "negative_prompt": "people", "steps": 4, "model": "tiny"}
    assert told.items() <= first.items()
    assert (second["prompt"], second["images"][0]["image"]) == ("여우", "")
    for told_image in first["images"]:
        image = Image.objects.get(pk=told_image["id"])
        assert told_image["seed"] == image.seed
        assert archive.read(told_image["image"]) == read_file(image.file)
    columns = {field.name for field in Generation._meta.concrete_fields}
    left_out = {"owner", "idempotency_key", "spec_hash", "price_each_ucr"}
    assert columns - set(first) == left_out
    assert first["price_each"] == "0.20"


def test_a_large_archive_is_read_in_batches(
    busy: User, offered_model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sorted(download(with_password(busy)).namelist())
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 1)
    archive = download(with_password(busy))
    assert sorted(archive.namelist()) == whole
    assert len(json.loads(archive.read("generations.json"))) == 2


def test_a_picture_whose_file_is_gone_does_not_break_the_archive(busy: User) -> None:
    image = Image.objects.filter(owner=busy, state="stored")[0]
    delete_files(image.file)
    archive = download(with_password(busy))
    assert len([name for name in archive.namelist() if name.startswith("images/")]) == 1


def test_somebody_without_anything_gets_an_archive_too(alice: User) -> None:
    archive = download(with_password(alice))
    assert json.loads(archive.read("generations.json")) == []
    assert len(archive.namelist()) == 4


@pytest.mark.parametrize("path", ["/account/export/", "/account/deletion/"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_both_ask_for_the_password_again(alice: User, path: str, method: str) -> None:
    client = Client()
    client.force_login(alice)  # the password was given at some other time
    answer = getattr(client, method)(path)
    assert answer["Location"].startswith("/accounts/reauthenticate/?next=")
    page = client.get(answer["Location"]).content.decode()
    assert f"the password of {alice.email} again" in page
    wrong = client.post("/accounts/reauthenticate/", {"password": "wrong", "next": path})
    assert "Incorrect password" in wrong.content.decode()
    assert User.objects.filter(is_active=True).exists()
    client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": path})
    is_deleted = (method, path) == ("post", "/account/deletion/")
    assert client.get("/account/export/").status_code == (302 if is_deleted else 200)
    assert User.objects.filter(is_active=True).exists() != is_deleted


def test_no_administrator_exports_somebody_else(alice: User, charlie: User) -> None:
    """The address takes nobody's id, and viewing as another user does not reach it."""
    from django.http import HttpRequest

    from webapp.operations.acting import start_acting

    client = with_password(charlie)
    request = HttpRequest()
    request.user, request.session = charlie, client.session
    start_acting(request, person=alice, reason="curious")
    request.session.save()
    assert client.get("/account/export/").status_code == 302
    assert client.post("/account/export/").status_code == 403


# -- deletion -----------------------------------------------------------------------------------


def test_the_page_says_what_goes_and_what_stays(busy: User) -> None:
    page = with_password(busy).get("/account/deletion/").content.decode()
    for words in ("2 images", "199.60 credits", "under a pseudonym", "Keep it"):
        assert words in page


def test_a_person_deletes_their_own_account(busy: User) -> None:
    client = with_password(busy)
    answer = client.post("/account/deletion/")
    assert answer["Location"] == "/accounts/login/"
    assert "is being deleted" in client.get("/accounts/login/").content.decode()
    assert not is_in(client)
    assert AuditLine.objects.get().actor_name == busy.email
    assert finish_deletions() == 1
    assert not User.objects.filter(email=busy.email).exists()
    assert Account.objects.filter(user=None, kind="user").count() == 1


def test_the_last_administrator_stays(charlie: User) -> None:
    answer = with_password(charlie).post("/account/deletion/")
    assert answer.status_code == 409
    assert "This is the last administrator" in answer.content.decode()
    assert User.objects.get(pk=charlie.pk).is_active
    make_user("dora", is_superuser=True)
    assert with_password(charlie).post("/account/deletion/").status_code == 302


FIREFOX = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


def test_every_browser_that_is_signed_in_is_listed_this_one_first(alice: User, bob: User) -> None:
    sign_in(alice, **FIREFOX)
    sign_in(bob, **FIREFOX)
    here = sign_in(alice, **{"user-agent": "curl/8.9.1"})
    sign_ins = here.get("/account/").context["sign_ins"]
    assert [(one.browser.name, one.is_here) for one in sign_ins] == [("", True), ("Firefox", False)]
    page = here.get("/account/").content.decode()
    assert "Firefox on Linux" in page
    assert "Another program" in page


def test_one_browser_is_signed_out_from_another(alice: User) -> None:
    there, third, here = sign_in(alice, **FIREFOX), sign_in(alice), sign_in(alice)
    [lost] = [
        one for one in here.get("/account/").context["sign_ins"] if one.browser.name == "Firefox"
    ]
    page = here.post(f"/account/sessions/{lost.id}/end/", follow=True).content.decode()
    assert "That browser is signed out." in page
    assert (is_in(there), is_in(third), is_in(here)) == (False, True, True)
    assert here.post(f"/account/sessions/{lost.id}/end/").status_code == 404


def test_nobody_ends_a_session_of_somebody_else_or_the_one_that_asks(
    alice: User, bob: User
) -> None:
    hers, his = sign_in(alice), sign_in(bob)
    [session] = hers.get("/account/").context["sign_ins"]
    assert his.post(f"/account/sessions/{session.id}/end/").status_code == 404
    assert hers.post(f"/account/sessions/{session.id}/end/").status_code == 409
    assert is_in(hers)


def test_sessions_that_ended_otherwise_are_listed_no_more(alice: User) -> None:
    sign_in(alice, **FIREFOX)
    here = sign_in(alice)
    here.post("/account/sessions/end/")
    assert [one.is_here for one in here.get("/account/").context["sign_ins"]] == [True]


def test_a_session_from_before_the_list_is_on_it(alice: User) -> None:
    client = Client()
    client.force_login(alice)
    assert [one.is_here for one in client.get("/account/").context["sign_ins"]] == [True]
