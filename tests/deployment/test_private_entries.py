"""Every process of Darkroom makes private files, by whichever door it begins."""

import subprocess
import sys

import pytest
from django.conf import settings

SAY = "import os; print(f'umask {os.umask(0):03o}')"
BY_CELERY = "from webapp.celery import app; "


def umask_in(*arguments: str) -> str:
    """What the process says of its umask; it begins with that of most shells."""
    words = ["sh", "-c", 'umask 022; exec "$@"', "sh", sys.executable, *arguments]
    done = subprocess.run(
        words, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True, timeout=300
    )
    return next(line for line in done.stdout.splitlines() if line.startswith("umask"))


def test_a_management_command_makes_private_files() -> None:
    assert umask_in("manage.py", "shell", "-v", "0", "-c", SAY) == "umask 077"


@pytest.mark.parametrize("name", ["makemigrations", "makemessages", "compilemessages"])
def test_a_command_that_writes_sources_leaves_them_readable_for_containers(name: str) -> None:
    stop = "import manage; manage.execute_from_command_line = lambda _words: None; manage.main(); "
    begin = f"import sys; sys.argv = ['manage.py', {name!r}]; "
    assert umask_in("-c", begin + stop + SAY) == "umask 022"


def test_the_web_process_makes_private_files() -> None:
    assert umask_in("-c", f"import webapp.asgi; {SAY}") == "umask 077"


def test_a_worker_and_beat_do_and_who_only_sends_by_celery_is_left_alone() -> None:
    begun = f"{BY_CELERY} app.loader.init_worker(); {SAY}"
    assert umask_in("-c", begun) == "umask 077"
    assert umask_in("-c", BY_CELERY + SAY) == "umask 022"
