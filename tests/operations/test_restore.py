"""Restoring a backup: the same studio again, in an empty place and nowhere else."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.conf import LazySettings
from django.utils import timezone

from tests.operations.backups import ask, draw, files_below, manage, new_database
from tests.people import claim, make_user, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.credits.models import Account
from webapp.generation.models import Image
from webapp.operations.backups.folder_place import FolderPlace
from webapp.operations.backups.making import make_backup

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey_is_empty")]

DRAWN_ON = """
from datetime import timedelta
from django.utils import timezone
from tests.people import claim, finish
from webapp.catalog.models import DiffusionModel
from webapp.generation.queueing.sweeping import return_ended_leases
return_ended_leases()
model = DiffusionModel.objects.get(slug="tiny")
for _image in range(2):
    assert finish(claim(model, begin=True))
"""


@pytest.fixture
def database() -> Iterator[str]:
    with new_database() as url:
        yield url


@pytest.fixture
def backup(alice: User, bob: User, offered_model: DiffusionModel, tmp_path: Path) -> Path:
    """Of a studio with two users, three images, one that waits and one that is drawn."""
    draw(alice, offered_model, count=2)
    draw(bob, offered_model)
    submit(alice, offered_model, count=2)
    claimed = claim(offered_model, begin=True)
    ended = timezone.now() - timedelta(seconds=1)
    Image.objects.filter(pk=claimed.image_id).update(lease_until=ended)
    made = make_backup(place=FolderPlace(tmp_path / "backups"))
    return tmp_path / "backups" / made.name


def test_it_is_the_same_studio_again(
    backup: Path, database: str, tmp_path: Path, settings: LazySettings
) -> None:
    var = tmp_path / "var"
    status, said = manage(database, var, "restore", str(backup))
    assert status == 0, said
    assert "2 users, 3 images in 9 files" in said
    assert "as many rows as then" in said
    assert "The ledger is clean: 2 accounts" in said
    assert files_below(var / "media") == files_below(backup / "media")
    key = var / "secrets" / "secret_key"
    assert key.read_text() == settings.SECRET_KEY
    assert key.stat().st_mode & 0o777 == 0o600
    assert ask(database, "SELECT email FROM accounts_user ORDER BY 1") == [
        ("alice@example.org",),
        ("bob@example.org",),
    ]
    kinds = ask(database, "SELECT kind, failure FROM operations_backuprun ORDER BY id")
    assert kinds[-1] == ("restore", "")
    assert manage(database, var, "migrate", "--check")[0] == 0


def test_what_prepare_has_made_is_not_in_the_way(
    backup: Path, database: str, tmp_path: Path
) -> None:
    assert manage(database, tmp_path / "var", "prepare")[0] == 0
    made = ask(database, "SELECT COUNT(*) FROM catalog_diffusionmodel")
    status, said = manage(database, tmp_path / "var", "restore", str(backup))
    assert status == 0, said
    assert ask(database, "SELECT slug FROM catalog_diffusionmodel") == [("tiny",)] != made
    assert manage(database, tmp_path / "var", "prepare")[0] == 0
    owner = ask(
        database, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'public'"
    )
    assert owner == [("pg_database_owner",)]


def test_credits_that_were_held_are_charged_when_the_images_are_drawn_on(
    backup: Path, database: str, tmp_path: Path
) -> None:
    status, said = manage(database, tmp_path / "var", "restore", str(backup))
    assert status == 0, said
    held = "SELECT SUM(held_ucr) FROM credits_account WHERE kind = 'user'"
    assert ask(database, held) == [(400_000,)]
    status, said = manage(database, tmp_path / "var", "shell", "-c", DRAWN_ON)
    assert status == 0, said
    assert ask(database, held) == [(0,)]
    assert ask(database, "SELECT state, COUNT(*) FROM credits_hold GROUP BY 1") == [("captured", 5)]
    status, said = manage(database, tmp_path / "var", "check_credits")
    assert status == 0, said


@pytest.mark.parametrize("lived_in", ["restored", "signed up"])
def test_a_studio_in_which_somebody_lives_is_left_alone(
    backup: Path, database: str, tmp_path: Path, lived_in: str
) -> None:
    var = tmp_path / "var"
    if lived_in == "restored":
        assert manage(database, var, "restore", str(backup))[0] == 0
    else:
        more = {
            "DARKROOM_ADMIN_EMAIL": "ada@example.org",
            "DARKROOM_ADMIN_PASSWORD": "a long quiet word",
        }
        assert manage(database, var, "prepare", **more)[0] == 0
    users = ask(database, "SELECT email FROM accounts_user ORDER BY 1")
    kept = files_below(var)
    status, said = manage(database, var, "restore", str(backup))
    assert status == 1
    assert said.strip().endswith(
        "This studio has users already: restore into an empty one (another DARKROOM_VAR, or another"
        " database)."
    )
    assert ask(database, "SELECT email FROM accounts_user ORDER BY 1") == users
    assert files_below(var) == kept


def test_a_database_of_another_program_is_left_alone(
    backup: Path, database: str, tmp_path: Path
) -> None:
    with psycopg.connect(database) as other:
        other.execute("CREATE TABLE recipes (soup text)")
    status, said = manage(database, tmp_path / "var", "restore", str(backup))
    assert status == 1
    assert "tables that this version does not know (recipes)" in said
    assert ask(database, "SELECT COUNT(*) FROM recipes") == [(0,)]


def test_nothing_is_restored_under_the_feet_of_a_web_process(
    backup: Path, database: str, tmp_path: Path
) -> None:
    with psycopg.connect(database):
        status, said = manage(database, tmp_path / "var", "restore", str(backup))
    assert status == 1
    assert "1 others are connected to the database: stop web, beat and workers first." in said


def test_another_key_than_the_backups_is_refused_before_anything_is_done(
    backup: Path, database: str, tmp_path: Path, settings: LazySettings
) -> None:
    status, said = manage(
        database, tmp_path / "var", "restore", str(backup), DARKROOM_SECRET_KEY="another" * 9
    )
    assert status == 1
    assert "DARKROOM_SECRET_KEY is another one than the backup's" in said
    assert ask(database, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []
    right = {"DARKROOM_SECRET_KEY": settings.SECRET_KEY}
    assert manage(database, tmp_path / "var", "restore", str(backup), **right)[0] == 0
    assert not (tmp_path / "var" / "secrets" / "secret_key").exists()


@pytest.mark.parametrize("file", ["database.dump", "files.jsonl", "secrets/secret_key"])
def test_a_damaged_backup_is_refused_before_anything_is_done(
    backup: Path, database: str, tmp_path: Path, file: str
) -> None:
    body = bytearray((backup / file).read_bytes())
    body[len(body) // 2] ^= 1
    (backup / file).write_bytes(body)
    status, said = manage(database, tmp_path / "var", "restore", str(backup))
    assert status == 1
    assert f"{file} of {backup.name} is damaged" in said
    assert ask(database, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []
    assert not (tmp_path / "var" / "media").exists()


def test_a_damaged_image_ends_it_or_is_left_out_and_refunded(
    backup: Path, database: str, tmp_path: Path
) -> None:
    image = next(iter(sorted(backup.glob("media/images/*/*.png"))))
    image.write_bytes(b"scratched")
    status, said = manage(database, tmp_path / "var", "restore", str(backup))
    assert status == 1
    assert "is damaged: its hash differs" in said
    assert ask(database, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []
    words = ("restore", str(backup), "--leave-out-damaged")
    status, said = manage(database, tmp_path / "var", *words)
    assert status == 0, said
    assert "its file is gone, it is failed now; 0.20 were refunded" in said
    assert "1 files are not in the backup" in said
    lost = "SELECT COUNT(*) FROM generation_image WHERE failure_code = 'file_lost'"
    assert ask(database, lost) == [(1,)]


def test_a_later_versions_backup_is_refused(backup: Path, database: str, tmp_path: Path) -> None:
    said = json.loads((backup / "manifest.json").read_bytes())
    said["migrations"]["credits"].append("9999_from_tomorrow")
    (backup / "manifest.json").write_text(json.dumps(said))
    status, text = manage(database, tmp_path / "var", "restore", str(backup))
    assert status == 1
    assert "made by a later version (0.1.0, with credits.9999_from_tomorrow)" in text


def test_a_later_servers_backup_is_refused(backup: Path, database: str, tmp_path: Path) -> None:
    said = json.loads((backup / "manifest.json").read_bytes())
    (backup / "manifest.json").write_text(json.dumps({**said, "postgres": 19}))
    status, text = manage(database, tmp_path / "var", "restore", str(backup))
    assert status == 1
    assert "The backup is of PostgreSQL 19, and the server is 18" in text


def test_what_is_no_backup_is_told_with_what_is_there(
    backup: Path, database: str, tmp_path: Path
) -> None:
    for address, sentence in (
        (backup.parent, f"has several backups: say which, for example {backup}."),
        (tmp_path / "nothing", "is no backup, and has none."),
        (backup.with_name("darkroom-20260101T000000Z"), "it is not there."),
    ):
        status, said = manage(database, tmp_path / "var", "restore", str(address))
        assert status == 1
        assert sentence in said, said


def test_files_that_the_studio_still_has_are_not_copied_again(
    backup: Path, database: str, tmp_path: Path
) -> None:
    media = tmp_path / "var" / "media"
    names = sorted(files_below(backup / "media"))
    whole, torn = media / names[0], media / names[1]
    for file in (whole, torn):
        file.parent.mkdir(parents=True, exist_ok=True)
    whole.write_bytes((backup / "media" / names[0]).read_bytes())
    torn.write_bytes(b"torn")
    before = whole.stat().st_mtime_ns
    status, said = manage(database, tmp_path / "var", "restore", str(backup))
    assert status == 0, said
    assert whole.stat().st_mtime_ns == before
    assert files_below(media) == files_below(backup / "media")


def test_an_account_has_what_it_had(backup: Path, database: str, tmp_path: Path) -> None:
    make_user("later")
    assert manage(database, tmp_path / "var", "restore", str(backup))[0] == 0
    then = Account.objects.filter(user__email__in=["alice@example.org", "bob@example.org"])
    balances = sorted(then.values_list("posted_ucr", "held_ucr"))
    query = "SELECT posted_ucr, held_ucr FROM credits_account WHERE kind = 'user' ORDER BY 1"
    assert ask(database, query) == balances
