"""An idea for the starter model is one that it can draw."""

import re

from webapp.generation.ideas import simple_ideas
from worker.training.concepts import COLOURS, ENGLISH, all_icons

IDEA = re.compile(r"an? (?P<thing>.+) on an? (?P<colour>[a-z ]+) background")


def test_the_starter_model_knows_the_words_of_every_simple_idea() -> None:
    things = {icon.replace("-", " ") for icon in all_icons()}
    things |= {name for icon in all_icons() for name in ENGLISH.get(icon, ())}
    colours = {colour.words["en"][0] for colour in COLOURS}
    for idea in simple_ideas():
        asked = IDEA.fullmatch(idea)
        assert asked, idea
        assert asked["thing"] in things, idea
        assert asked["colour"] in colours, idea
