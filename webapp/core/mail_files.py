"""Mails as files, for a studio without a mail server: they hold links that sign people in."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.mail.backends import filebased

from webapp.embedded.private import open_private


class EmailBackend(filebased.EmailBackend):
    """Django's, with a folder and files that are their owner's alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Path(settings.EMAIL_FILE_PATH).mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(*args, **kwargs)

    def open(self) -> bool:
        """True if this call opened the file; False if it was open."""
        if self.stream is not None:
            return False
        path = Path(self._get_filename())
        self.stream = open(open_private(path, os.O_APPEND), "ab")  # noqa: SIM115 - close() does
        return True
