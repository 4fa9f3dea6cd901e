"""Files that no row names go; nothing that somebody has, or may just be writing, does."""

import io
import os
import time
import uuid
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.management import call_command

from tests.people import claim, finish, picture_bytes, submit
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.generation import orphans, tasks
from webapp.generation.models import Image
from webapp.generation.request.uploads import create_upload
from webapp.generation.storage import file_names, write_image_files

pytestmark = pytest.mark.usefixtures("valkey_is_empty")


def media() -> set[str]:
    root = Path(settings.MEDIA_ROOT)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def age(hours: float = 2.0) -> None:
    """All files were written so long ago."""
    then = time.time() - hours * 3600
    for name in media():
        os.utime(Path(settings.MEDIA_ROOT) / name, (then, then))


def sweep_everywhere() -> None:
    for _turn in range(len(orphans.FOLDERS) // orphans.FOLDERS_AT_ONCE):
        tasks.sweep_orphans()


def write_attempt(image_id: uuid.UUID, token: uuid.UUID) -> None:
    write_image_files(image_id=image_id, lease_token=token, png=b"p", thumbnail_webp=b"t")


def leave_draft(image_id: uuid.UUID, token: uuid.UUID) -> str:
    """What a worker leaves that is killed while it writes."""
    name, *_others = file_names(image_id=image_id, lease_token=token)
    folder, _, file = name.rpartition("/")
    draft = Path(settings.MEDIA_ROOT) / folder / f".{file}.0a1b2c3d"
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_bytes(b"half")
    return f"{folder}/{draft.name}"


def test_files_of_lost_attempts_deleted_images_and_nobody_are_swept(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    claimed = claim(offered_model)
    assert finish(claimed)
    kept = media()
    write_attempt(claimed.image_id, uuid.uuid4())  # another attempt at it
    write_attempt(uuid.uuid4(), uuid.uuid4())
    leave_draft(claimed.image_id, uuid.uuid4())
    age()
    said = io.StringIO()
    call_command("check_credits", stdout=said)
    assert "5 files that no row names" in said.getvalue()
    sweep_everywhere()
    assert media() == kept


def test_what_a_running_attempt_or_an_upload_has_stays_however_old_it_is(
    alice: User, offered_model: DiffusionModel
) -> None:
    submit(alice, offered_model)
    claimed = claim(offered_model)
    write_attempt(claimed.image_id, claimed.lease_token)
    leave_draft(claimed.image_id, claimed.lease_token)
    create_upload(owner=alice, file=ContentFile(picture_bytes()), size_bytes=100, kind="start")
    age(hours=1000)
    before = media()
    sweep_everywhere()
    assert media() == before
    assert len(before) == 5
    Image.objects.all().delete()
    sweep_everywhere()
    assert len(media()) == 2


def test_young_files_and_strangers_files_stay(db: None) -> None:
    write_attempt(uuid.uuid4(), uuid.uuid4())
    sweep_everywhere()
    assert len(media()) == 2
    for name in ("images/00/notes.png", "backup.tar", "images/00/sub/x.png"):
        path = Path(settings.MEDIA_ROOT) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    age()
    sweep_everywhere()
    assert media() == {"images/00/notes.png", "backup.tar", "images/00/sub/x.png"}
