"""`manage.py prepare`: everything between an empty database and a studio that can open.

Safe to run at every start, and by several at once: an advisory lock lets one go first.
"""

import hashlib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from webapp.catalog import services
from webapp.catalog.builtin import list_builtin_models
from webapp.catalog.vocabulary_services import refresh_vocabularies
from webapp.core.errors import InvalidInput
from webapp.embedded.private import close_to_others, readable_by_others
from webapp.operations import setup
from webapp.operations.one_at_a_time import one_at_a_time

STARTER = Path(settings.BASE_DIR) / "worker" / "starter" / "pipeline"


class Command(BaseCommand):
    """Migrations, static files, catalog, translations and the first administrator."""

    help = "Prepares database, static files, catalog and the first-run link. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        """`--address` is where the studio will be served, for the set-up link."""
        parser.add_argument("--address", default="", help="where the studio is served")

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs each step and says what it did."""
        with one_at_a_time():
            self.prepare(options["address"])

    def prepare(self, address: str) -> None:
        """Does the steps in order: closes private folders, migrates, collects static files, lists
        known models, offers the starter model, asks for the first administrator. Each may be done
        again."""
        self.close_folders()
        call_command("migrate", verbosity=0, interactive=False, stdout=self.stdout)
        self.collect_static()
        added = list_builtin_models()
        if added:
            self.stdout.write(f"Catalog: {added} well-known models listed, off until downloaded.")
        self.offer_models()
        self.offer_first_admin(address)

    def offer_models(self) -> None:
        """The built-in model, and what the models of the catalog know by now: a vocabulary may have
        changed, come or gone since the last start."""
        try:
            if services.offer_starter_model(path=STARTER):
                self.stdout.write("Models: the starter model is on offer, and draws at once.")
        except InvalidInput as error:
            self.stderr.write(f"Models: the starter model is left out. {error.sentence}")
        for sentence in refresh_vocabularies():
            self.stdout.write(f"Models: {sentence}")

    def close_folders(self) -> None:
        """Closes to other users what an older version left open; says what it could not close."""
        for top in (Path(settings.MEDIA_ROOT), *settings.VAR.private):
            if left := close_to_others(top):
                sentence = f"{left[0]} is open to other users of this machine (chmod go= it)"
                self.stderr.write(f"{sentence}; {len(left) - 1} more below {top}.")

    def collect_static(self) -> None:
        """Collects static files only if they changed: it is the slowest step of a warm start."""
        stamp = Path(settings.STATIC_ROOT) / ".stamp"
        wanted = static_digest()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        with readable_by_others():
            call_command("collectstatic", verbosity=0, interactive=False)
        stamp.write_text(wanted)
        self.stdout.write("Static files: collected.")

    def offer_first_admin(self, address: str) -> None:
        """Makes the administrator of the environment, or prints the one-time link."""
        if setup.create_admin_from_environment():
            self.stdout.write(f"Administrator: {settings.ADMIN_EMAIL} was made.")
        if setup.has_admin():
            return
        base = settings.PUBLIC_URL or address or settings.SERVED_AT
        link = f"{base}/setup/{setup.make_setup_token()}/"
        self.stdout.write(f"First run: make yourself the administrator, once, at\n  {link}")


def static_digest() -> str:
    """A digest of our own static files (names, sizes, times) and of what is installed."""
    parts = [f"{Path(settings.BASE_DIR)}"]
    for root in (settings.STATICFILES_DIRS[0], Path(settings.BASE_DIR) / "pyproject.toml"):
        paths = sorted(Path(root).rglob("*")) if Path(root).is_dir() else [Path(root)]
        for path in paths:
            found = path.stat()
            parts.append(f"{path} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
