"""Backups, drills and restores as they are asked for: each leaves a row that says how it went."""

import logging
import time
from contextlib import closing
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Max
from django.utils import timezone

from webapp.core.notices import tell_admins, withdraw
from webapp.operations.backups import BackupError
from webapp.operations.backups.making import Made, make_backup, prune
from webapp.operations.backups.manifest import Manifest
from webapp.operations.backups.places import place_at
from webapp.operations.models import BackupRun

logger = logging.getLogger(__name__)

NO_PLACE = "Say where to: --to FOLDER or s3://bucket/folder, or set DARKROOM_BACKUP_TO."
# Backups are nightly: without one of two days something is wrong. Drills are somebody's to run.
OLD, OLD_DRILL = timedelta(days=2), timedelta(days=35)
RUNS_KEPT = 1000
FAILED = "backup_failed"


def back_up(*, to: str, keep: int = 0) -> tuple[Made, list[str]]:
    """A new backup at the place, and the names of the older ones that were deleted as there are
    more than `keep` (0: none is). Raises BackupError; that is written down, too."""
    started = time.monotonic()
    try:
        with closing(place_at(to)) as place:
            made = make_backup(place=place)
            keep_run(BackupRun.Kind.BACKUP, made.took_s, at=(to, made.name), manifest=made.manifest)
            withdraw(code=FAILED)
            return made, prune(place=place, keep=keep) if keep else []
    except BackupError as error:
        note_failure(BackupRun.Kind.BACKUP, started, at=(to, ""), error=error)
        raise


def tell_failure(error: BackupError, *, sentence: str) -> None:
    """Tells administrators, until a backup is made."""
    tell_admins(code=FAILED, sentence=sentence, detail=str(error))


def note_failure(
    kind: BackupRun.Kind, started: float, *, at: tuple[str, str], error: BackupError
) -> None:
    """Writes the failure down if the database can; it may be what failed."""
    try:
        keep_run(kind, time.monotonic() - started, at=at, failure=str(error))
    except DatabaseError:
        logger.exception("this is not written down: %s", error)


def keep_run(
    kind: BackupRun.Kind,
    took_s: float,
    *,
    at: tuple[str, str],
    manifest: Manifest | None = None,
    failure: str = "",
) -> BackupRun:
    """The row; `at` is the place and the name of the backup."""
    place, name = at
    run = BackupRun.objects.create(
        kind=kind,
        name=name,
        place=place[: BackupRun._meta.get_field("place").max_length],
        size_bytes=manifest.size_bytes if manifest else 0,
        images=manifest.images if manifest else 0,
        took_s=took_s,
        failure=failure,
    )
    kept = BackupRun.objects.order_by("-pk").values("pk")[:RUNS_KEPT]
    BackupRun.objects.exclude(pk__in=kept).delete()
    return run


def newest(kind: BackupRun.Kind, *, good: bool = True) -> BackupRun | None:
    """The newest that went well, or, without `good`, however it went."""
    runs = BackupRun.objects.filter(kind=kind)
    return (runs.filter(failure="") if good else runs).first()


def last_good_times() -> dict[str, datetime]:
    """When the newest of each kind was that went well."""
    good = BackupRun.objects.filter(failure="")
    return dict(good.values_list("kind").annotate(Max("at")).order_by())


def is_backup_old() -> bool:
    """Whether backups are to be made every night, and the newest is older than two days; a studio
    without any had two days' time, too."""
    if not settings.BACKUP_TO:
        return False
    made = newest(BackupRun.Kind.BACKUP)
    since = made.at if made else _first_day()
    return timezone.now() - since > OLD


def is_drill_old(drilled: BackupRun | None) -> bool:
    """Whether there are backups every night, and none was tried out for five weeks."""
    if not settings.BACKUP_TO:
        return False
    since = drilled.at if drilled else _first_day()
    return timezone.now() - since > OLD_DRILL


def _first_day() -> datetime:
    """When this studio's database was made."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT MIN(applied) FROM django_migrations")
        at: datetime = cursor.fetchone()[0]
        return at
