"""The gates of `make check` that need a database: migrations and the deployment checks.

`python -m tests.gates` starts throw-away servers, so that no check runs half.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from webapp.embedded.servers import embedded_servers

PROJECT = Path(__file__).resolve().parent.parent
PRODUCTION = {
    "DARKROOM_HTTPS": "true",
    "DARKROOM_PUBLIC_URL": "https://studio.example.org",
    "DARKROOM_ALLOWED_HOSTS": "studio.example.org",
    "DARKROOM_SMTP_HOST": "mail.example.org",
}


def main() -> int:
    """Exit status 0 if every gate is open."""
    with (
        tempfile.TemporaryDirectory(prefix="darkroom-gates-") as folder,
        embedded_servers(Path(folder), fsync=False),
    ):
        environment = {**os.environ, "DARKROOM_VAR": folder}
        return (
            manage(environment, "makemigrations", "--check", "--dry-run")
            or manage({**environment, **PRODUCTION}, "check", "--deploy", "--fail-level=INFO")
            or manage(environment, "migrate", "--verbosity=0")
            or manage(environment, "check_credits")
        )


def manage(environment: dict[str, str], *arguments: str) -> int:
    """The exit status of a management command."""
    print("manage.py", *arguments, flush=True)
    command = [sys.executable, str(PROJECT / "manage.py"), *arguments]
    return subprocess.run(
        command, cwd=PROJECT, env=environment, check=False, timeout=300
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
