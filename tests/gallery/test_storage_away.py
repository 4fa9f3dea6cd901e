"""The bucket hangs: images answer 503 in time, and everything that needs none is served."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import QueryDict
from django.test import Client
from PIL import Image as Picture

from tests.faults.hanging_proxy import HangingProxy
from tests.gallery.pictures import draw
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core import buckets
from webapp.core.neighbours import StorageAway
from webapp.core.zipping import write_zip
from webapp.gallery.downloads import download_name, list_entries
from webapp.gallery.selection import read_selection
from webapp.generation.models import Image

pytest_plugins = ["tests.core.buckets"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("plain_static")]

PAGE_S = 4.0  # on a busy machine; a bucket alone would take 15


@pytest.fixture
def image(
    alice: User,
    offered_model: DiffusionModel,
    hanging_bucket: HangingProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> Image:
    """A finished image whose files lie in a bucket that hangs from now on."""
    drawn = draw(alice, offered_model)
    monkeypatch.setattr(buckets, "ANSWER_S", 1.0)
    hanging_bucket.hang()
    return drawn


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails the test if the block takes longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def small_png() -> SimpleUploadedFile:
    file = io.BytesIO()
    Picture.new("RGB", (64, 64), "teal").save(file, "PNG")
    return SimpleUploadedFile("start.png", file.getvalue(), content_type="image/png")


def test_every_door_to_a_file_says_so_in_time(as_alice: Client, image: Image) -> None:
    stem = f"/images/{image.pk}"
    with within(1.0 + PAGE_S):
        assert as_alice.get(f"{stem}/thumbnail/").status_code == 503
    for path in (f"{stem}/file/", f"{stem}/download/", f"{stem}/download/?format=jpeg"):
        with within(PAGE_S):
            answer = as_alice.get(path)
        assert answer.status_code == 503
        assert answer["Retry-After"]
    with within(PAGE_S):
        answer = as_alice.post("/uploads/", {"kind": "start", "file": small_png()})
    assert answer.status_code == 503
    with within(PAGE_S):
        answer = as_alice.post("/uploads/from-image/", {"image": str(image.pk)})
    assert answer.status_code == 503


def test_pages_that_need_no_file_are_served(as_alice: Client, image: Image) -> None:
    assert as_alice.get(f"/images/{image.pk}/thumbnail/").status_code == 503
    for path in ("/", "/gallery/", f"/images/{image.pk}/", "/studio/state/", "/healthz/"):
        with within(PAGE_S):
            assert as_alice.get(path).status_code == 200
    with within(PAGE_S):
        assert as_alice.get("/readyz/").json()["storage"] == "away"


def test_a_zip_ends_where_its_files_are_away(alice: User, image: Image) -> None:
    """A zip without them would look whole."""
    chosen = read_selection(QueryDict(f"image={image.pk}"))
    entries = list_entries(owner=alice, selection=chosen)
    assert [entry.name for entry in entries] == [download_name(image)]
    with within(1.0 + PAGE_S), pytest.raises(StorageAway):
        b"".join(write_zip(entries))
