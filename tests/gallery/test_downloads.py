"""Downloads: formats, and what is inside the file."""

import io
import struct

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from PIL import Image as Picture

from tests.gallery.pictures import PARAMETERS, draw, png_with_parameters
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation.models import Image
from webapp.pixels.encoding import EXIF_FOLDER, USER_COMMENT, write_exif

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static")]


@pytest.fixture
def image(alice: User, offered_model: DiffusionModel) -> Image:
    """An image with what made it inside."""
    drawn = draw(alice, offered_model, prompt="여우 at dusk")
    default_storage.delete(drawn.file)
    default_storage.save(drawn.file, ContentFile(png_with_parameters()))
    return drawn


def comment(body: bytes) -> str:
    """The parameters as other programs read them from a JPEG or WebP."""
    with Picture.open(io.BytesIO(body)) as picture:
        raw = picture.getexif().get_ifd(EXIF_FOLDER).get(USER_COMMENT, b"")
    return bytes(raw).removeprefix(b"UNICODE\0").decode("utf-16-be")


def test_a_png_is_the_file_as_it_was_stored(as_alice: Client, image: Image) -> None:
    response = as_alice.get(f"/images/{image.pk}/download/")
    assert response.content == png_with_parameters()


def test_a_png_without_metadata_has_the_same_pixels_and_no_words(
    as_alice: Client, image: Image
) -> None:
    response = as_alice.get(f"/images/{image.pk}/download/?metadata=no")
    assert b"fox" not in response.content
    with (
        Picture.open(io.BytesIO(response.content)) as bare,
        Picture.open(io.BytesIO(png_with_parameters())) as whole,
    ):
        assert bare.tobytes() == whole.tobytes()
        assert "parameters" not in bare.info


@pytest.mark.parametrize(("name", "suffix"), [("jpeg", "jpg"), ("webp", "webp")])
def test_other_formats_carry_the_parameters_where_they_are_wanted(
    as_alice: Client, image: Image, name: str, suffix: str
) -> None:
    path = f"/images/{image.pk}/download/?format={name}"
    whole, bare = as_alice.get(path), as_alice.get(f"{path}&metadata=no")
    assert comment(whole.content) == PARAMETERS
    assert comment(bare.content) == ""
    for response in (whole, bare):
        assert response["Content-Type"] == f"image/{name}"
        assert response["Content-Disposition"].endswith(f"-at-dusk-7.{suffix}")
        assert response["Cache-Control"] == "private, no-store"
        with Picture.open(io.BytesIO(response.content)) as picture:
            assert (picture.format, picture.size) == (name.upper(), (64, 64))


def test_the_comment_has_the_type_that_strict_readers_want() -> None:
    """Read by hand: header, folder, its one entry, the EXIF folder, its one entry, the text."""
    block = write_exif("a 여우")
    assert block.startswith(b"Exif\0\0MM\0*\0\0\0\x08")
    tiff = block[6:]
    count, tag, kind, length, at, following = struct.unpack_from(">HHHLLL", tiff, 8)
    assert (count, tag, kind, length, following) == (1, EXIF_FOLDER, 4, 1, 0)
    count, tag, kind, length, at, following = struct.unpack_from(">HHHLLL", tiff, at)
    assert (count, tag, kind, following) == (1, USER_COMMENT, 7, 0)
    assert tiff[at : at + length] == tiff[44:] == b"UNICODE\0" + "a 여우".encode("utf-16-be")


@pytest.mark.parametrize("query", ["format=gif", "format=", "metadata=maybe"])
def test_what_is_not_on_offer_is_refused_in_a_sentence(
    as_alice: Client, image: Image, query: str
) -> None:
    response = as_alice.get(f"/images/{image.pk}/download/?{query}")
    assert response.status_code == 400


@pytest.mark.parametrize("query", ["", "?format=jpeg", "?metadata=no"])
def test_a_lost_file_and_another_persons_picture_are_not_there(
    as_alice: Client, as_bob: Client, image: Image, query: str
) -> None:
    path = f"/images/{image.pk}/download/{query}"
    assert as_bob.get(path).status_code == 404
    default_storage.delete(image.file)
    assert as_alice.get(path).status_code == 404
