"""A studio in use leaves no file that another local user may read: images, mails with links that
sign people in, logs, secrets, the embedded servers' data."""

import os
import stat
import uuid
from pathlib import Path

import pytest

from tests.faults.studio import Studio
from tests.trial import Visitor

pytestmark = pytest.mark.faults

# Everybody is served these.
SERVED = "static"


def open_to_others(var: Path) -> list[str]:
    """What below `var` has a right for group or others, links aside."""
    found = []
    for folder, folders, files in os.walk(var):
        for name in (*folders, *files):
            mode = Path(folder, name).lstat().st_mode
            if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) & 0o077:
                found.append(str(Path(folder, name).relative_to(var)))
    return found


def test_nothing_of_a_studio_in_use_is_open_to_other_users(studio: Studio) -> None:
    ids = studio.order(1)
    assert studio.wait_until_ended(ids)[ids[0]]["state"] == "stored"
    studio.visitor.post("/uploads/from-image/", {"image": ids[0]}, accept="application/json")
    somebody = f"reset-{uuid.uuid4().hex[:8]}@example.org"
    Visitor(studio.trial.base_url).sign_up(email=somebody)
    stranger = Visitor(studio.trial.base_url)
    stranger.get("/accounts/password/reset/")
    stranger.post("/accounts/password/reset/", {"email": somebody})
    var = studio.trial.var
    parts = {one.name for one in var.iterdir()}
    assert {"media", "mail", "logs", "secrets", "postgres", "valkey", "run", SERVED} <= parts
    assert [one for one in open_to_others(var) if not one.startswith(SERVED)] == []
    assert stat.S_IMODE(var.stat().st_mode) & 0o066 == 0
    served = [var / SERVED, *(var / SERVED).rglob("*.css")]
    assert [one for one in served if not one.stat().st_mode & stat.S_IROTH] == []


def test_every_process_of_a_studio_makes_private_files(studio: Studio) -> None:
    for service in ("web", "worker", "beat", "postgres", "valkey"):
        status = Path(f"/proc/{studio.trial.pid(service)}/status").read_text(encoding="utf-8")
        assert "Umask:\t0077" in status, service
