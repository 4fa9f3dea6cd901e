"""`manage.py check_credits`: exit 0 if the ledger is clean, 1 with a line for each fault."""

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.operations.audit import (
    Violation,
    count_orphans,
    find_violations,
    keep_check,
    summarise,
)
from webapp.operations.repairs import repair_books


class Command(BaseCommand):
    """Checks every invariant of the ledger, the queue and the stored files."""

    help = "Checks the ledger, the queue and the stored files against each other."

    def add_arguments(self, parser: CommandParser) -> None:
        """`--no-files` leaves the files in the storage unread."""
        parser.add_argument("--no-files", action="store_true", help="do not read the images")
        parser.add_argument(
            "--repair",
            action="store_true",
            help="first mend what can be mended without touching a line of the ledger",
        )
        parser.add_argument("--json", action="store_true", help="say it as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints what it mended and found; raises CommandError (exit 1) if anything is still
        violated. A check with files is kept, as the nightly one is."""
        files = not options["no_files"]
        repairs = self._repair(files, quiet=options["json"]) if options["repair"] else []
        started = time.monotonic()
        violations = list(find_violations(files=files))
        unnamed = count_orphans(violations) if files else 0
        if files:
            keep_check(violations, took_s=time.monotonic() - started, orphans=unnamed)
        if options["json"]:
            self._print_json(repairs, violations, unnamed)
        else:
            for violation in violations:
                self.stdout.write(violation.sentence)
        if violations:
            how_many = "1 violation" if len(violations) == 1 else f"{len(violations)} violations"
            raise CommandError(f"{how_many}: the ledger needs a look.")
        if not options["json"]:
            unread = "" if files else " The images were not read."
            self.stdout.write(f"The ledger is clean: {summarise(orphans=unnamed)}.{unread}")

    def _repair(self, files: bool, *, quiet: bool) -> list[str]:
        repairs = []
        for sentence in repair_books(files=files):
            repairs.append(sentence)
            if not quiet:
                self.stdout.write(f"Repair: {sentence}")
        return repairs

    def _print_json(self, repairs: list[str], violations: list[Violation], unnamed: int) -> None:
        said = {
            "clean": not violations,
            "summary": summarise(orphans=unnamed),
            "orphans": unnamed,
            "repairs": repairs,
            "violations": [{"code": one.code, "sentence": one.sentence} for one in violations],
        }
        self.stdout.write(json.dumps(said, ensure_ascii=False, indent=2))
