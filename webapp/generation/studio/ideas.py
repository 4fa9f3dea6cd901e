"""Prompts for somebody who does not know where to begin: what the chosen model draws well."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from webapp.catalog.lexicon import Lexicon
from webapp.catalog.models import DiffusionModel
from webapp.catalog.services import STARTER_SLUG
from webapp.catalog.vocabulary_selectors import lexicon_of
from webapp.generation.request.understanding import understand
from webapp.generation.studio.knowledge import thing_names

SHOWN = 6
MOST_IDEAS = 40
SIMPLE, RICH = "simple", "rich"


def page_ideas(models: Iterable[DiffusionModel]) -> dict[str, Any]:
    """For the page's script: `of` names the list of each model by slug, `lists` holds them."""
    lists = {SIMPLE: simple_ideas(), RICH: rich_ideas()}
    of = {}
    for model in models:
        kind = _kind_of(model)
        of[model.slug] = kind
        if kind not in lists:
            lists[kind] = _ideas_of(model)
    return {"shown": SHOWN, "of": of, "lists": lists}


def first_ideas(model: DiffusionModel | None) -> list[str]:
    """The few that an empty studio shows."""
    return (_ideas_of(model) if model else rich_ideas())[:SHOWN]


def _kind_of(model: DiffusionModel) -> str:
    """A model with a vocabulary has a list of its own; slugs have no colon."""
    if lexicon_of(model) is not None:
        return f"of:{model.slug}"
    return SIMPLE if model.slug == STARTER_SLUG else RICH


def _ideas_of(model: DiffusionModel) -> list[str]:
    lexicon = lexicon_of(model)
    if lexicon is not None:
        return list(_known_ideas(lexicon, get_language() or "en"))
    return simple_ideas() if model.slug == STARTER_SLUG else rich_ideas()


@lru_cache(maxsize=64)
def _known_ideas(lexicon: Lexicon, language: str) -> tuple[str, ...]:
    """Ideas of which the model knows every word; where those are few, its things by their names."""
    ideas = [idea for idea in simple_ideas() if _is_known(idea, lexicon)]
    if len(ideas) < SHOWN:
        ideas += thing_names(lexicon.vocabulary, language)[: MOST_IDEAS - len(ideas)]
    return tuple(ideas)


def _is_known(idea: str, lexicon: Lexicon) -> bool:
    understood = understand(idea, lexicon)
    return bool(understood.things) and not understood.unknown


def simple_ideas() -> list[str]:
    """One thing on a plain background. The starter model knows the words of its `vocabulary.json`
    and no others, in every language of the page."""
    return [
        _("a panda on an orange background"),
        _("a castle on a pink background"),
        _("a smiling face on a purple background"),
        _("a unicorn on a sky blue background"),
        _("a lion on a blue background"),
        _("a hamburger on a yellow background"),
        _("a cat on a purple background"),
        _("a fox on a sky blue background"),
        _("a dinosaur on an orange background"),
        _("a strawberry on a pink background"),
        _("an ice cream on a pink background"),
        _("a pumpkin on a purple background"),
        _("a guitar on a blue background"),
        _("a koala on a green background"),
        _("a whale on a blue background"),
        _("a ufo on a black background"),
        _("a volcano on a purple background"),
        _("a bicycle on a yellow background"),
        _("a cactus on an orange background"),
        _("a tulip on a yellow background"),
        _("a sunflower on a blue background"),
        _("a butterfly on a sky blue background"),
        _("a mushroom on a green background"),
        _("a lemon on a purple background"),
        _("a doughnut on a purple background"),
        _("a birthday cake on a sky blue background"),
        _("a cup of coffee on a brown background"),
        _("a house on a sky blue background"),
        _("a sailboat on a sky blue background"),
        _("a rocket on a black background"),
        _("a watermelon on a purple background"),
        _("a full moon on a black background"),
        _("a star on a purple background"),
        _("a snowman on a blue background"),
        _("a robot on an orange background"),
        _("a train on a white background"),
        _("a ghost on a purple background"),
        _("a face with sunglasses on an orange background"),
        _("a soccer ball on a green background"),
    ]


def rich_ideas() -> list[str]:
    """Scenes with light, place and medium, for models that have seen photographs and paintings."""
    return [
        _("a fox crossing a snowy meadow at dusk, storybook illustration, warm lantern light"),
        _("a lighthouse on a cliff in a storm, oil painting, thick brush strokes"),
        _("a cosy bookshop on a rainy evening, reflections on the pavement, cinematic light"),
        _("an old fisherman mending nets, black and white portrait, natural window light"),
        _("a glass greenhouse full of ferns, morning fog, analog film photograph"),
        _("a paper boat sailing through a puddle, macro photograph, shallow depth of field"),
        _("a mountain village under the northern lights, wide angle, long exposure"),
        _("an octopus reading a newspaper, engraving, crosshatched ink on old paper"),
        _("a ramen stall in a narrow alley at night, neon signs, steam, street photograph"),
        _("a hot air balloon over lavender fields, early morning, pastel colours"),
        _("a sleeping dragon curled around a clock tower, watercolour, soft edges"),
        _("a wooden desk with a typewriter and dried flowers, still life, golden hour"),
        _("an astronaut tending a small garden on Mars, wide shot, dust in the sunlight"),
        _("a steam train crossing a stone viaduct in autumn, aerial view"),
        _("a jazz trio in a smoky cellar, art deco poster, three colours"),
        _("a white owl landing on a fence post, falling snow, telephoto photograph"),
        _("a tiny house inside a teapot, isometric, soft clay, studio light"),
        _("a library with spiral staircases and floating lamps, fantasy concept art"),
        _("two children flying a kite on a windy beach, gouache, bold shapes"),
        _("a bowl of ripe figs and blue cheese, dark background, Dutch still life"),
        _("a koi pond seen from above, woodblock print, flat colours"),
        _("a red bicycle leaning against a turquoise wall, hard shadows, film grain"),
        _("a desert observatory under the Milky Way, matte painting, deep blue"),
        _("a hedgehog wearing a knitted scarf, studio portrait, soft grey background"),
        _("an abandoned tram overgrown with ivy, sun rays through broken glass"),
        _("a chef plating dessert, close-up of the hands, steam and warm light"),
        _("a moonlit garden of giant mushrooms, bioluminescent, mist between the stems"),
        _("a brutalist tower above the clouds, architectural photograph, cold morning light"),
    ]
