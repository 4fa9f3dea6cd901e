"""The restore drill, which starts a studio of its own and draws."""

import os
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from tests.embedded.harness import processes_of
from tests.operations.backups import draw
from tests.people import submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.operations.backups.drill import _environment
from webapp.operations.backups.folder_place import FolderPlace
from webapp.operations.backups.making import make_backup
from webapp.operations.models import BackupRun

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def backup(alice: User, offered_model: DiffusionModel, tmp_path: Path) -> Path:
    draw(alice, offered_model, count=2)
    submit(alice, offered_model)
    made = make_backup(place=FolderPlace(tmp_path / "backups"))
    return tmp_path / "backups" / made.name


@pytest.mark.slow("a studio is started, loads torch and draws")
def test_the_newest_backup_is_restored_draws_an_image_and_is_thrown_away(
    backup: Path, tmp_path: Path, settings: LazySettings, capsys: pytest.CaptureFixture[str]
) -> None:
    below = tmp_path / "below"
    below.mkdir()
    call_command("drill", str(backup.parent), below=below)
    assert f"{backup.name} was restored, drew an image" in capsys.readouterr().out
    run = BackupRun.objects.get(kind="drill")
    assert (run.failure, run.name, run.images) == ("", backup.name, 2)
    assert run.took_s > 0
    assert list(below.iterdir()) == []
    assert processes_of(below) == []


def test_a_drill_that_fails_says_why_and_is_written_down(backup: Path, tmp_path: Path) -> None:
    image = next(iter(backup.glob("media/images/*/*.png")))
    image.write_bytes(b"scratched")
    with pytest.raises(CommandError, match="is damaged: its hash differs"):
        call_command("drill", str(backup), below=tmp_path)
    run = BackupRun.objects.get(kind="drill")
    assert "is damaged: its hash differs" in run.failure
    assert list(tmp_path.glob("darkroom-drill-*")) == []


def test_a_drill_without_a_backup_says_so(db: None, tmp_path: Path) -> None:
    for words, sentence in (
        ([str(tmp_path)], f"{tmp_path} has no backup."),
        ([""], "Say which backup"),
        ([str(tmp_path / "darkroom-20260101T000000Z")], "it is not there"),
    ):
        with pytest.raises(CommandError, match=sentence):
            call_command("drill", *words)


def test_the_temporary_studio_can_reach_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in (
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        "REDIS_URL",
        "DARKROOM_S3_BUCKET",
        "DARKROOM_SMTP_HOST",
        "DARKROOM_ALERT_WEBHOOK",
        "DARKROOM_BACKUP_TO",
        "DARKROOM_SECRET_KEY",
        "DARKROOM_MEDIA",
    ):
        monkeypatch.setenv(name, "the studio's own")
    monkeypatch.setenv("DARKROOM_S3_ENDPOINT", "http://s3.example.org")
    made = _environment(tmp_path)
    assert "the studio's own" not in made.values()
    assert made["DARKROOM_S3_ENDPOINT"] == "http://s3.example.org"
    assert made["PATH"] == os.environ["PATH"]
    assert made["DARKROOM_VAR"] == str(tmp_path)
