"""Backups in a bucket: made there, listed only if whole, restored from there."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import LazySettings

from tests.core.bucket_calls import BUCKET, KEYS
from tests.core.buckets import bucket_server, hanging_bucket
from tests.faults.hanging_proxy import HangingProxy
from tests.operations.backups import ask, draw, files_below, manage, new_database
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.operations.backups import BackupError
from webapp.operations.backups.bucket_place import BucketPlace, _Reader
from webapp.operations.backups.making import make_backup, prune
from webapp.operations.backups.manifest import DATABASE, MANIFEST, name_of
from webapp.operations.backups.places import place_at

__all__ = ["bucket_server", "hanging_bucket"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(
    bucket_server: tuple[str, int], settings: LazySettings, request: pytest.FixtureRequest
) -> Iterator[BucketPlace]:
    """A folder of the bucket for this test alone."""
    settings.S3_ENDPOINT = "http://{}:{}".format(*bucket_server)
    settings.S3_ACCESS_KEY, settings.S3_SECRET_KEY = KEYS["access_key"], KEYS["secret_key"]
    with closing(place_at(f"s3://{BUCKET}/{request.node.name}")) as found:
        assert isinstance(found, BucketPlace)
        yield found


def environment(settings: LazySettings) -> dict[str, str]:
    return {
        "DARKROOM_S3_ENDPOINT": settings.S3_ENDPOINT,
        "DARKROOM_S3_ACCESS_KEY": settings.S3_ACCESS_KEY,
        "DARKROOM_S3_SECRET_KEY": settings.S3_SECRET_KEY,
    }


def test_a_backup_in_a_bucket_is_restored_into_a_folder(
    alice: User,
    offered_model: DiffusionModel,
    place: BucketPlace,
    settings: LazySettings,
    tmp_path: Path,
) -> None:
    draw(alice, offered_model, count=2)
    made = make_backup(place=place)
    assert place.list_backups() == [made.name]
    with new_database() as database:
        address = f"{place.label}/{made.name}"
        words = ("restore", address)
        status, said = manage(database, tmp_path / "var", *words, **environment(settings))
        assert status == 0, said
        assert ask(database, "SELECT COUNT(*) FROM generation_image") == [(2,)]
    assert files_below(tmp_path / "var" / "media") == files_below(tmp_path / "media")


def test_images_of_a_bucket_are_restored_into_a_bucket(
    hanging_bucket: HangingProxy,
    alice: User,
    offered_model: DiffusionModel,
    place: BucketPlace,
    settings: LazySettings,
    tmp_path: Path,
) -> None:
    draw(alice, offered_model)
    made = make_backup(place=place)
    assert made.manifest.files == 3
    more = {**environment(settings), "DARKROOM_S3_BUCKET": BUCKET}
    with new_database() as database:
        address = f"{place.label}/{made.name}"
        status, said = manage(database, tmp_path / "var", "restore", address, **more)
    assert status == 0, said
    assert "1 images in 3 files" in said


def test_without_its_manifest_it_is_none_and_it_goes_after_a_day(place: BucketPlace) -> None:
    now = datetime.now(UTC)
    whole, left, new = (name_of(now - timedelta(days=days)) for days in (3, 2, 0))
    for name in (whole, left, new):
        place.begin(name)
        place.write(name, DATABASE, [b"half"])
    place.finish(whole, b"{}")
    assert place.list_backups() == [whole]
    assert prune(place=place, keep=1) == []
    assert sorted(place._list_names()) == sorted([whole, new])
    place.finish(new, b"{}")
    assert prune(place=place, keep=1) == [whole]
    assert place._list_names() == [new]


def test_what_is_stopped_half_way_is_taken_away(
    alice: User, place: BucketPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_name: str, _manifest: bytes) -> None:
        raise BackupError("the bucket is full")

    monkeypatch.setattr(place, "finish", refuse)
    with pytest.raises(BackupError, match="the bucket is full"):
        make_backup(place=place)
    assert place._list_names() == []


def test_a_bucket_that_is_not_there_is_told_in_one_sentence(
    place: BucketPlace, settings: LazySettings
) -> None:
    with closing(place_at("s3://another-one/folder")) as other:
        with pytest.raises(BackupError, match=r"^s3://another-one/folder: "):
            other.list_backups()
        with pytest.raises(BackupError, match=r"^s3://another-one/folder: "):
            other.begin(name_of(datetime.now(UTC)))
    with pytest.raises(BackupError, match=f"{MANIFEST}|NoSuchKey"):
        list(place.read("darkroom-20260101T000000Z", MANIFEST))


@pytest.mark.parametrize("size", [1, 3, 5, 100, -1])
def test_pieces_are_read_as_a_file_is(size: int) -> None:
    pieces: Iterable[bytes] = [b"abcd", b"", b"ef", b"g"]
    reader, read = _Reader(piece for piece in pieces if piece), []
    while piece := reader.read(size):
        read.append(piece)
    assert b"".join(read) == b"abcdefg"
    assert all(len(one) == size for one in read[:-1])
