"""`manage.py backup`: the studio in one folder or bucket, while it runs."""

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import filesizeformat

from webapp.core.digits import read_whole
from webapp.operations.backups import BackupError
from webapp.operations.backups.runs import NO_PLACE, back_up
from webapp.operations.backups.stopping import undone_when_stopped


class Command(BaseCommand):
    """Database, images and the secret key, with a manifest; models are not in it."""

    help = "Makes a backup: the database, the images and the secret key."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--to", default=settings.BACKUP_TO, help="a folder, or s3://bucket/folder"
        )
        parser.add_argument(
            "--keep", type=_number, default=0, help="afterwards delete all but so many, the newest"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Says where it is; raises CommandError with one sentence if there is none."""
        if not options["to"]:
            raise CommandError(NO_PLACE)
        try:
            with undone_when_stopped():
                made, deleted = back_up(to=options["to"], keep=options["keep"])
        except BackupError as error:
            raise CommandError(str(error)) from error
        said = made.manifest
        self.stdout.write(
            f"{options['to'].rstrip('/')}/{made.name}: {said.images} images,"
            f" {filesizeformat(said.size_bytes)}, in {made.took_s:.1f} s."
        )
        if said.gone:
            self.stdout.write(f"{said.gone} files were deleted meanwhile and are not in it.")
        for name in deleted:
            self.stdout.write(f"{name} was deleted.")


def _number(text: str) -> int:
    try:
        number = read_whole(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of backups: 1 or more")
    return number
