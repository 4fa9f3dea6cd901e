"""Every visible string is translated, and what is served is compiled from what is edited."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

PROJECT = Path(settings.BASE_DIR)
CATALOGS = [
    path.relative_to(PROJECT) for path in PROJECT.glob("webapp/locale/*/LC_MESSAGES/django.po")
]

pytestmark = pytest.mark.skipif(
    shutil.which("msgfmt") is None, reason="needs gettext (apt install gettext)"
)


def count_of(catalog: Path, kind: str) -> int:
    """How many messages `msgattrib --<kind>` lets through."""
    found = subprocess.run(
        ["msgattrib", f"--{kind}", "--no-obsolete", str(catalog)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return max(0, found.stdout.count("\nmsgid ") - 1)


def test_every_string_on_the_pages_is_translated_and_no_other(tmp_path: Path) -> None:
    for name in ("webapp", "templates"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(PROJECT / "manage.py", tmp_path)
    subprocess.run(
        [sys.executable, "manage.py", "makemessages", "--all", "--no-obsolete"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=300,
    )
    assert CATALOGS
    for catalog in CATALOGS:
        for kind in ("untranslated", "only-fuzzy"):
            wrong = f"run: make messages, and translate {catalog}"
            assert count_of(tmp_path / catalog, kind) == 0, wrong
        left = count_of(PROJECT / catalog, "translated") - count_of(
            tmp_path / catalog, "translated"
        )
        assert left == 0, f"run: make messages; {left} strings of {catalog} are on no page"


def test_strings_are_marked_by_names_that_are_looked_for() -> None:
    """makemessages knows `_` and Django's own names; a string behind another one is never found."""
    renamed = re.compile(r"gettext\w* as (?!_$)\w+", re.MULTILINE)
    sources = [path for room in ("webapp", "worker") for path in (PROJECT / room).rglob("*.py")]
    assert [path for path in sources if renamed.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize("catalog", CATALOGS, ids=str)
def test_the_compiled_catalogue_is_the_edited_one(catalog: Path, tmp_path: Path) -> None:
    compiled = tmp_path / "django.mo"
    subprocess.run(
        ["msgfmt", "--check", "-o", str(compiled), str(PROJECT / catalog)], check=True, timeout=300
    )
    kept = (PROJECT / catalog).with_suffix(".mo")
    assert kept.read_bytes() == compiled.read_bytes(), "run: make messages"


def test_a_browser_that_asks_for_korean_gets_korean(
    client: Client, db: None, static_files: None
) -> None:
    page = client.get("/accounts/login/", headers={"Accept-Language": "ko"})
    assert 'lang="ko"' in page.content.decode()
    assert "로그인" in page.content.decode()
