"""What the recipe writes of the model's words: true to its captions, and nothing else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webapp.catalog.vocabulary import parse_vocabulary
from worker.training.captions import describe
from worker.training.concepts import STYLES
from worker.training.scenes import Stage
from worker.training.things import all_things
from worker.training.vocabulary import NAME, vocabulary_of, write_vocabulary


@pytest.fixture(scope="module")
def vocabulary(stage: Stage, packages: Path) -> dict[str, Any]:
    return vocabulary_of(stage, packages, size_px=256)


def test_every_thing_is_named_in_both_languages(vocabulary: dict[str, Any]) -> None:
    slugs = {thing.slug.replace(" ", "-") for thing in all_things()}
    assert set(vocabulary["things"]["en"].values()) == slugs
    assert set(vocabulary["things"]["ko"].values()) == slugs


@pytest.mark.parametrize(
    ("locale", "phrase", "thing"),
    [
        ("en", "cat", "cat"),
        ("en", "kittens", "cat"),
        ("en", "ice cream", "ice-cream"),
        ("ko", "고양이", "cat"),
        ("ko", "크리스마스 트리", "christmas-tree"),
        ("ko", "크리스마스트리", "christmas-tree"),
    ],
)
def test_synonyms_plurals_and_closed_up_names_are_known(
    vocabulary: dict[str, Any], locale: str, phrase: str, thing: str
) -> None:
    assert vocabulary["things"][locale][phrase] == thing


def test_its_words_are_all_that_captions_say_beside_things(
    vocabulary: dict[str, Any], stage: Stage
) -> None:
    rng = np.random.default_rng(11)
    phrases = vocabulary["things"]["en"]
    known = {*vocabulary["words"]["en"], *(word for phrase in phrases for word in phrase.split())}
    captions = [describe(stage.draw(rng), rng).lower() for _ in range(400)]
    words = {word for text in captions if text.isascii() for word in text.replace(",", "").split()}
    assert words <= known


@pytest.mark.parametrize("word", ["배경", "배경의", "마리", "핑크", "빨강", "두", "한", "그려줘"])
def test_korean_words_that_people_type_are_known(vocabulary: dict[str, Any], word: str) -> None:
    assert word in vocabulary["words"]["ko"]


def test_near_words_lead_to_things_and_are_not_known_themselves(
    vocabulary: dict[str, Any],
) -> None:
    near = vocabulary["near"]["en"]
    assert near
    for word, names in near.items():
        assert word not in vocabulary["things"]["en"]
        assert 1 <= len(names) <= 3
        assert all(name in vocabulary["things"]["en"] for name in names)


def test_its_styles_are_the_recipes_and_have_names_in_both_languages(
    vocabulary: dict[str, Any],
) -> None:
    assert [style["words"]["en"] for style in vocabulary["styles"]] == [
        style.words["en"][0] for style in STYLES
    ]
    assert all(style["name"]["ko"] for style in vocabulary["styles"])


def test_the_studio_reads_all_that_the_recipe_writes(vocabulary: dict[str, Any]) -> None:
    read = parse_vocabulary(json.dumps(vocabulary).encode())
    assert read.thing_count == len(all_things())
    assert [style.slug for style in read.styles or ()] == [
        one["slug"] for one in vocabulary["styles"]
    ]
    assert read.sizes == ((256, 256),)


def test_the_file_is_json_that_says_the_same(
    vocabulary: dict[str, Any], stage: Stage, packages: Path, tmp_path: Path
) -> None:
    write_vocabulary(tmp_path, stage, packages, size_px=256)
    assert json.loads((tmp_path / NAME).read_text("utf-8")) == vocabulary
