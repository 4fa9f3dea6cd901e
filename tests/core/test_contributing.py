"""What CONTRIBUTING says of files is so."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
NAMED = re.compile(r"`((?:webapp|worker|tests|templates|static|docs|migrations)/[\w./-]*)`")
NOT_YET = "webapp/locale/de/"  # of the language that is added there


def test_every_path_that_contributing_names_is_there() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = {one for one in NAMED.findall(text) if not one.startswith(NOT_YET)}
    assert len(named) > 30
    assert sorted(one for one in named if not (PROJECT / one).exists()) == []


def test_a_newcomer_finds_where_to_begin() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split("### Where to begin", 1)[1].split("\n\n", 2)[1]
    wanted = ("sampler", "family", "price", "admin site", "programs", "LoRA", "webhook")
    for subject in (*wanted, "language", "uploads", "notice"):
        assert re.search(rf"^\| [^|]*{subject}", table, re.MULTILINE), subject
