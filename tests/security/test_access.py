"""Who may open what: every address × anonymous, bob (another user), alice (the owner), charlie
(an administrator). The addresses come from the URLconf, so that a new one cannot be forgotten."""

import re
import uuid
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.client import ClientHandler
from django.urls import NoReverseMatch, reverse

from tests.operations.passwords import give_password
from tests.people import claim, finish, make_model, submit
from tests.security.addresses import list_addresses
from webapp.accounts.models import User
from webapp.credits.models import CreditRequest
from webapp.credits.requests import ask_for_credits
from webapp.gallery.collections import create_collection
from webapp.gallery.models import Collection
from webapp.generation.models import Generation, Image, Upload
from webapp.generation.request.uploads import create_upload_from_image

SIGN_IN, MISSING = 302, 404


@dataclass(frozen=True)
class Expected:
    """The status for anonymous, bob, alice and charlie, and how the address is asked."""

    statuses: tuple[int, int, int, int]
    method: str = "get"
    of: str = ""


def everybody(status: int, **how: str) -> Expected:
    return Expected((status,) * 4, **how)


def signed_in(status: int, **how: str) -> Expected:
    return Expected((SIGN_IN, status, status, status), **how)


def owner_only(status: int, *, of: str, method: str = "get") -> Expected:
    """404 to strangers and to administrators alike: both hear that there is nothing."""
    return Expected((SIGN_IN, MISSING, status, MISSING), method=method, of=of)


EXPECTED = {
    "studio": signed_in(200),
    "studio_state": signed_in(200),
    "events": signed_in(200),
    "prompt_history": signed_in(200),
    "read_prompt": signed_in(400, method="post"),
    "model_words": signed_in(200),
    "create_generation": signed_in(400, method="post"),
    "generation": owner_only(200, of="generation"),
    "cancel_generation": owner_only(302, of="generation", method="post"),
    "cancel_image": owner_only(302, of="image", method="post"),
    "upscale_image": owner_only(400, of="image", method="post"),
    "create_upload": signed_in(400, method="post"),
    "upload_from_image": signed_in(400, method="post"),
    "upload_file": owner_only(200, of="upload"),
    "upload_thumbnail": owner_only(200, of="upload"),
    "gallery": signed_in(200),
    "mark_favourites": signed_in(400, method="post"),
    "bin_images": signed_in(400, method="post"),
    "undo_binning": signed_in(400, method="post"),
    "restore_images": signed_in(400, method="post"),
    "delete_binned": signed_in(400, method="post"),
    "collect_images": signed_in(400, method="post"),
    "uncollect_images": signed_in(400, method="post"),
    "archive": signed_in(400, method="post"),
    "collections": signed_in(200),
    "rename_collection": owner_only(400, of="collection", method="post"),
    "delete_collection": owner_only(302, of="collection", method="post"),
    "share": owner_only(302, of="image", method="post"),
    "revoke_share": owner_only(302, of="image", method="post"),
    "shared": everybody(404),
    "shared_file": everybody(404),
    "image": owner_only(200, of="image"),
    "image_file": owner_only(200, of="image"),
    "image_thumbnail": owner_only(200, of="image"),
    "image_strip": owner_only(200, of="image"),
    "development": signed_in(200),
    "development_strip": signed_in(200),
    "development_noising": signed_in(200),
    "image_download": owner_only(200, of="image"),
    "delete_image": owner_only(302, of="image", method="post"),
    "credits": signed_in(200),
    "statement_csv": signed_in(200),
    "prices": signed_in(200),
    "quote": signed_in(400),
    "redeem_code": signed_in(200),
    "ask_for_credits": signed_in(200),
    "withdraw_request": owner_only(302, of="request", method="post"),
    "invite": Expected((404, 302, 302, 302)),
    "account": signed_in(200),
    "end_sessions": signed_in(302, method="post"),
    "export": signed_in(302),
    "delete_account": signed_in(302),
    "choose_language": signed_in(302, method="post"),
    "end_acting": signed_in(302, method="post"),
    "setup": everybody(404),
    "welcome": Expected((302, 403, 403, 200)),
    "healthz": everybody(200),
    "readyz": everybody(503),  # no worker is alive
    "metrics": everybody(404),  # nobody has set who may
    "account_login": Expected((200, 302, 302, 302)),
    "account_signup": Expected((200, 302, 302, 302)),
    "account_logout": Expected((302, 200, 200, 200)),
    "account_inactive": everybody(200),
    "account_reauthenticate": signed_in(200),
    "account_email": signed_in(200),
    "account_email_verification_sent": everybody(200),
    "account_confirm_email": everybody(200),
    "account_change_password": signed_in(200),
    "account_set_password": signed_in(302),
    "account_reset_password": everybody(200),
    "account_reset_password_done": everybody(200),
    "account_reset_password_from_key": everybody(200),
    "account_reset_password_from_key_done": everybody(200),
    "account_confirm_login_code": Expected((302, 302, 302, 302)),
    "end_session": signed_in(404, method="post"),
    "mfa_index": signed_in(200),
    "mfa_authenticate": everybody(302),
    "mfa_reauthenticate": signed_in(302),
    "mfa_activate_totp": signed_in(302),
    "mfa_deactivate_totp": signed_in(404),
    "mfa_view_recovery_codes": signed_in(404),
    "mfa_generate_recovery_codes": signed_in(302),
    "mfa_download_recovery_codes": signed_in(404),
    "mfa_list_webauthn": signed_in(200),
    "mfa_add_webauthn": signed_in(302),
    "mfa_edit_webauthn": signed_in(302),
    "mfa_remove_webauthn": signed_in(302),
    "mfa_reauthenticate_webauthn": signed_in(302),
    "mfa_login_webauthn": everybody(302),
}
# Parts of signing in and out themselves: there is nothing to come back to.
SENT_WITHOUT_A_WAY_BACK = {
    "account_logout",
    "account_confirm_login_code",
    "mfa_authenticate",
    "mfa_login_webauthn",
}
OTHERS = [one for one in list_addresses() if not one.name.startswith("admin:")]
ADMIN_SITE = [one for one in list_addresses() if one.name.startswith("admin:")]


