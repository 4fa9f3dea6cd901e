"""A restore drill: the newest backup is restored beside the studio, into a folder that goes again.

The temporary studio has servers of its own and none of the settings by which it could reach anybody
(mail, webhook, storage, backups). It draws one image with the starter model, on the processor,
whatever else the restored queue wants.
"""

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from django.conf import settings

from webapp.accounts.models import User
from webapp.catalog.services import STARTER_SLUG, enable_model, offer_starter_model
from webapp.catalog.vocabulary_services import refresh_vocabularies
from webapp.core.connections import let_go_of_database
from webapp.core.errors import DarkroomError
from webapp.credits import ledger
from webapp.generation.models import Image
from webapp.generation.queueing.services import submit_generation
from webapp.generation.request.spec import read_spec
from webapp.generation.studio.knowledge import ideas_of
from webapp.operations.backups import BackupError
from webapp.operations.backups.manifest import Manifest
from webapp.operations.backups.places import place_at, split_address
from webapp.operations.backups.restoring import read_manifest

RESTORE_S, DRAW_S, IMAGE_S = 4 * 3600.0, 1800.0, 900.0
POLL_S = 0.2
COMPLAINT_LINES = 12
# Of the studio's settings, those without which its backups can't be read, or its servers found.
KEPT = {
    "DARKROOM_POSTGRES_BIN",
    "DARKROOM_VALKEY_BIN",
    "DARKROOM_S3_ENDPOINT",
    "DARKROOM_S3_REGION",
    "DARKROOM_S3_ACCESS_KEY",
    "DARKROOM_S3_SECRET_KEY",
}
STUDIO = ("DARKROOM_", "DATABASE_URL", "REDIS_URL")
PLENTY_CREDITS = 1000


def newest_backup(address: str) -> tuple[str, str]:
    """The place and the name that the address means: one backup, or the newest of a place. Raises
    BackupError if there is none."""
    place_address, name = split_address(address)
    with closing(place_at(place_address)) as place:
        names = [name] if name else place.list_backups()
        if not names:
            raise BackupError(f"{place.label} has no backup.")
        return place.label, names[-1]


def drill(*, at: tuple[str, str], below: Path | None = None) -> tuple[Manifest, float]:
    """Tries the backup out in a folder below `below` (the system's temporary one). Returns its
    manifest and the seconds that it took. Raises BackupError for whatever did not work."""
    address, name = at
    with closing(place_at(address)) as place:
        manifest = read_manifest(place=place, name=name)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="darkroom-drill-", dir=below) as folder:
        environment = _environment(Path(folder) / "var")
        backup = f"{address.rstrip('/')}/{name}"
        # The ledger and all files are checked once, after the image was drawn.
        words = ["run", "manage.py", "restore", "--check-later", backup]
        _run(words, environment, RESTORE_S)
        _run(["run", "--worker", "manage.py", "drill", "--inside"], environment, DRAW_S)
    return manifest, time.monotonic() - started


def rehearse() -> float:
    """Inside of the temporary studio: draws one image; returns the seconds that it took. Raises
    BackupError if it was not stored in time."""
    try:
        return _draw()
    except DarkroomError as error:
        raise BackupError(f"The drill's image was refused: {error.sentence}") from error


def _draw() -> float:
    offer_starter_model(path=Path(settings.BASE_DIR) / "worker" / "starter" / "pipeline")
    refresh_vocabularies()
    model = enable_model(slug=STARTER_SLUG)
    user = User.objects.create_user(f"drill-{uuid.uuid4().hex[:8]}@example.org")
    ledger.top_up(
        user=user,
        amount_ucr=PLENTY_CREDITS * settings.UCR_PER_CREDIT,
        actor=user,
        reason="restore drill",
        key=uuid.uuid4().hex,
    )
    spec = read_spec({"prompt": ideas_of(model)[0], "count": "1"}, model=model)
    started = time.monotonic()
    asked = submit_generation(owner=user, model=model, spec=spec, idempotency_key=uuid.uuid4().hex)
    image = _wait_for(asked.images.get(), until=started + IMAGE_S)
    if image.state != Image.State.STORED:
        raise BackupError(f"The drill's image is {image.state}: {image.failure or 'not in time'}")
    return time.monotonic() - started


def _wait_for(image: Image, *, until: float) -> Image:
    while image.state in Image.LIVE and time.monotonic() < until:
        let_go_of_database()
        time.sleep(POLL_S)
        image.refresh_from_db()
    return image


def _environment(var: Path) -> Mapping[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.removesuffix("_FILE") in KEPT or not name.startswith(STUDIO)
    }
    return {
        **kept,
        "DARKROOM_VAR": str(var),
        "DARKROOM_DEVICE": "cpu",
        "DARKROOM_SERVE": STARTER_SLUG,
        "PYTHONUNBUFFERED": "1",
    }


def _run(words: Sequence[str], environment: Mapping[str, str], limit_s: float) -> None:
    command = [sys.executable, "-m", "webapp.embedded", *words]
    try:
        done = subprocess.run(  # noqa: S603
            command,
            cwd=settings.BASE_DIR,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired as error:
        raise BackupError(f"A part of the drill did not end within {limit_s:g} s.") from error
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-COMPLAINT_LINES:])
        raise BackupError(f"The drill failed:\n{last}")
