"""What the documents name is there: files, what a module holds, pages and headings they link to."""

import re
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
ROOMS = ("webapp", "worker", "tests", "templates", "static", "docs", "deploy", "findings")
PAGES = sorted(
    [
        *(
            PROJECT / one
            for one in ("README.md", "CONTRIBUTING.md", "worker/starter/MODEL_CARD.md")
        ),
        *(PROJECT / "docs").rglob("*.md"),
    ]
)
BLOCK = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"[\w.-]+(/[\w.-]+)*\.(py|js|css|html|sh|md|conf)")
FOLDER = re.compile(rf"({'|'.join(ROOMS)})/([\w-]+/)*")
MEMBER = re.compile(r"(?P<module>[a-z_]+(\.[a-z_]+)*)\.(?P<name>\w+)(\(.*\))?")
LINK = re.compile(r"\]\((?P<page>[^)#\s]*)(#(?P<heading>[^)\s]+))?\)")
SLUG_LOSES = re.compile(r"[^\w\- ]")
# Written by whoever follows the page, not by the project.
NOT_OURS = {"webapp/locale/de/LC_MESSAGES/django.po"}


@cache
def files() -> list[str]:
    """The project's files, by their paths in it."""
    found = [path for room in ROOMS for path in (PROJECT / room).rglob("*") if path.is_file()]
    found += [path for path in PROJECT.iterdir() if path.is_file()]
    return [f"/{path.relative_to(PROJECT)}" for path in found if "__pycache__" not in path.parts]


@cache
def words_of(path: str) -> set[str]:
    """The names in a file."""
    return set(re.findall(r"\w+", (PROJECT / path.lstrip("/")).read_text(encoding="utf-8")))


def is_there(quoted: str) -> bool:
    """False for a file, a folder or a member of a module that the project does not have; True for
    whatever else is quoted."""
    if quoted in NOT_OURS:
        return True
    if FILE.fullmatch(quoted):
        return any(path.endswith(f"/{quoted}") for path in files())
    if FOLDER.fullmatch(quoted):
        return (PROJECT / quoted).is_dir()
    member = MEMBER.fullmatch(quoted)
    return member is None or has_member(member["module"], member["name"])


def has_member(module: str, name: str) -> bool:
    """Whether a module of that name has this member; True if it is no module of ours."""
    where = "/" + module.replace(".", "/")
    mine = [path for path in files() if path.endswith((f"{where}.py", f"{where}/{name}.py"))]
    return not mine or any(path.endswith(f"/{name}.py") or name in words_of(path) for path in mine)


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {SLUG_LOSES.sub("", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    quoted = QUOTED.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))
    assert [one for one in quoted if not is_there(one)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_a_page_links_to_what_is_there(page: Path) -> None:
    dead = []
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        if link["page"].startswith("http"):
            continue
        target = (page.parent / link["page"]).resolve() if link["page"] else page
        if not target.exists() or (link["heading"] and link["heading"] not in slugs(target)):
            dead.append(link[0])
    assert dead == []


def test_a_name_that_is_gone_is_found() -> None:
    gone = ["webapp/nowhere/", "nowhere.py", "webapp.core.ids.find_nothing", "claims.claim_all"]
    assert [one for one in gone if is_there(one)] == []
    assert is_there("claims.claim_next")
    assert is_there("torch.compile")
