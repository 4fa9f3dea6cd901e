"""Pictures handed in: what is taken, what is refused, whose they are, and when they go."""

import errno
import io
import os
import struct
import uuid
import zlib
from contextlib import suppress
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
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image as Picture
from PIL import ImageCms
from PIL.PngImagePlugin import PngInfo

from tests.pages import serve_plain_static
from tests.people import claim, finish, make_user, picture_bytes, submit
from tests.selection import examples
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core import decoding
from webapp.core.decoding import clean_picture, decoding_turn
from webapp.core.errors import InvalidInput
from webapp.generation.erasure import erase_pictures
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


def encoded(picture: Picture.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def send(client: Client, content: bytes, *, kind: str = "start", name: str = "fox.png") -> Any:
    form = {"kind": kind, "file": SimpleUploadedFile(name, content)}
    return client.post("/uploads/", form, headers=JSON)


def cleaned(content: bytes, kind: str = "start") -> Picture.Image:
    clean_image = clean(io.BytesIO(content), kind=kind)
    picture = Picture.open(io.BytesIO(clean_image.png))
    assert picture.size == (clean_image.width_px, clean_image.height_px)
    return picture


def refusal(content: bytes, kind: str = "start") -> str:
    """What the child's refusal is told as."""
    with pytest.raises(InvalidInput) as refused, decoding_turn("alice") as child:
        clean_picture(child, ContentFile(content), size_bytes=len(content), kind=kind)
    assert refused.value.field == "file"
    return refused.value.sentence


def files_kept() -> list[str]:
    return sorted(path.suffix for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file())


def test_a_picture_becomes_a_png_that_its_owner_gets_back(as_alice: Client) -> None:
    answer = send(as_alice, picture_bytes("JPEG", 96))
    facts = answer.json()
    assert answer.status_code == 201
    assert (facts["kind"], facts["width_px"], facts["height_px"]) == ("start", 96, 96)
    served = as_alice.get(facts["url"])
    assert (served["Content-Type"], served["Cache-Control"]) == ("image/png", "private, no-store")
    assert Picture.open(io.BytesIO(served.content)).mode == "RGB"
    small = as_alice.get(facts["thumbnail_url"])
    assert Picture.open(io.BytesIO(small.content)).format == "WEBP"
    kept = Upload.objects.get()
    assert kept.size_bytes == len(served.content)
    assert str(kept.pk) == facts["id"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_content_counts_and_not_the_name(kind: str) -> None:
    assert cleaned(picture_bytes(kind)).size == (64, 64)


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


def test_a_photo_that_lies_on_its_side_is_turned_and_says_nothing_more() -> None:
    exif = Picture.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    exif[0x010F] = "a camera that has a name"
    photo = encoded(Picture.new("RGB", (40, 20), "red"), "JPEG", exif=exif)
    picture = cleaned(photo)
    assert picture.size == (20, 40)
    assert picture.info == {}
    assert b"a camera" not in encoded(picture)


def test_text_in_a_png_is_dropped() -> None:
    text = PngInfo()
    text.add_text("parameters", "a secret prompt")
    content = encoded(Picture.new("RGB", (8, 8)), pnginfo=text)
    assert b"secret" not in clean(io.BytesIO(content), kind="start").png


@pytest.mark.parametrize(
    "picture",
    [
        Picture.new("RGBA", (8, 8), (0, 0, 0, 0)),
        Picture.new("LA", (8, 8), (0, 0)),
        Picture.new("CMYK", (8, 8), (0, 0, 0, 0)),
        Picture.new("1", (8, 8), 1),
        Picture.new("I;16", (8, 8), 65535),
    ],
    ids=["RGBA", "LA", "CMYK", "1", "I;16"],
)
def test_every_kind_of_white_and_of_nothing_becomes_white(picture: Picture.Image) -> None:
    content = encoded(picture, "JPEG" if picture.mode == "CMYK" else "PNG")
    assert cleaned(content).getpixel((4, 4)) == (255, 255, 255)


def test_a_transparent_colour_of_a_palette_becomes_white() -> None:
    picture = Picture.new("RGB", (8, 8), (10, 200, 30)).quantize()
    assert cleaned(encoded(picture, transparency=0)).getpixel((4, 4)) == (255, 255, 255)


def png_of(depth: int, samples: list[int], transparent: list[int]) -> bytes:
    """A PNG of one line, grey or RGB, whose tRNS names a colour in the file's own samples."""
    kind = 2 if len(transparent) == 3 else 0
    bits = "".join(format(one, f"0{depth}b") for one in samples)
    bits += "0" * (-len(bits) % 8)
    line = b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    facts = (len(samples) // len(transparent), 1, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in (
            (b"IHDR", struct.pack(">IIBBBBB", *facts)),
            (b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)),
            (b"IDAT", zlib.compress(line)),
            (b"IEND", b""),
        )
    )


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("is_light", [True, False])
def test_the_transparent_grey_of_every_depth_becomes_white_and_no_other(
    depth: int, is_light: bool
) -> None:
    light = 2**depth - 1
    transparent, other = (light, 0) if is_light else (0, light)
    picture = cleaned(png_of(depth, [transparent, other] * 4, [transparent]))
    shown = (255, 255, 255) if other else (0, 0, 0)
    assert [picture.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), shown]


