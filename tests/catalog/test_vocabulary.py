"""What a `vocabulary.json` says, and the one sentence for each thing that is wrong with it."""

from typing import Any

import pytest

from tests.vocabularies import as_bytes, small_vocabulary
from webapp.catalog.vocabulary import MOST_BYTES, in_language, parse_vocabulary
from webapp.core.errors import InvalidInput


def refuse(raw: bytes) -> str:
    with pytest.raises(InvalidInput) as refused:
        parse_vocabulary(raw)
    assert refused.value.sentence.startswith("vocabulary.json: ")
    return refused.value.sentence


def test_everything_that_the_file_says_is_read() -> None:
    known = parse_vocabulary(as_bytes(small_vocabulary()))
    assert known.things["en"]["ice cream"] == "ice-cream"
    assert known.thing_count == 11
    assert known.words["ko"][:2] == ("한", "마리")
    assert known.near["en"]["vehicle"] == ("car", "bus")
    assert known.styles is not None
    assert known.styles[0].names == {"en": "Flat", "ko": "플랫"}
    assert known.sizes == ((64, 64), (128, 64))
    assert known.negative is not None
    assert known.negative["en"][0] == "white background"


def test_what_the_file_leaves_out_is_not_said() -> None:
    known = parse_vocabulary(as_bytes({"version": 1, "things": {"en": {"cat": "cat"}}}))
    assert (known.words, known.endings, known.near) == ({}, {}, {})
    assert (known.styles, known.sizes, known.negative) == (None, None, None)


def test_an_empty_list_says_that_there_is_none() -> None:
    known = parse_vocabulary(as_bytes(small_vocabulary(styles=[], negative=[])))
    assert (known.styles, known.negative) == ((), {})


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff\xfe", b'{"version": 1' * 3, b"[" * 100_000], ids=lambda raw: raw[:9]
)
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    assert "It is not JSON in UTF-8." in refuse(raw)


def test_a_file_over_the_limit_is_refused_and_one_at_it_is_not() -> None:
    raw = as_bytes(small_vocabulary())
    parse_vocabulary(raw + b" " * (MOST_BYTES - len(raw)))
    assert "It is larger than 1000 kB." in refuse(raw + b" " * (MOST_BYTES - len(raw) + 1))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"version": 2}, "“version” must be 1."),
    ({"version": True}, "“version” must be 1."),
    ({"version": None}, "“version” must be 1."),
    ({"thing": {}}, "“thing” is not a field"),
    ({"things": {}}, "“things” is empty"),
    ({"things": {"en": {}}}, "“things” is empty"),
    ({"things": None}, "“things” must be an object."),
    ({"things": ["cat"]}, "“things” must be an object."),
    ({"things": {"en": ["cat"]}}, "“things.en” must be an object."),
    ({"things": {"English": {"cat": "cat"}}}, "is not a language code"),
    ({"things": {"en": {"Cat": "cat"}}}, "must be in lower case"),
    ({"things": {"en": {"ice  cream": "x"}}}, "one space between words"),
    ({"things": {"ko": {"\u1100\u1161": "x"}}}, "Unicode's NFC"),
    ({"things": {"en": {"100": "hundred"}}}, "“100” in “things.en” has no letter."),
    ({"things": {"en": {"cat": 1}}}, "“things.en.cat” must be a text of one line."),
    ({"things": {"en": {"cat": ""}}}, "“things.en.cat” must be a text of one line."),
    ({"things": {"en": {"a\ncat": "cat"}}}, "“things.en” must be a text of one line."),
    ({"things": {"en": {"\ud800": "cat"}}}, "“things.en” must be a text of one line."),
    ({"things": {"en": {"c" * 61: "cat"}}}, "has more than 60 characters."),
    ({"things": {f"a{a}": {"x": "x"} for a in "bcdefghijklmnopqrstuvwxyz"}}, "more than 20"),
    ({"words": {"en": "a"}}, "“words.en” must be a list."),
    ({"words": {"en": [1]}}, "“words.en” must be a text of one line."),
    ({"endings": {"ko": ["e" * 13]}}, "has more than 12 characters."),
    ({"near": {"en": {"kitty": "cat"}}}, "“near.en.kitty” must be a list."),
    ({"near": {"en": {"kitty": ["lion"]}}}, "“near.en” offers “lion” for “kitty”"),
    ({"near": {"en": {"kitty": ["cat"] * 9}}}, "has more than 8 entries."),
    ({"styles": {}}, "“styles” must be a list."),
    ({"styles": ["flat"]}, "“styles[0]” must be an object."),
    ({"styles": [{"slug": "Flat!"}]}, "“styles[0].slug” must be up to 32 small letters"),
    (
        {"styles": [{"slug": "flat", "name": {}}]},
        "“styles[0].name” has no language. Add at least one.",
    ),
    (
        {"styles": [{"slug": "a", "name": {"en": "A"}, "words": {"en": "a"}}] * 2},
        "“styles” names “a” twice.",
    ),
    ({"sizes": []}, "“sizes” is empty"),
    ({"sizes": [256, 256]}, "“sizes[0]” must be a list."),
    ({"sizes": [[256]]}, "“sizes[0]” must be a pair"),
    ({"sizes": [[0, 256]]}, "A side in “sizes[0]” must be a multiple of 8, from 64 to 4096"),
    ({"sizes": [[256, 256], [-64, 64]]}, "A side in “sizes[1]”"),
    ({"sizes": [[100, 256]]}, "A side in “sizes[0]”"),
    ({"sizes": [[256.0, 256]]}, "A side in “sizes[0]”"),
    ({"sizes": [["256", 256]]}, "A side in “sizes[0]”"),
    ({"sizes": [[True, 256]]}, "A side in “sizes[0]”"),
    ({"sizes": [[8192, 256]]}, "A side in “sizes[0]”"),
    ({"negative": "red"}, "“negative” must be an object."),
]


@pytest.mark.parametrize(("changes", "sentence"), WRONG, ids=lambda one: str(one)[:40])
def test_what_is_wrong_is_named(changes: dict[str, Any], sentence: str) -> None:
    raw = json_with_surrogates(small_vocabulary(**changes))
    assert sentence in refuse(raw)


def json_with_surrogates(vocabulary: Any) -> bytes:
    """Half a character is written as JSON allows it."""
    import json

    return json.dumps(vocabulary).encode()


@pytest.mark.parametrize("raw", [b"null", b"[]", b'"cat"', b"3", b"NaN"])
def test_json_that_is_no_object_is_refused(raw: bytes) -> None:
    assert "“vocabulary.json” must be an object." in refuse(raw)


def test_a_text_comes_in_the_language_of_the_page_or_the_nearest_there_is() -> None:
    names = {"ko": "플랫", "en": "Flat", "pt": "Plano"}
    assert in_language(names, "ko") == "플랫"
    assert in_language(names, "pt-br") == "Plano"
    assert in_language(names, "de") == "Flat"
    assert in_language({"ko": "플랫"}, "de") == "플랫"
