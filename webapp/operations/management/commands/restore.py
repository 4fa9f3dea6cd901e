"""`manage.py restore BACKUP`: a backup into an empty studio."""

import time
from contextlib import closing
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.operations.audit import check_books
from webapp.operations.backups import BackupError
from webapp.operations.backups.places import place_at, split_address
from webapp.operations.backups.restoring import Restored, restore_backup
from webapp.operations.backups.runs import keep_run
from webapp.operations.backups.stopping import undone_when_stopped
from webapp.operations.models import BackupRun
from webapp.operations.repairs import refund_lost


class Command(BaseCommand):
    """Images, database and secret key; then the ledger is checked and everything counted."""

    help = "Loads a backup into an empty studio. Nothing is lost in one that is not empty."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("backup", help="a folder, or s3://bucket/folder: of one backup")
        parser.add_argument(
            "--leave-out-damaged",
            action="store_true",
            help="images whose files are damaged are left out, and refunded",
        )

        parser.add_argument(
            "--check-later",
            action="store_true",
            help="the ledger and the images are not checked here: run check_credits afterwards",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Says what is there now. Raises CommandError if it could not be restored, or if it is not
        what the manifest says."""
        started = time.monotonic()
        at = split_address(options["backup"])
        try:
            restored = self._restore(at, options["leave_out_damaged"])
        except BackupError as error:
            raise CommandError(str(error)) from error
        for sentence in refund_lost(files=restored.left_out):
            self.stdout.write(sentence)
        said = restored.manifest
        keep_run(BackupRun.Kind.RESTORE, time.monotonic() - started, at=at, manifest=said)
        self._compare(restored)
        if not options["check_later"]:
            self._check()

    def _check(self) -> None:
        check = check_books(files=True)
        for sentence in check.first_sentences:
            self.stdout.write(sentence)
        if check.violations:
            raise CommandError(f"The ledger check found {check.violations} faults.")
        self.stdout.write(f"The ledger is clean: {check.summary}.")

    def _restore(self, at: tuple[str, str], leave_out_damaged: bool) -> Restored:
        address, name = at
        with closing(place_at(address)) as place, undone_when_stopped():
            if not name:
                raise BackupError(_choose(address, place.list_backups()))
            return restore_backup(
                place=place,
                name=name,
                leave_out_damaged=leave_out_damaged,
                tell=self.stdout.write,
            )

    def _compare(self, restored: Restored) -> None:
        """Raises CommandError if a table has not as many rows as when the backup was made."""
        then, now = restored.manifest.counts, restored.counts
        for table in sorted(then.keys() | now.keys()):
            if then.get(table) != now.get(table):
                raise CommandError(f"{table} has {now.get(table)} rows, and had {then.get(table)}.")
        said = restored.manifest
        self.stdout.write(
            f"Restored as of {said.made_at}: {said.counts['accounts_user']} users, {said.images}"
            f" images in {restored.files} files, {said.counts['credits_transaction']} transactions;"
            f" all {len(then)} tables have as many rows as then."
        )
        if restored.left_out:
            self.stdout.write(f"{len(restored.left_out)} files are not in the backup.")


def _choose(address: str, names: list[str]) -> str:
    if not names:
        return f"{address} is no backup, and has none."
    return (
        f"{address} has several backups: say which, for example {address.rstrip('/')}/{names[-1]}."
    )
