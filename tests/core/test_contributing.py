"""CONTRIBUTING leads to where one begins."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_a_newcomer_finds_where_to_begin() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split("### Where to begin", 1)[1].split("\n\n", 2)[1]
    wanted = ("sampler", "family", "price", "admin site", "programs", "LoRA", "webhook")
    for subject in (*wanted, "language", "uploads", "notice"):
        assert re.search(rf"^\| [^|]*{subject}", table, re.MULTILINE), subject
