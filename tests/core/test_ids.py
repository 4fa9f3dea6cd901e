"""An id has one reader, whatever door it comes through, and what is not there has one sentence."""

import ast
import uuid
from pathlib import Path

import pytest
from django.utils import translation

from webapp.core.errors import InvalidInput, NotFound
from webapp.core.ids import find_id, read_id, read_optional_id

MINE = uuid.UUID("5d3a2f0e-7c55-4a51-9f3b-1f6c1a0f6b1e")
WEBAPP = Path(__file__).parents[2] / "webapp"
# Names of files, and cursors that the studio wrote itself, which are read whole.
OTHERS = {
    "core/cursors.py",
    "core/ids.py",
    "gallery/filters.py",
    "generation/orphans.py",
    "generation/request/uploads.py",
    "operations/admin/codes.py",
}


@pytest.mark.parametrize("written", [MINE, str(MINE), MINE.hex])
def test_an_id_is_read_as_it_is_written(written: object) -> None:
    assert find_id(written) == read_id(written, field="image") == MINE


@pytest.mark.parametrize("written", ["", "7", "x" * 36, None, 7, str(MINE)[:-1]])
def test_anything_else_is_none_and_the_sentence_names_its_field(written: object) -> None:
    assert find_id(written) is None
    with pytest.raises(InvalidInput, match="not the id of an image") as refused:
        read_id(written, field="parent")
    assert refused.value.field == "parent"


def test_an_empty_field_has_no_id() -> None:
    assert read_optional_id("", field="start") is read_optional_id(None, field="start") is None


def test_what_is_not_there_has_one_sentence_in_the_readers_language() -> None:
    said = "Nothing was found here. It may have been deleted, or you may not have access."
    with translation.override("en"):
        assert NotFound().sentence == said
    with translation.override("ko"):
        assert NotFound().sentence == translation.gettext(said) != said


def test_no_other_file_reads_ids_of_its_own() -> None:
    files = {str(path.relative_to(WEBAPP)): path for path in WEBAPP.rglob("*.py")}
    readers = {name for name, path in files.items() if _calls_uuid(ast.parse(path.read_text()))}
    assert readers == OTHERS


def _calls_uuid(tree: ast.AST) -> bool:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(call, ast.Attribute) and call.attr == "UUID" for call in calls)
