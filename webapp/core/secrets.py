"""Secrets that a fresh install makes for itself: one file each, readable by its owner alone."""

import os
import secrets
from pathlib import Path

SECRET_BYTES = 50


def load_or_create_secret(path: Path) -> str:
    """The secret in `path`; made there with mode 0600 if the file does not exist yet.

    Two processes that start together agree: the file is linked into place whole, and the one
    that comes second reads what the first one wrote. Raises OSError if neither is possible.
    """
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(SECRET_BYTES))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text(encoding="ascii")
