"""`manage.py drill`: whether a backup can be restored, tried beside the studio."""

import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.operations.audit import find_violations
from webapp.operations.backups import BackupError
from webapp.operations.backups.drill import drill, newest_backup, rehearse
from webapp.operations.backups.runs import keep_run, note_failure
from webapp.operations.backups.stopping import undone_when_stopped
from webapp.operations.models import BackupRun

DRILL = BackupRun.Kind.DRILL
NO_BACKUP = "Say which backup: a folder or s3://bucket/folder, or set DARKROOM_BACKUP_TO."


class Command(BaseCommand):
    """Restores a backup into a temporary studio, draws an image, checks the ledger, counts the
    rows, and throws it away. How it went stands on the admin site's first page."""

    help = "Tries a backup out in a temporary studio, which draws one image."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "backup",
            nargs="?",
            default=settings.BACKUP_TO,
            help="one backup, or where they lie: then the newest",
        )
        parser.add_argument("--below", type=Path, help="where the temporary folder is made")
        parser.add_argument(
            "--inside", action="store_true", help="the part in the temporary studio"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Says how it went; raises CommandError if the backup can't be relied on."""
        try:
            with undone_when_stopped():
                if options["inside"]:
                    self._draw_and_check()
                else:
                    self._drill(options["backup"], options["below"])
        except BackupError as error:
            raise CommandError(str(error)) from error

    def _drill(self, address: str, below: Path | None) -> None:
        started = time.monotonic()
        if not address:
            raise BackupError(NO_BACKUP)
        at = (address, "")
        try:
            at = newest_backup(address)
            manifest, took_s = drill(at=at, below=below)
        except BackupError as error:
            note_failure(DRILL, started, at=at, error=error)
            raise
        keep_run(DRILL, took_s, at=at, manifest=manifest)
        self.stdout.write(
            f"{at[1]} was restored, drew an image and has a clean ledger: {manifest.images} images,"
            f" {len(manifest.counts)} tables with as many rows as then, in {took_s:.1f} s."
        )

    def _draw_and_check(self) -> None:
        took_s = rehearse()
        violations = list(find_violations())
        for violation in violations:
            self.stdout.write(violation.sentence)
        if violations:
            raise CommandError(f"The ledger check found {len(violations)} faults.")
        self.stdout.write(f"An image was drawn in {took_s:.1f} s, and the ledger is clean.")