@dataclass(frozen=True)
class Studio:
    """What alice has: a stored image, an upload, an open request for credits, a collection."""

    generation: Generation
    image: Image
    request: CreditRequest
    collection: Collection
    upload: Upload
    people: dict[str, Client]


@pytest.fixture(scope="module")
def loaded_handler(static_files: None) -> ClientHandler:
    """One for every client of this file: loading the middleware reads all static files."""
    return ClientHandler(enforce_csrf_checks=False)


@pytest.fixture
def studio(
    alice: User,
    bob: User,
    charlie: User,
    loaded_handler: ClientHandler,
    monkeypatch: pytest.MonkeyPatch,
) -> Studio:
    model = make_model()
    generation = submit(alice, model)
    assert finish(claim(model))
    # The event stream gives its connection back, and with it this test's transaction.
    monkeypatch.setattr(connection, "close", lambda: None)
    people = {name: Client() for name in ("anonymous", "bob", "alice", "charlie")}
    for name, user in (("bob", bob), ("alice", alice), ("charlie", charlie)):
        people[name].force_login(user)
    for one in people.values():
        one.handler = loaded_handler
    asked = ask_for_credits(user=alice, amount_ucr=1_000_000, reason="a poster")
    collection = create_collection(owner=alice, name="Foxes")
    upload = create_upload_from_image(owner=alice, image=generation.images.get())
    return Studio(generation, generation.images.get(), asked, collection, upload, people)


def url_of(name: str, studio: Studio) -> str:
    """The address with what alice has in it, if it takes anything."""
    candidates: list[dict[str, Any]] = [
        {},
        {"generation_id": studio.generation.pk},
        {"image_id": studio.image.pk},
        {"request_id": studio.request.pk},
        {"collection_id": studio.collection.pk},
        {"upload_id": studio.upload.pk},
        {"session_id": 1},
        {"pk": 1},
        {"slug": studio.generation.model.slug},
        {"token": "unknown"},
        {"key": "unknown"},
        {"uidb36": "1", "key": "unknown"},
    ]
    for arguments in candidates:
        try:
            return reverse(name, kwargs=arguments)
        except NoReverseMatch:
            continue
    pytest.fail(f"{name} takes arguments that this test does not know")