def test_a_grey_of_16_bits_that_is_nearly_the_transparent_one_is_kept() -> None:
    picture = cleaned(png_of(16, [40_000, 40_001] * 4, [40_000]))
    assert [picture.getpixel((x, 0)) for x in (0, 1)] == [(255,) * 3, (155,) * 3]


@pytest.mark.parametrize("depth", [8, 16])
def test_the_transparent_colour_of_every_depth_becomes_white_and_no_other(depth: int) -> None:
    light = 2**depth - 1
    picture = cleaned(png_of(depth, [light, 0, 0, 0, 0, light] * 4, [light, 0, 0]))
    assert [picture.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 255)]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_mask_of_white_strokes_on_nothing_is_white_where_the_strokes_are(mode: str) -> None:
    strokes = Picture.new("RGBA", (64, 64), (255, 255, 255, 0))
    strokes.paste((255, 255, 255, 255), (0, 0, 32, 64))
    mask = cleaned(encoded(strokes.convert(mode)), kind="mask")
    assert [mask.getpixel((x, 8)) for x in (8, 56)] == [255, 0]


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def odd_profile() -> bytes:
    """A screen whose red is sRGB's blue, and the other way round."""
    return (
        srgb_profile().replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    )


@pytest.mark.parametrize(
    ("profile", "expected"),
    [(srgb_profile(), "red"), (odd_profile(), "blue"), (b"this is no profile", "red")],
    ids=["srgb", "odd", "damaged"],
)
def test_colours_are_brought_to_srgb(profile: bytes, expected: str) -> None:
    picture = cleaned(encoded(Picture.new("RGB", (8, 8), "red"), icc_profile=profile))
    wanted = Picture.new("RGB", (1, 1), expected).getpixel((0, 0))
    got = picture.getpixel((4, 4))
    assert isinstance(wanted, tuple)
    assert isinstance(got, tuple)
    assert max(abs(one - other) for one, other in zip(got, wanted, strict=True)) <= 2


def test_the_longest_side_is_2048_at_most() -> None:
    assert cleaned(encoded(Picture.new("RGB", (4096, 1000)))).size == (2048, 500)


def test_a_mask_is_grey_and_keeps_its_greys() -> None:
    mask = cleaned(encoded(Picture.linear_gradient("L")), kind="mask")
    assert mask.mode == "L"
    assert mask.getpixel((0, 100)) == 100


def test_an_empty_mask_is_refused() -> None:
    assert "empty" in refusal(encoded(Picture.new("L", (64, 64), 20)), kind="mask")


@hypothesis_settings(max_examples=examples(60))
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP"]),
    place=st.floats(0, 1, exclude_max=True),
    damage=st.binary(min_size=1, max_size=16),
)
@pytest.mark.filterwarnings("ignore")  # Pillow grumbles about what it reads all the same
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    kind: str, place: float, damage: bytes
) -> None:
    content = picture_bytes(kind, 16)
    at = int(place * len(content))
    damaged = content[:at] + damage + content[at + len(damage) :]
    with suppress(RefusedError):
        cleaned(damaged)


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
    assert "full or away" in answer.json()["error"]["message"]
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


def test_nobody_gets_the_picture_of_another(
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
    erase_pictures(owner=alice)
    assert not Generation.objects.exists()
    assert Upload.objects.get() == theirs
    delete_discarded_files()
    assert files_kept() == [".png", ".webp"]


def test_two_people_have_rates_of_their_own(monkeypatch: pytest.MonkeyPatch, alice: User) -> None:
    monkeypatch.setattr(uploads, "UPLOADS_PER_HOUR", 1)
    keep(alice)
    keep(make_user("dora"))
