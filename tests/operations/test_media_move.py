"""A studio's images go from a folder to a bucket and back, and nothing is lost on the way."""

import io
from pathlib import Path
from typing import Any, cast

import pytest
from django.conf import LazySettings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command

from tests.core.bucket_calls import BUCKET, BucketCalls
from tests.faults.hanging_proxy import HangingProxy
from webapp.core import buckets
from webapp.core.storages import PatientStorage
from webapp.generation.storage import DurableFileSystemStorage
from webapp.operations import media_move
from webapp.operations.management.commands import media
from webapp.operations.media_move import Mover

pytest_plugins = ["tests.core.buckets"]

FILES = {
    f"{kind}/{byte:02x}/{number}.png": f"{kind} {byte} {number}".encode() * 50
    for kind in ("images", "uploads")
    for byte in (0, 130, 255)
    for number in range(3)
}


FEW = sorted({name.rpartition("/")[0] for name in FILES} | {"images/01", "uploads/01"})


@pytest.fixture(autouse=True)
def few_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have files, and some without: each costs a request."""
    for module in (media_move, media):
        monkeypatch.setattr(module, "FOLDERS", FEW)
    monkeypatch.setattr(media, "TOLD_EVERY", 4)


@pytest.fixture
def folder(settings: LazySettings) -> DurableFileSystemStorage:
    """The media folder, with files of all kinds and the draft of one."""
    storage = DurableFileSystemStorage()
    for name, content in FILES.items():
        storage.save(name, ContentFile(content))
    (Path(settings.MEDIA_ROOT) / "images/00/.one.png.0a1b2c3d").write_bytes(b"half")
    return storage


@pytest.fixture
def bucket(
    bucket_calls: BucketCalls, settings: LazySettings, folder: DurableFileSystemStorage
) -> PatientStorage:
    """An empty bucket, which the studio uses."""
    storage = cast("PatientStorage", storages["default"])
    for name in inside(storage):
        storage.delete(name)
    settings.S3_BUCKET, settings.STORAGE = BUCKET, "bucket"
    settings.MEDIA_STORAGES = {
        "folder": settings.MEDIA_STORAGES["folder"],
        "bucket": settings.STORAGES["default"],
    }
    return storage


def inside(storage: PatientStorage) -> dict[str, bytes]:
    """All files of a storage, drafts left out."""
    found = {}
    for below in FEW:
        for one in storage.list_folder(below):
            if "/." not in one.name:
                with storage.open(one.name) as file:
                    found[one.name] = bytes(file.read())
    return found


def move(to: str, *words: str) -> str:
    """The last line that the command prints."""
    said = io.StringIO()
    call_command("media", "move", "--to", to, *words, stdout=said)
    return said.getvalue().splitlines()[-1]


def test_all_files_go_and_come_back_and_stay_where_they_were(
    folder: DurableFileSystemStorage, bucket: PatientStorage, settings: LazySettings
) -> None:
    assert "8 of 8 folders: 18 files copied" in move("bucket")
    assert inside(bucket) == inside(folder) == FILES
    for name in FILES:
        folder.delete(name)
    settings.STORAGE = "folder"
    assert "18 files copied" in move("folder")
    assert inside(folder) == inside(bucket) == FILES


def test_what_is_there_is_not_copied_again_nor_read_in_the_bucket(
    folder: DurableFileSystemStorage, bucket: PatientStorage, bucket_calls: BucketCalls
) -> None:
    move("bucket")
    bucket_calls.sent.clear()
    for source, target in ((folder, bucket), (bucket, folder)):
        list(Mover(source, target, delete=False).run())
    assert {call for call in bucket_calls.sent if call != f"GET /{BUCKET}"} == set()
    assert "0 files copied (0.0 MB), 18 were in the bucket already" in move("bucket")


def test_a_file_of_the_same_size_that_differs_is_copied_anew(
    folder: DurableFileSystemStorage, bucket: PatientStorage
) -> None:
    move("bucket")
    one, two = list(FILES)[:2]
    bucket.save(one, ContentFile(bytes(len(FILES[one]))))
    bucket.save(two, ContentFile(b"half of it"))
    assert "2 files copied" in move("bucket")
    assert inside(bucket) == FILES
    folder.delete(one)
    folder.save(one, ContentFile(bytes(len(FILES[one]))))
    assert "1 files copied" in move("folder")
    assert inside(folder) == FILES


def test_a_move_that_was_broken_off_goes_on(
    bucket: PatientStorage, hanging_bucket: HangingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_folder = Mover._move_folder

    def break_off(mover: Mover, below: str, pool: object) -> object:
        if below == "images/ff":
            hanging_bucket.refuse()
        return move_folder(mover, below, pool)  # type: ignore[arg-type]

    with monkeypatch.context() as broken:
        broken.setattr(Mover, "_move_folder", break_off)
        with pytest.raises(CommandError, match=r"A storage is away: .*Run this again to go on\.$"):
            move("bucket")
    hanging_bucket.resume()
    assert "12 files copied" in move("bucket")
    assert inside(bucket) == FILES


def test_nothing_is_deleted_where_the_studio_still_looks(
    folder: DurableFileSystemStorage, bucket: PatientStorage, settings: LazySettings
) -> None:
    settings.STORAGE = "folder"
    with pytest.raises(CommandError, match="still uses the folder: set DARKROOM_STORAGE=bucket"):
        move("bucket", "--delete")
    assert inside(folder) == FILES
    assert inside(bucket) == {}


def test_only_what_both_have_alike_is_deleted(
    folder: DurableFileSystemStorage,
    bucket: PatientStorage,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoilt = next(iter(FILES))
    put = bucket.__class__.save

    def spoil(storage: PatientStorage, name: str, content: Any) -> str:
        return put(storage, name, ContentFile(b"spoilt") if name == spoilt else content)

    with monkeypatch.context() as broken:
        broken.setattr(bucket.__class__, "save", spoil)
        with pytest.raises(CommandError, match="1 files read otherwise"):
            move("bucket", "--delete")
    assert inside(folder) == {spoilt: FILES[spoilt]}
    assert "1 deleted in the folder" in move("bucket", "--delete")
    assert inside(folder) == {}
    assert inside(bucket) == FILES
    assert (Path(settings.MEDIA_ROOT) / "images/00/.one.png.0a1b2c3d").exists(), "a draft stays"


def test_a_file_that_goes_meanwhile_is_no_fault(
    folder: DurableFileSystemStorage, bucket: PatientStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = next(iter(FILES))
    listed = DurableFileSystemStorage.list_folder

    def list_and_lose(storage: DurableFileSystemStorage, below: str) -> object:
        found = listed(storage, below)
        storage.delete(gone)
        return found

    monkeypatch.setattr(DurableFileSystemStorage, "list_folder", list_and_lose)
    assert "17 files copied" in (said := move("bucket"))
    assert "1 went meanwhile" in said


def test_a_slow_line_is_waited_for_longer_than_a_visitor_would(
    bucket: PatientStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "ANSWER_S", 1e-6)
    assert "18 files copied" in move("bucket")


def test_without_a_bucket_nothing_is_moved(settings: LazySettings) -> None:
    settings.S3_BUCKET = ""
    with pytest.raises(CommandError, match="set DARKROOM_S3_BUCKET"):
        call_command("media", "move", "--to", "bucket")
    with pytest.raises(CommandError, match="choose from"):
        call_command("media", "move", "--to", "attic")


def test_how_far_it_is_is_told_on_the_way(
    folder: DurableFileSystemStorage, bucket: PatientStorage
) -> None:
    said = io.StringIO()
    call_command("media", "move", "--to", "bucket", stdout=said)
    assert [line[:14] for line in said.getvalue().splitlines()] == [
        "4 of 8 folders",
        "8 of 8 folders",
    ]