def ask(client: Client, method: str, url: str) -> Any:
    return getattr(client, method)(url)


def test_every_address_stands_in_the_table() -> None:
    assert {one.name for one in OTHERS} == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_everybody_gets_what_the_table_says(studio: Studio, name: str) -> None:
    expected, url = EXPECTED[name], url_of(name, studio)
    order = ("anonymous", "bob", "charlie", "alice")  # the owner last: she may delete
    got = {who: ask(studio.people[who], expected.method, url).status_code for who in order}
    assert got == dict(
        zip(("anonymous", "bob", "alice", "charlie"), expected.statuses, strict=True)
    )


@pytest.mark.parametrize("name", sorted(n for n, e in EXPECTED.items() if e.statuses[0] == SIGN_IN))
def test_visitors_are_sent_to_the_sign_in_page(studio: Studio, name: str) -> None:
    location = ask(studio.people["anonymous"], EXPECTED[name].method, url_of(name, studio))
    if name in SENT_WITHOUT_A_WAY_BACK:
        assert location["Location"] == "/accounts/login/"
    else:
        assert location["Location"].startswith("/accounts/login/?next=")


@pytest.mark.parametrize("name", sorted(n for n, e in EXPECTED.items() if e.of))
def test_a_strangers_answer_does_not_tell_whether_there_is_anything(
    studio: Studio, name: str
) -> None:
    """What is alice's looks to bob exactly like what never was."""
    method, url = EXPECTED[name].method, url_of(name, studio)
    thing = getattr(studio, EXPECTED[name].of)
    unknown = "987654321" if isinstance(thing, CreditRequest) else str(uuid.uuid4())
    nothing = url.replace(str(thing.pk), unknown)
    hers = ask(studio.people["bob"], method, url)
    assert hers.content == ask(studio.people["bob"], method, nothing).content


@pytest.mark.parametrize("name", sorted(n for n, e in EXPECTED.items() if e.method == "post"))
def test_what_changes_something_takes_a_post_with_the_pages_token(
    studio: Studio, alice: User, name: str
) -> None:
    url = url_of(name, studio)
    assert studio.people["alice"].get(url).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.post(url).status_code == 403
    assert Image.objects.get(pk=studio.image.pk).state == "stored"


def test_the_admin_site_is_for_administrators_alone(studio: Studio) -> None:
    """Whatever stands below it: nobody else gets a page, or changes anything."""
    for one in ADMIN_SITE:
        url = admin_url(one.route, studio)
        for who, method in product(("anonymous", "bob", "alice"), ("get", "post")):
            response = ask(studio.people[who], method, url)
            assert response.status_code in {302, 403}, (who, method, url)
            location = response.get("Location", "/accounts/login/")
            entrances = ("/admin/login/", "/accounts/login/")
            assert location.startswith(entrances) or one.name == "admin:logout", (who, url)
        got = ask(studio.people["charlie"], "get", url).status_code
        assert got in {200, 302, 403, 404, 405}, url


def admin_url(route: str, studio: Studio) -> str:
    """The route with alice's number wherever it takes an argument."""
    number = str(studio.generation.owner_id)
    filled = route.replace("<path:object_id>", number).replace("<id>", number)
    filled = filled.replace("<path:content_type_id>", "1").replace("(?P<url>.*)$", "nowhere")
    filled = re.sub("<int:[a-z_]+>", number, filled)
    filled = re.sub("<uuid:[a-z_]+>", str(studio.image.pk), filled)
    filled = filled.replace("^(?P<app_label>", "").partition("|")[0].removesuffix(")/$")
    assert not set(filled) & set("<>()?^$|"), route
    return f"/{filled}" + ("/" if "app_label" in route else "")


def test_a_staff_member_gets_what_was_given_and_nothing_else(studio: Studio, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_staff=True)
    bob.user_permissions.add(Permission.objects.get(codename="view_user"))
    assert studio.people["bob"].get("/admin/accounts/user/").status_code == 200
    form = {"email": bob.email, "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    url = f"/admin/accounts/user/{bob.pk}/change/"
    give_password(studio.people["bob"])
    assert studio.people["bob"].post(url, form).status_code == 403
    assert not User.objects.get(pk=bob.pk).is_superuser
