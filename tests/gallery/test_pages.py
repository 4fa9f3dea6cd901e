"""The gallery's doors, and the bytes of private images."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from tests.pages import serve_plain_static
from tests.people import claim, finish, picture_bytes, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Image
from webapp.generation.storage import delete_files

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static")]


@pytest.fixture
def plain_static(settings: LazySettings) -> None:
    serve_plain_static(settings)


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def draw(owner: User, model: DiffusionModel, **changes: Any) -> Image:
    made = submit(owner, model, **changes)
    assert finish(claim(model))
    return made.images.get(index=0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("file", "image/png"), ("thumbnail", "image/webp"), ("download", "image/png")],
)
def test_a_picture_is_private_wherever_it_is_kept(
    as_alice: Client, alice: User, offered_model: DiffusionModel, name: str, kind: str
) -> None:
    image = draw(alice, offered_model)
    response = as_alice.get(f"/images/{image.pk}/{name}/")
    assert response.status_code == 200
    assert response["Content-Type"] == kind
    # A browser keeps what it shows and asks each time; what is saved it keeps no copy of.
    kept = "no-store" if name == "download" else "no-cache"
    assert response["Cache-Control"] == f"private, {kept}"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cross-Origin-Resource-Policy"] == "same-origin"
    assert response.content == picture_bytes("WEBP" if name == "thumbnail" else "PNG")


@pytest.mark.parametrize(
    ("prompt", "disposition"),
    [
        ("A fox, at dusk!", 'attachment; filename="a-fox-at-dusk-7.png"'),
        ("../../etc/passwd", 'attachment; filename="etcpasswd-7.png"'),
        ("!!!", 'attachment; filename="image-7.png"'),
        ("여우", "attachment; filename*=utf-8''%EC%97%AC%EC%9A%B0-7.png"),
    ],
)
def test_a_download_is_named_after_its_prompt(
    as_alice: Client, alice: User, offered_model: DiffusionModel, prompt: str, disposition: str
) -> None:
    image = draw(alice, offered_model, prompt=prompt)
    response = as_alice.get(f"/images/{image.pk}/download/")
    assert response["Content-Disposition"] == disposition


@pytest.mark.parametrize("name", ["", "file/", "thumbnail/", "download/"])
def test_a_picture_is_the_owners_alone(
    client: Client, alice: User, bob: User, charlie: User, offered_model: DiffusionModel, name: str
) -> None:
    path = f"/images/{draw(alice, offered_model).pk}/{name}"
    assert client.get(path).status_code == 302
    for stranger in (bob, charlie):
        client.force_login(stranger)
        assert client.get(path).status_code == 404


def test_an_unfinished_picture_and_a_lost_file_have_no_bytes(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    lost = draw(alice, offered_model)
    delete_files(lost.file)
    waiting = submit(alice, offered_model).images.get()
    assert as_alice.get(f"/images/{lost.pk}/file/").status_code == 404
    assert as_alice.get(f"/images/{waiting.pk}/file/").status_code == 404
    assert as_alice.get(f"/images/{waiting.pk}/").status_code == 200


def test_a_page_of_a_picture_shows_what_made_it_and_its_receipt(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    page = as_alice.get(f"/images/{draw(alice, offered_model).pk}/").content.decode()
    for words in ("a fox at dusk", "people", "64 × 64", "DDIM", ">7<", "0.20", "worker-1"):
        assert words in page


def test_deleting_is_the_owners_alone_and_waits_for_the_end(
    client: Client, alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    image = draw(alice, offered_model)
    waiting = submit(alice, offered_model).images.get()
    client.force_login(bob)
    assert client.post(f"/images/{image.pk}/deletion/").status_code == 404
    client.force_login(alice)
    assert client.get(f"/images/{image.pk}/deletion/").status_code == 405
    assert client.post(f"/images/{waiting.pk}/deletion/").status_code == 409
    assert client.post(f"/images/{image.pk}/deletion/")["Location"] == "/gallery/"
    assert not Image.objects.filter(pk=image.pk).exists()


def test_the_gallery_shows_only_ones_own_and_by_day(
    as_alice: Client, alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    draw(bob, offered_model, prompt="not yours")
    draw(alice, offered_model, prompt="today's")
    old = draw(alice, offered_model, prompt="yesterday's")
    Image.objects.filter(pk=old.pk).update(finished_at=timezone.now() - timedelta(days=1))
    page = as_alice.get("/gallery/").content.decode()
    assert "not yours" not in page
    assert page.index("Today") < page.index("today&#x27;s") < page.index("Yesterday")


def test_a_cursor_of_ones_own_making_is_refused(as_alice: Client) -> None:
    assert as_alice.get("/gallery/?cursor=abc").status_code == 400


def test_the_gallery_asks_the_database_the_same_for_one_picture_and_for_many(
    as_alice: Client,
    alice: User,
    offered_model: DiffusionModel,
    django_assert_num_queries: Any,
) -> None:
    draw(alice, offered_model)
    as_alice.get("/gallery/")
    with django_assert_num_queries(6):
        as_alice.get("/gallery/")
    for _picture in range(4):
        draw(alice, offered_model)
    with django_assert_num_queries(6):
        as_alice.get("/gallery/")


def test_a_stranger_is_sent_to_the_sign_in_page(client: Client) -> None:
    for path in ("/gallery/", "/credits/", f"/images/{uuid.uuid4()}/file/"):
        assert client.get(path)["Location"].startswith("/accounts/login/")
