"""`manage.py media move --to bucket|folder`: a studio's images go to another storage."""

from collections import Counter
from typing import Any, cast

from django.conf import settings
from django.core.files.storage import storages
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.core.neighbours import StorageAway
from webapp.core.storages import PatientStorage
from webapp.generation.orphans import FOLDERS
from webapp.operations.media_move import Became, Mover

TOLD_EVERY = 64  # folders
# Nobody waits, and eight images may share a slow line; the limits between bytes stay.
ANSWER_S = 300.0
MEGABYTE = 1_000_000
OTHER = {"bucket": "folder", "folder": "bucket"}


class Command(BaseCommand):
    """Moves images between the folder and the bucket of the settings."""

    help = "Copies all images from the folder to the bucket, or back."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True)
        move = commands.add_parser("move", help="copy what is missing, and check it")
        move.add_argument("--to", required=True, choices=sorted(OTHER), help="where they go")
        move.add_argument(
            "--delete",
            action="store_true",
            help="then delete at the other place what both have; only once the studio uses the new",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints what it copied. Raises CommandError with one sentence if the settings do not fit,
        a storage is away, or a file reads otherwise than it was written."""
        to, delete = options["to"], options["delete"]
        if not settings.S3_BUCKET:
            raise CommandError("No bucket is known: set DARKROOM_S3_BUCKET and its keys.")
        if delete and to != settings.STORAGE:
            raise CommandError(
                f"The studio still uses the {settings.STORAGE}: set DARKROOM_STORAGE={to} and"
                " restart all of it before anything is deleted there."
            )
        mover = Mover(_storage(OTHER[to]), _storage(to), delete=delete)
        try:
            became = self._move(mover, to)
        except StorageAway as error:
            raise CommandError(f"A storage is away: {error}. Run this again to go on.") from error
        if differ := became[Became.DIFFERS]:
            raise CommandError(f"{differ} files read otherwise than they were written.")

    def _move(self, mover: Mover, to: str) -> Counter[Became]:
        became: Counter[Became] = Counter()
        copied_bytes = deleted = 0
        for number, moved in enumerate(mover.run(), start=1):
            became.update(moved.became)
            copied_bytes += moved.copied_bytes
            deleted += moved.deleted
            if number % TOLD_EVERY == 0 or number == len(FOLDERS):
                self.stdout.write(
                    f"{number} of {len(FOLDERS)} folders: {became[Became.COPIED]:,} files copied"
                    f" ({copied_bytes / MEGABYTE:,.1f} MB), {became[Became.THERE]:,} were in the"
                    f" {to} already, {became[Became.GONE]:,} went meanwhile, {deleted:,} deleted in"
                    f" the {OTHER[to]}"
                )
        return became


def _storage(name: str) -> PatientStorage:
    asked = settings.MEDIA_STORAGES[name]
    if name == "bucket":
        asked = {**asked, "OPTIONS": {**asked["OPTIONS"], "answer_s": ANSWER_S}}
    return cast("PatientStorage", storages.create_storage(asked))
