"""`manage.py check_credits`: exit 0 when the books are clean, 1 with a line for each fault."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.operations.audit import find_violations, summarise


class Command(BaseCommand):
    """Checks every invariant of the ledger, the queue and the stored files."""

    help = "Checks the ledger, the queue and the stored files against each other."

    def add_arguments(self, parser: CommandParser) -> None:
        """`--no-files` leaves the pictures on the disk unread."""
        parser.add_argument("--no-files", action="store_true", help="do not read the pictures")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints what it found; raises CommandError (exit 1) where anything is violated."""
        violations = list(find_violations(files=not options["no_files"]))
        for sentence in violations:
            self.stdout.write(sentence)
        if violations:
            raise CommandError(f"{len(violations)} violations: the books need a look.")
        self.stdout.write(f"The books are clean: {summarise()}.")
