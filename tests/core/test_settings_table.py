"""Every setting stands in `.env.example` and in the README's table, and nothing else does."""

import ast
import re
from pathlib import Path

from django.conf import settings

PROJECT = Path(settings.BASE_DIR)
SETTING = re.compile(r"DARKROOM_[A-Z0-9_]+|DATABASE_URL|REDIS_URL")
# Written by the supervisor into its children's environment; nobody sets it.
INTERNAL = {"DARKROOM_RUN", "DARKROOM_SERVED_AT"}


def names_in_the_sources() -> set[str]:
    """Every whole string constant that is the name of a setting."""
    found: set[str] = set()
    for room in ("webapp", "worker"):
        for path in (PROJECT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found |= {node.value} if SETTING.fullmatch(node.value) else set()
    return found - INTERNAL


def names_in_the_example() -> set[str]:
    lines = (PROJECT / ".env.example").read_text(encoding="utf-8").splitlines()
    return {line.partition("=")[0] for line in lines if line and not line.startswith("#")}


def names_in_the_readme() -> set[str]:
    lines = (PROJECT / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("| `")]
    return set(SETTING.findall(" ".join(cells)))


def test_the_sources_name_settings() -> None:
    assert {"DARKROOM_VAR", "DARKROOM_DEVICE", "DARKROOM_HOST"} <= names_in_the_sources()


def test_the_example_lists_every_setting_and_nothing_else() -> None:
    assert names_in_the_example() == names_in_the_sources()


def test_the_readme_lists_every_setting_and_nothing_else() -> None:
    assert names_in_the_readme() == names_in_the_sources()


def test_no_setting_has_a_default_password() -> None:
    text = (PROJECT / ".env.example").read_text(encoding="utf-8")
    for line in text.splitlines():
        if re.match(r"[A-Z0-9_]*(PASSWORD|SECRET|KEY)[A-Z0-9_]*=", line):
            assert line.endswith("="), line
