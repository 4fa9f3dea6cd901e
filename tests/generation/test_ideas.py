"""An idea for the starter model is one that it can draw, and so is what else the project shows of
it: the demo's prompt, and that of the sample page."""

import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

from tests.demo import NEGATIVE_PROMPT, PROMPT
from tests.vocabularies import small_lexicon
from webapp.catalog.lexicon import Lexicon
from webapp.catalog.understanding import parts_not_followed, understand
from webapp.catalog.vocabulary import parse_vocabulary
from webapp.catalog.vocabulary_services import read_vocabulary
from webapp.generation.studio.knowledge import simple_ideas
from webapp.operations.management.commands.prepare import STARTER
from worker.training.concepts import COLOURS
from worker.training.things import all_things

IDEA = re.compile(r"an? (?P<thing>.+) on an? (?P<colour>[a-z ]+) background")
SAMPLE = Path(settings.BASE_DIR) / "webapp" / "gallery" / "sample" / "sample.json"


def starter_lexicon() -> Lexicon | None:
    """None while the weights that are shipped carry no vocabulary."""
    raw = read_vocabulary(STARTER)
    return Lexicon(parse_vocabulary(raw)) if raw is not None else None


def strange_words(prompts: list[str], lexicon: Lexicon) -> dict[str, list[str]]:
    """Prompt -> the words of it that are unknown, or all of it if it names no thing."""
    found = {}
    for prompt in prompts:
        understood = understand(prompt, lexicon)
        unknown = [one.word for one in understood.unknown]
        if unknown or not understood.things:
            found[prompt] = unknown or [prompt]
    return found


def test_the_starter_model_knows_the_words_of_every_simple_idea() -> None:
    things = {name for thing in all_things() for name in thing.names["en"]}
    colours = {colour.words["en"][0] for colour in COLOURS}
    for idea in simple_ideas():
        asked = IDEA.fullmatch(idea)
        assert asked, idea
        assert asked["thing"] in things, idea
        assert asked["colour"] in colours, idea


@pytest.mark.parametrize("language", [code for code, _name in settings.LANGUAGES])
def test_its_vocabulary_has_every_word_of_them_in_every_language(language: str) -> None:
    lexicon = starter_lexicon()
    with translation.override(language):
        ideas = simple_ideas()
    assert lexicon is None or strange_words(ideas, lexicon) == {}


def test_its_vocabulary_has_the_words_that_the_demo_and_the_sample_page_show() -> None:
    lexicon = starter_lexicon()
    shown = [PROMPT, json.loads(SAMPLE.read_text("utf-8"))["prompt"]]
    assert lexicon is None or strange_words(shown, lexicon) == {}
    assert lexicon is None or parts_not_followed(NEGATIVE_PROMPT, lexicon) == ()


def test_an_idea_with_a_word_that_is_not_known_is_found() -> None:
    lexicon = small_lexicon()
    found = strange_words(["a cat", "a lion", "a red background"], lexicon)
    assert found == {"a lion": ["lion"], "a red background": ["a red background"]}
