"""Making backups: what is in one, that it is whole or not there, and what is said if it can't."""

import json
import shutil
from collections import namedtuple
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection

from tests.operations.backups import draw, files_below
from tests.people import submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.models import Notice
from webapp.core.neighbours import StorageAway
from webapp.core.valkey import valkey
from webapp.generation import storage
from webapp.generation.models import Image
from webapp.operations import tasks
from webapp.operations.backups import BackupError, making
from webapp.operations.backups.folder_place import FolderPlace
from webapp.operations.backups.making import make_backup, prune
from webapp.operations.backups.manifest import DATABASE, Manifest, MediaFile, name_of
from webapp.operations.backups.places import place_at, split_address
from webapp.operations.models import BackupRun

pytestmark = pytest.mark.django_db(transaction=True)

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(tmp_path / "backups")


def media_of(backup: Path) -> set[str]:
    return set(files_below(backup / "media"))


def names_of_rows() -> set[str]:
    rows = Image.objects.exclude(file="").values_list("file", "thumbnail", "strip")
    return {name for row in rows for name in row}


def test_a_backup_has_the_database_the_images_the_key_and_a_manifest(
    alice: User, offered_model: DiffusionModel, place: FolderPlace, settings: LazySettings
) -> None:
    draw(alice, offered_model, count=2)
    made = make_backup(place=place)
    folder = Path(place.label) / made.name
    assert place.list_backups() == [made.name]
    assert media_of(folder) == names_of_rows()
    said = json.loads((folder / "manifest.json").read_bytes())
    assert said["counts"]["generation_image"] == said["images"] == 2
    assert said["counts"]["accounts_user"] == 1
    assert (said["files"], said["gone"]) == (6, 0)
    assert said["postgres"] == said["archive"] == 18
    assert "0004_backup_run" in said["migrations"]["operations"]
    assert (said["posted_ucr"], said["held_ucr"]) == (199_600_000, 0)
    assert set(said["parts"]) == {"database.dump", "files.jsonl", "secrets/secret_key"}
    assert (folder / "secrets/secret_key").read_text() == settings.SECRET_KEY
    assert (folder / "database.dump").read_bytes().startswith(b"PGDMP")
    assert Manifest.from_json((folder / "manifest.json").read_bytes()) == made.manifest


def test_nobody_else_of_this_machine_can_read_it(
    alice: User, offered_model: DiffusionModel, place: FolderPlace
) -> None:
    draw(alice, offered_model)
    make_backup(place=place)
    for path in (Path(place.label), *Path(place.label).rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


class Meanwhile(FolderPlace):
    """A place at which something happens after the database was written."""

    def __init__(self, root: Path, act: Any) -> None:
        super().__init__(root)
        self._act = act

    def write(self, name: str, file: str, pieces: Iterable[bytes]) -> None:
        super().write(name, file, pieces)
        if file == DATABASE:
            self._act()


def test_what_is_drawn_meanwhile_is_in_neither_and_what_is_deleted_is_told(
    alice: User, offered_model: DiffusionModel, tmp_path: Path
) -> None:
    draw(alice, offered_model, count=2)
    before = names_of_rows()
    gone = Image.objects.order_by("pk").values_list("file", flat=True)[0]

    def act() -> None:
        draw(alice, offered_model)
        storage.delete_files(gone)

    made = make_backup(place=Meanwhile(tmp_path / "backups", act))
    assert made.manifest.images == 2
    assert made.manifest.counts["generation_image"] == 2
    assert media_of(tmp_path / "backups" / made.name) == before - {gone}
    lines = (tmp_path / "backups" / made.name / "files.jsonl").read_bytes().splitlines()
    files = [MediaFile.from_line(line) for line in lines]
    assert [one.name for one in files if one.part is None] == [gone]
    assert [one.name for one in files] == sorted(before)
    assert made.manifest.gone == 1


def test_one_that_is_stopped_half_way_leaves_nothing(
    alice: User,
    offered_model: DiffusionModel,
    place: FolderPlace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw(alice, offered_model)

    def refuse(_name: str) -> None:
        raise StorageAway("the disk is gone")

    monkeypatch.setattr(making, "open_file", refuse)
    with pytest.raises(BackupError, match="The images can't be read: the disk is gone"):
        make_backup(place=place)
    assert files_below(Path(place.label)) == {}
    assert place.list_backups() == []


def test_what_a_killed_one_left_is_none_and_goes_after_a_day(place: FolderPlace) -> None:
    old = name_of(datetime.now(UTC) - timedelta(days=1, seconds=1))
    new = name_of(datetime.now(UTC))
    for name in (old, new):
        place.begin(name)
        place.write(name, DATABASE, [b"half"])
    assert place.list_backups() == []
    prune(place=place, keep=1)
    assert [one.name for one in Path(place.label).iterdir()] == [f".{new}.draft"]


def test_the_newest_are_kept_and_nothing_else_is_touched(place: FolderPlace) -> None:
    names = [name_of(datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2, 3)]
    for name in names:
        place.begin(name)
        place.finish(name, b"{}")
    for other in ("holidays", "darkroom-old"):
        (Path(place.label) / other).mkdir()
    assert prune(place=place, keep=2) == names[:1]
    assert place.list_backups() == names[1:]
    assert {one.name for one in Path(place.label).iterdir()} == {
        *names[1:],
        "holidays",
        "darkroom-old",
    }


def test_a_disk_without_room_is_told_before_anything_is_written(
    alice: User, place: FolderPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(10**9, 0, 10**6))
    with pytest.raises(BackupError, match=r"has 0\.00 GB free, and the backup may need 0\.0\d GB"):
        make_backup(place=place)
    assert files_below(Path(place.label)) == {}


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("/proc/backups", "/proc/backups: "),
        ("/dev/null/backups", "it is a file, or lies below one"),
        ("ftp://host/folder", "is no place for backups: say a folder, or s3://bucket/folder"),
        ("s3:///folder", "names no bucket"),
        ("", "Say where to: --to FOLDER or s3://bucket/folder, or set DARKROOM_BACKUP_TO."),
    ],
)
def test_a_place_that_will_not_do_is_told_in_one_sentence(
    alice: User, address: str, sentence: str
) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("backup", to=address)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_name_that_is_taken_is_left_alone(place: FolderPlace) -> None:
    name = name_of(datetime(2026, 1, 1, tzinfo=UTC))
    place.begin(name)
    place.finish(name, b"{}")
    with pytest.raises(BackupError, match="is there already"):
        place.begin(name)
    assert files_below(Path(place.label)) == {f"{name}/manifest.json": b"{}"}


