"""Uploads: what is taken, what is refused, whose they are, and when they go."""

import errno
import io
import os
import struct
import uuid
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings, settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image as Picture

from tests.generation.refusals import refusal
from tests.pages import serve_plain_static
from tests.people import claim, finish, make_user, picture_bytes, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core import decoding
from webapp.generation.erasure import erase_images
from webapp.generation.models import DiscardedFile, Generation, Image, Upload
from webapp.generation.orphans import delete_discarded_files
from webapp.generation.request import uploads
from webapp.generation.tasks import sweep_uploads
from webapp.pixels.cleaning import RefusedError, clean

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey_is_empty")]
JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def _plain_static(settings: LazySettings) -> None:
    serve_plain_static(settings)


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def send(client: Client, content: bytes, *, kind: str = "start", name: str = "fox.png") -> Any:
    form = {"kind": kind, "file": SimpleUploadedFile(name, content)}
    return client.post("/uploads/", form, headers=JSON)


def files_kept() -> list[str]:
    return sorted(path.suffix for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file())


def test_a_picture_becomes_a_png_that_its_owner_gets_back(as_alice: Client) -> None:
    answer = send(as_alice, picture_bytes("JPEG", 96))
    facts = answer.json()
    assert answer.status_code == 201
    assert (facts["kind"], facts["width_px"], facts["height_px"]) == ("start", 96, 96)
    served = as_alice.get(facts["url"])
    assert (served["Content-Type"], served["Cache-Control"]) == ("image/png", "private, no-cache")
    assert Picture.open(io.BytesIO(served.content)).mode == "RGB"
    small = as_alice.get(facts["thumbnail_url"])
    assert Picture.open(io.BytesIO(small.content)).format == "WEBP"
    kept = Upload.objects.get()
    assert kept.size_bytes == len(served.content)
    assert str(kept.pk) == facts["id"]


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_refused(kind: str) -> None:
    assert "PNG, JPEG or WebP" in refusal(picture_bytes(kind))


@pytest.mark.parametrize(
    "content",
    [b"", b"not a picture", picture_bytes()[:80], b"\x89PNG\r\n"],
    ids=["empty", "text", "cut off", "its first bytes"],
)
def test_what_cannot_be_read_is_refused(as_alice: Client, content: bytes) -> None:
    answer = send(as_alice, content)
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == "file"
    assert not Upload.objects.exists()
    assert files_kept() == []


def header_alone(width_px: int, height_px: int) -> bytes:
    """A PNG that says how large it is, and holds next to nothing."""
    facts = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", facts) + chunk(b"IDAT", zlib.compress(b""))


