"""Secrets that a fresh install makes for itself."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from webapp.core.secrets import load_or_create_secret

LOAD = (
    "import sys; from pathlib import Path; from webapp.core.secrets import load_or_create_secret;"
    "print('ready', flush=True); sys.stdin.readline();"
    "print(load_or_create_secret(Path(sys.argv[1])))"
)


def test_a_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "secret_key"
    secret = load_or_create_secret(path)
    assert len(secret) >= 50
    assert load_or_create_secret(path) == secret
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["secret_key"]


def test_two_installs_have_two_secrets(tmp_path: Path) -> None:
    assert load_or_create_secret(tmp_path / "a") != load_or_create_secret(tmp_path / "b")


def test_processes_that_start_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "secret_key"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", LOAD, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=settings.BASE_DIR,
        )
        for _racer in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = {racer.communicate(timeout=30)[0].strip() for racer in racers}
    assert said == {path.read_text()}


def test_who_comes_second_takes_the_secret_of_who_came_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret_key"

    def be_overtaken(_size: int) -> str:
        path.write_text("the rival's")
        return "mine"

    monkeypatch.setattr("webapp.core.secrets.secrets.token_urlsafe", be_overtaken)
    assert load_or_create_secret(path) == path.read_text() == "the rival's"
    assert [one.name for one in tmp_path.iterdir()] == ["secret_key"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file stands in the way")
    with pytest.raises(NotADirectoryError):
        load_or_create_secret(tmp_path / "secrets" / "secret_key")
