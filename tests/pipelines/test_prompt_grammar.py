"""Emphasis in prompts is read as people know it, and nothing is beyond the grammar."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.pipelines.prompt_grammar import Span, parse


@given(st.text())
def test_no_text_is_beyond_the_grammar(text: str) -> None:
    assert parse(text)


@given(st.text(alphabet=r"()[]\:.19-ab BREAK" + "\n"))
def test_no_heap_of_signs_is_beyond_the_grammar(text: str) -> None:
    sections = parse(text)
    letters = [letter for section in sections for span in section for letter in span.text]
    assert len(letters) <= len(text)


@given(st.text().filter(lambda text: not set("()[]\\") & set(text) and "BREAK" not in text))
def test_text_without_signs_stays_as_it_is(text: str) -> None:
    assert parse(text) == ((Span(text),) if text else (),)


@pytest.mark.parametrize(
    ("prompt", "spans"),
    [
        ("a (cat) b", [("a ", 1), ("cat", 1.1), (" b", 1)]),
        ("((cat))", [("cat", 1.1 * 1.1)]),
        ("(cat:1.3)", [("cat", 1.3)]),
        ("(cat: .5 )", [("cat", 0.5)]),
        ("[cat]", [("cat", 1 / 1.1)]),
        ("(a (b:1.5) c:0.8)", [("a ", 0.8), ("b", 1.5 * 0.8), (" c", 0.8)]),
        ("([cat]:2)", [("cat", 2 / 1.1)]),
        ("(cat:dog)", [("cat:dog", 1.1)]),
        ("(cat:1.2.3)", [("cat:1.2.3", 1.1)]),
        ("[cat:1.2]", [("cat:1.2", 1 / 1.1)]),
        ("cat:1.2", [("cat:1.2", 1)]),
        (r"\(cat\)", [("(cat)", 1)]),
        (r"a\b \\ c", [("a\\b \\ c", 1)]),
        (r"(cat\):1.3)", [("cat)", 1.3)]),
    ],
)
def test_emphasis_is_read_as_people_know_it(prompt: str, spans: list[tuple[str, float]]) -> None:
    (section,) = parse(prompt)
    assert [span.text for span in section] == [text for text, _ in spans]
    assert [span.weight for span in section] == pytest.approx([weight for _, weight in spans])


@pytest.mark.parametrize("prompt", ["(cat", "cat)", "[cat", "cat]", ")cat(", "(cat:1.2", ":)"])
def test_a_bracket_without_its_partner_is_text(prompt: str) -> None:
    assert parse(prompt) == ((Span(prompt),),)


def test_brackets_that_cross_leave_the_inner_one_as_text() -> None:
    assert parse("(a [b) c]") == ((Span("a [b", 1.1), Span(" c]")),)


def test_a_break_starts_a_section_also_within_brackets() -> None:
    assert parse("a BREAK b (c BREAK d)") == (
        (Span("a"),),
        (Span("b "), Span("c", 1.1)),
        (Span("d", 1.1),),
    )
    assert parse("BREAK a BREAK BREAK b BREAK") == ((Span("a"),), (Span("b"),))
    assert parse("UNBREAKABLE") == ((Span("UNBREAKABLE"),),)
