"""Nothing but `webapp.credits.ledger` writes the ledger: read from the sources."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

PROJECT = Path(settings.BASE_DIR)
LEDGER = "webapp/credits/ledger/"
SOURCES = sorted(
    str(path.relative_to(PROJECT))
    for room in ("webapp", "worker")
    for path in (PROJECT / room).rglob("*.py")
)
# Reading doors: the admin site and the checks, the pages that show lines, the limits of groups.
READERS = (
    "webapp/credits/",
    "webapp/operations/",
    "webapp/statements/",
    "webapp/generation/queueing/limits.py",
)
BOOKS = {"Account", "Transaction", "Entry", "Hold", "TopUpBatch", "MailboxGrant"}
BOOKS_MODULE = re.compile(r"webapp\.credits\.models(\.|$)")
WRITES = {
    "create",
    "get_or_create",
    "update_or_create",
    "bulk_create",
    "bulk_update",
    "update",
    "delete",
    "save",
}
ROWS = {"account", "transaction", "posted", "entry", "hold", "entries", "holds"}
SQL_WRITE = re.compile(
    r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE(?:\s+TABLE)?|ALTER\s+TABLE)\s+\"?credits_"
    r"(account|transaction|entry|hold|topupbatch|mailboxgrant)\b",
    re.I,
)


def tree(source: str) -> ast.Module:
    return ast.parse((PROJECT / source).read_text(encoding="utf-8"))


def imported_names(source: str) -> Iterator[str]:
    """`a.b.c` of `import a.b.c`, and `a.b` and `a.b.c` of `from a.b import c`."""
    for node in ast.walk(tree(source)):
        if isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def written_models(source: str) -> Iterator[str]:
    """`Entry` of `Entry.objects.create(...)`, `account` of `user.account.save()`, and the like."""
    for node in ast.walk(tree(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in WRITES:
            yield from BOOKS & names_in(node.func.value)
            yield from ROWS & last_names(node.func.value)


def names_in(expression: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}


def last_names(expression: ast.expr) -> set[str]:
    attributes = [node.attr for node in ast.walk(expression) if isinstance(node, ast.Attribute)]
    return {*attributes, *names_in(expression)}


def sql_writes(source: str) -> list[str]:
    texts = [
        node.value
        for node in ast.walk(tree(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return [text for text in texts if SQL_WRITE.search(text)]


def test_only_the_credits_and_rooms_that_read_know_the_books_models() -> None:
    knowing = [one for one in SOURCES if any(map(BOOKS_MODULE.match, imported_names(one)))]
    assert [one for one in knowing if not one.startswith(READERS)] == []


@pytest.mark.parametrize("source", [one for one in SOURCES if not one.startswith(LEDGER)])
def test_no_other_source_writes_the_books(source: str) -> None:
    assert sql_writes(source) == []
    assert list(written_models(source)) == []


def test_the_ledger_itself_is_seen_writing() -> None:
    """The tests above can fail: their own means find every kind of write in the ledger."""
    ledger = [one for one in SOURCES if one.startswith(LEDGER)]
    assert {name for one in ledger for name in written_models(one)} >= {"Account", "Hold"}
    written = {
        found.group(2).lower()
        for one in ledger
        for text in sql_writes(one)
        for found in SQL_WRITE.finditer(text)
    }
    assert written >= {"account", "transaction", "entry", "hold"}
