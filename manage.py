#!/usr/bin/env python
"""Django's command line for Darkroom."""

import os
import sys

from django.core.management import execute_from_command_line
from django.db import OperationalError

from webapp.embedded.private import keep_files_private

# They write sources, which a container's user has to read.
WRITE_SOURCES = {"makemigrations", "rebase_migration", "makemessages", "compilemessages"}


def main() -> None:
    """Runs the command; a database that does not answer is one sentence, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    # One thread and one connection: waiting for a pool would only hide why there is none.
    os.environ.setdefault("DARKROOM_DATABASE_POOL", "no")
    if not WRITE_SOURCES.intersection(sys.argv[1:2]):
        keep_files_private()
    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        sys.exit(f"The database does not answer. Is the studio running (make up)?\n{error}")


if __name__ == "__main__":
    main()
