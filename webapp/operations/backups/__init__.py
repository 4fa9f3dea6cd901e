"""Backups: the database, the images and the secret key in one place, and the way back.

`making` writes one and `restoring` loads it; `places` are where they lie, `manifest` says what
is in one, `database` asks PostgreSQL, `drill` tries one out, `runs` remembers what was done.
"""


class BackupError(Exception):
    """What was asked could not be done; its text is one sentence for whoever asked."""
