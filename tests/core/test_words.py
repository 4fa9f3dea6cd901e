"""Messages use the words of CONTRIBUTING's table, and none of those in its column "Not"; nor do
comments, docstrings and documents.
"""

import gettext
import re
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings

CATALOG = Path(settings.LOCALE_PATHS[0]) / "ko" / "LC_MESSAGES" / "django.mo"
PROJECT = Path(settings.BASE_DIR)
GLOSSARY = PROJECT / "CONTRIBUTING.md"
COMMENT = re.compile(r'^ *"""(.*?)"""|(?:^|\s)# (.*?)$', re.MULTILINE | re.DOTALL)
NOT_READ = ("worker/training/", "worker/starter/")  # drawings and their words are their subject
# Beside the meaning that is refused these have one that developers need.
ALSO_OTHERWISE = {"books", "enlarged", "from words", "log in", "second step"}
ALSO_OTHERWISE |= {"taken back", "what it knows"}


def table() -> list[list[str]]:
    """The rows under "Words": word, Korean word, meaning, what is not written."""
    section = GLOSSARY.read_text(encoding="utf-8").split("\n## Words\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


REFUSED = [(word, row[0]) for row in table() for word in re.findall(r"`([^`]+)`", row[3])]


def messages() -> list[str]:
    """All English messages (of those with a plural, the singular)."""
    with CATALOG.open("rb") as file:
        catalog: dict[object, str] = vars(gettext.GNUTranslations(file))["_catalog"]
    ids = [msgid[0] if isinstance(msgid, tuple) else str(msgid) for msgid in catalog]
    return [msgid.split("\x04")[-1] for msgid in ids if msgid]


@cache
def prose() -> dict[str, str]:
    """What stands beside the code, by file: comments and docstrings, and the documents."""
    said = {}
    for room in ("webapp", "worker", "tests"):
        for path in (PROJECT / room).rglob("*.py"):
            name = str(path.relative_to(PROJECT))
            if not name.startswith(NOT_READ):
                found = COMMENT.findall(path.read_text(encoding="utf-8"))
                said[name] = "\n".join(" ".join(one) for one in found)
    for path in (PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md")):
        said[str(path.relative_to(PROJECT))] = path.read_text(encoding="utf-8")
    return said


def test_the_table_has_four_columns_and_names_each_word_once() -> None:
    rows = table()
    assert {len(row) for row in rows} == {4}
    assert len({row[0] for row in rows}) == len(rows) > 50


@pytest.mark.parametrize(("refused", "instead"), REFUSED)
def test_no_message_says_it_otherwise(refused: str, instead: str) -> None:
    wrong = [text for text in messages() if re.search(rf"(?i)\b{re.escape(refused)}\b", text)]
    assert wrong == [], f"write: {instead}"


@pytest.mark.parametrize(
    ("refused", "instead"), [pair for pair in REFUSED if pair[0] not in ALSO_OTHERWISE]
)
def test_no_comment_and_no_document_says_it_otherwise(refused: str, instead: str) -> None:
    said = re.compile(rf"(?i)\b{re.escape(refused)}\b")
    wrong = [name for name, text in prose().items() if said.search(text)]
    assert wrong == [], f"write: {instead}"