def test_behind_pgbouncer_the_way_to_the_server_itself_is_asked_for(
    alice: User, place: FolderPlace, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    with pytest.raises(BackupError, match="set DARKROOM_DIRECT_DATABASE_URL"):
        make_backup(place=place)
    known = connection.settings_dict
    settings.DIRECT_DATABASE_URL = f"postgresql://{known['USER']}@/{known['NAME']}?host=" + str(
        known["HOST"] or known["OPTIONS"]["host"]
    ).replace("/", "%2F")
    assert make_backup(place=place).manifest.counts["accounts_user"] == 1


def test_a_server_that_is_away_is_told_in_one_sentence(
    db: None, place: FolderPlace, settings: LazySettings
) -> None:
    settings.DIRECT_DATABASE_URL = "postgresql://nobody@127.0.0.1:1/darkroom"
    with pytest.raises(BackupError, match="PostgreSQL: "):
        make_backup(place=place)
    assert files_below(Path(place.label)) == {}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("/mnt/darkroom-20260101T000000Z", ("/mnt", "darkroom-20260101T000000Z")),
        ("/mnt/darkroom-20260101T000000Z/", ("/mnt", "darkroom-20260101T000000Z")),
        ("darkroom-20260101T000000Z", (".", "darkroom-20260101T000000Z")),
        ("s3://b/f/darkroom-20260101T000000Z", ("s3://b/f", "darkroom-20260101T000000Z")),
        ("/mnt", ("/mnt", "")),
    ],
)
def test_an_address_names_a_backup_or_a_place(address: str, found: tuple[str, str]) -> None:
    assert split_address(address) == found


def test_every_night_one_is_made_and_old_ones_go(
    alice: User, tmp_path: Path, settings: LazySettings, valkey_is_empty: None
) -> None:
    settings.BACKUP_TO, settings.BACKUP_KEEP = str(tmp_path / "backups"), 1
    place = FolderPlace(tmp_path / "backups")
    older = name_of(datetime(2026, 1, 1, tzinfo=UTC))
    place.begin(older)
    place.finish(older, b"{}")
    tasks.back_up_nightly()
    run = BackupRun.objects.get()
    assert (run.kind, run.failure, run.place) == ("backup", "", str(tmp_path / "backups"))
    assert place.list_backups() == [run.name]


def test_no_backup_is_made_if_it_is_not_said_where_or_another_makes_one(
    alice: User, tmp_path: Path, settings: LazySettings, valkey_is_empty: None
) -> None:
    tasks.back_up_nightly()
    settings.BACKUP_TO = str(tmp_path / "backups")
    valkey().set(tasks.BACKUP_KEY, "1")
    tasks.back_up_nightly()
    assert BackupRun.objects.count() == 0


def test_one_that_fails_is_told_to_administrators_until_one_is_made(
    alice: User, tmp_path: Path, settings: LazySettings, valkey_is_empty: None
) -> None:
    (tmp_path / "file").touch()
    settings.BACKUP_TO = str(tmp_path / "file")
    tasks.back_up_nightly()
    notice = Notice.objects.get()
    assert (notice.code, notice.sentence) == ("backup_failed", "The nightly backup failed.")
    assert str(tmp_path / "file") in notice.detail
    assert BackupRun.objects.get().failure == notice.detail
    settings.BACKUP_TO = str(tmp_path / "backups")
    tasks.back_up_nightly()
    assert Notice.objects.count() == 0


def test_the_command_says_where_it_is_and_what_is_in_it(
    alice: User, offered_model: DiffusionModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(alice, offered_model)
    submit(alice, offered_model)
    call_command("backup", to=str(tmp_path / "backups"))
    run = BackupRun.objects.get()
    assert f"{tmp_path / 'backups'}/{run.name}: 1 images," in capsys.readouterr().out
    assert run.images == 1
    kept = files_below(tmp_path / "backups")
    assert run.size_bytes == sum(len(body) for name, body in kept.items() if "manifest" not in name)


def test_a_place_is_made_with_its_folders(tmp_path: Path) -> None:
    assert place_at(str(tmp_path / "a" / "b")).list_backups() == []
    assert not (tmp_path / "a").exists()
