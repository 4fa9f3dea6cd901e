"""The bucket, or the disk, refuses: whatever needs a file says so, nothing is a 500, and nothing
is lost."""

import errno
import os
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from tests.core.bucket_calls import BucketCalls
from tests.gallery.pictures import draw
from tests.gallery.test_storage_away import small_png
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.neighbours import StorageAway
from webapp.core.zipping import write_zip
from webapp.gallery.bulk import empty_bins
from webapp.gallery.sharing import share_image
from webapp.generation import orphans, tasks
from webapp.generation.erasure import erase_images
from webapp.generation.models import DiscardedFile, Image
from webapp.generation.storage import delete_files, file_names, list_files, write_image_files
from webapp.operations.export import list_entries

pytest_plugins = ["tests.core.buckets"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("plain_static")]

Fault = Callable[[], None]


@pytest.fixture(params=["AccessDenied", "SlowDown", "StorageFull", "disk"])
def fault(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Fault:
    """Makes the storage refuse whatever it is asked from then on."""
    if request.param == "disk":
        return lambda: break_disk(monkeypatch)
    calls: BucketCalls = request.getfixturevalue("bucket_calls")
    status = {"AccessDenied": 403, "SlowDown": 503, "StorageFull": 507}[request.param]
    return lambda: setattr(calls, "refusal", (status, request.param))


def break_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_words: object, **_options: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for act in ("_open", "_save", "delete", "exists", "list_folder", "size"):
        monkeypatch.setattr(type(default_storage._wrapped), act, refuse)  # type: ignore[attr-defined]


@pytest.fixture
def image(fault: Fault, alice: User, offered_model: DiffusionModel) -> Image:
    """A finished image, whose files lie well so far."""
    return draw(alice, offered_model)


def test_every_page_that_needs_a_file_answers_503(
    as_alice: Client, alice: User, image: Image, fault: Fault
) -> None:
    upload = as_alice.post(
        "/uploads/", {"kind": "start", "file": small_png()}, headers={"Accept": "application/json"}
    ).json()
    whole = share_image(owner=alice, image_id=image.pk, shows_prompt=True)
    stem = f"/images/{image.pk}"
    fault()
    for path in (
        f"{stem}/file/",
        f"{stem}/thumbnail/",
        f"{stem}/strip/",
        f"{stem}/download/",
        f"{stem}/download/?format=webp",
        f"/s/{whole}/file/",
        upload["url"],
        upload["thumbnail_url"],
    ):
        answer = as_alice.get(path)
        assert answer.status_code == 503, path
        assert answer["Retry-After"]
    for path, form in (
        ("/uploads/", {"kind": "start", "file": small_png()}),
        ("/uploads/from-image/", {"image": str(image.pk)}),
    ):
        assert as_alice.post(path, form).status_code == 503, path


def test_files_that_cannot_be_deleted_now_are_deleted_later(
    alice: User, image: Image, fault: Fault
) -> None:
    """The bin is emptied and a user erased by the database alone; files follow."""
    names = {image.file, image.thumbnail, image.strip}
    Image.objects.update(binned_at=timezone.now() - timedelta(days=31))
    fault()
    assert empty_bins(batches=1) == 1
    assert erase_images(owner=alice) == 0
    tasks.sweep_files()
    assert set(DiscardedFile.objects.values_list("name", flat=True)) == names
    tasks.sweep_orphans()


def test_a_zip_and_an_export_break_off(alice: User, image: Image, fault: Fault) -> None:
    """Without the file they would look whole."""
    fault()
    with pytest.raises(StorageAway):
        b"".join(write_zip(list_entries(user=alice)))


def test_what_is_drawn_meanwhile_is_the_storages_fault(image: Image, fault: Fault) -> None:
    """The worker waits at this error, and tells administrators of the storage."""
    fault()
    token = image.lease_token or image.pk
    with pytest.raises(StorageAway):
        write_image_files(image_id=image.pk, lease_token=token, png=b"p", thumbnail_webp=b"t")


def test_the_bins_files_and_orphans_are_found_and_deleted_in_a_bucket_in_few_requests(
    alice: User,
    offered_model: DiffusionModel,
    bucket_calls: BucketCalls,
) -> None:
    drawn = draw(alice, offered_model)
    kept = draw(alice, offered_model)
    orphan, *_others = file_names(image_id=kept.pk, lease_token=uuid.uuid4())
    default_storage.save(orphan, ContentFile(b"left by a worker"))
    Image.objects.filter(pk=drawn.pk).update(binned_at=timezone.now() - timedelta(days=31))
    assert empty_bins(batches=1) == 1
    bucket_calls.sent.clear()
    tasks.sweep_files()
    assert len(bucket_calls.sent) == 1
    folder = orphan.rpartition("/")[0]
    found = list(orphans.find_orphans([folder], older_than=timedelta(0)))
    assert found == [orphan]
    assert len(bucket_calls.sent) == 2, "one listing says names and times"
    delete_files(*found)
    assert {one.name for one in list_files(folder)} >= {kept.file, kept.thumbnail}
    assert not default_storage.exists(orphan)