@pytest.mark.parametrize("size", [(5001, 5000), (12_000, 12_000), (60_000, 60_000)])
def test_more_than_25_megapixels_are_refused_by_the_header(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is decoded: the three are refused below, at and far above Pillow's own limits."""
    monkeypatch.setattr(Picture.Image, "load", lambda _self: pytest.fail("it was decoded"))
    with pytest.raises(RefusedError, match="too_many_pixels"):
        clean(io.BytesIO(header_alone(*size)), kind="start")


def test_more_than_25_megapixels_are_told_in_a_sentence() -> None:
    assert "at most 25 megapixels" in refusal(header_alone(5001, 5000))


def test_more_than_20_megabytes_are_refused_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_BYTES", 1000)
    assert "at most 0 MB" in refusal(picture_bytes("BMP"))


@pytest.mark.parametrize(
    ("form", "field"),
    [({"kind": "start"}, "file"), ({"kind": "wallpaper"}, "kind"), ({}, "kind")],
)
def test_a_form_that_lacks_something_is_told_what(
    as_alice: Client, form: dict[str, str], field: str
) -> None:
    sent: dict[str, Any] = dict(form)
    if field == "kind":
        sent["file"] = SimpleUploadedFile("fox.png", picture_bytes())
    answer = as_alice.post("/uploads/", sent, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)


def test_nobody_uploads_without_end(as_alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "UPLOADS_PER_HOUR", 2)
    statuses = [send(as_alice, picture_bytes()).status_code for _try in range(3)]
    assert statuses == [201, 201, 429]
    assert Upload.objects.count() == 2


def test_a_full_disk_is_said_and_leaves_nothing_that_is_told(
    as_alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    answer = send(as_alice, picture_bytes())
    assert answer.status_code == 503
    assert "full or not available" in answer.json()["error"]["message"]
    assert files_kept() == []


def test_one_of_my_images_becomes_a_start_picture_once(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    image = stored(alice, offered_model)
    answers = [
        as_alice.post("/uploads/from-image/", {"image": image.pk}, headers=JSON) for _try in "ab"
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    first, second = (answer.json() for answer in answers)
    assert first == second
    assert (first["image"], first["width_px"]) == (str(image.pk), 64)
    assert files_kept().count(".png") == 2  # the image's own, and the upload's
    served = Picture.open(io.BytesIO(as_alice.get(first["url"]).content))
    assert served.tobytes() == Picture.open(io.BytesIO(picture_bytes())).tobytes()


def stored(owner: User, model: DiffusionModel, **changes: Any) -> Image:
    made = submit(owner, model, **changes)
    assert finish(claim(model))
    return made.images.get()


def test_an_image_that_is_not_finished_is_no_start_picture(
    as_alice: Client, alice: User, offered_model: DiffusionModel
) -> None:
    waiting = submit(alice, offered_model).images.get()
    answer = as_alice.post("/uploads/from-image/", {"image": waiting.pk}, headers=JSON)
    assert answer.status_code == 409


@pytest.mark.parametrize(("image", "status"), [("", 400), ("7", 400), (uuid.UUID(int=7), 404)])
def test_no_image_is_no_start_picture(as_alice: Client, image: object, status: int) -> None:
    answer = as_alice.post("/uploads/from-image/", {"image": image}, headers=JSON)
    assert answer.status_code == status


def test_nobody_gets_the_image_of_another(
    as_alice: Client, alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    facts = send(as_alice, picture_bytes()).json()
    image = stored(alice, offered_model)
    as_alice.force_login(bob)
    assert as_alice.get(facts["url"]).status_code == 404
    assert as_alice.get(facts["thumbnail_url"]).status_code == 404
    answer = as_alice.post("/uploads/from-image/", {"image": image.pk}, headers=JSON)
    assert answer.status_code == 404


def test_a_form_without_its_token_is_refused(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert send(client, picture_bytes()).status_code == 403
    assert not Upload.objects.exists()


def keep(owner: User, *, days: int = 0, kind: str = "start") -> Upload:
    content = picture_bytes()
    kept = uploads.create_upload(
        owner=owner, file=ContentFile(content), size_bytes=len(content), kind=kind
    )
    Upload.objects.filter(pk=kept.pk).update(created_at=timezone.now() - timedelta(days=days))
    return kept


def test_what_no_request_names_goes_after_a_day_with_its_files(
    alice: User, offered_model: DiffusionModel
) -> None:
    old, fresh, used, mask = (
        keep(alice, days=2),
        keep(alice),
        keep(alice, days=2),
        keep(alice, days=2, kind="mask"),
    )
    submit(alice, offered_model, mode="inpaint", start_id=used.pk, mask_id=mask.pk, strength=0.5)
    sweep_uploads()
    assert set(Upload.objects.all()) == {fresh, used, mask}
    assert set(DiscardedFile.objects.values_list("name", flat=True)) == {
        old.file,
        old.thumbnail,
    }
    delete_discarded_files()
    assert len(files_kept()) == 6


def test_a_picture_that_is_asked_for_again_is_kept_another_day(
    alice: User, offered_model: DiffusionModel
) -> None:
    image = stored(alice, offered_model)
    start = uploads.create_upload_from_image(owner=alice, image=image)
    Upload.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert uploads.create_upload_from_image(owner=alice, image=image) == start
    sweep_uploads()
    assert Upload.objects.get() == start


def test_a_start_picture_whose_file_was_never_written_is_written_later(
    alice: User, offered_model: DiffusionModel
) -> None:
    """A crash between row and file."""
    image = stored(alice, offered_model)
    start = uploads.create_upload_from_image(owner=alice, image=image)
    default_storage.delete(start.file)
    again = uploads.create_upload_from_image(owner=alice, image=image)
    assert again.file == start.file
    assert default_storage.exists(start.file)


def test_erasing_a_person_takes_their_uploads_and_nobody_elses(
    alice: User, bob: User, offered_model: DiffusionModel
) -> None:
    start = keep(alice)
    hers = submit(alice, offered_model, mode="image", start_id=start.pk, strength=0.5)
    theirs = keep(bob)
    Image.objects.filter(generation=hers).delete()
    erase_images(owner=alice)
    assert not Generation.objects.exists()
    assert Upload.objects.get() == theirs
    delete_discarded_files()
    assert files_kept() == [".png", ".webp"]


def test_two_people_have_rates_of_their_own(monkeypatch: pytest.MonkeyPatch, alice: User) -> None:
    monkeypatch.setattr(uploads, "UPLOADS_PER_HOUR", 1)
    keep(alice)
    keep(make_user("dora"))
