"""What a page tells of what a model can draw: in the line under the prompt while somebody types, in
the list of everything that the model knows, and in ideas for whoever does not know where to begin.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from webapp.catalog.lexicon import Lexicon, negative_phrases
from webapp.catalog.models import DiffusionModel
from webapp.catalog.services import STARTER_SLUG
from webapp.catalog.understanding import MOST_OFFERED, can_draw, parts_not_followed, understand
from webapp.catalog.vocabulary import Vocabulary, in_language
from webapp.catalog.vocabulary_selectors import lexicon_of, tell_count
from webapp.core.errors import InvalidInput

MOST_LETTERS = 2000
LISTED = 4
SHOWN = 6
MOST_IDEAS = 40
SIMPLE, RICH = "simple", "rich"
BEYOND_ONE_UNIT = "\uffff"  # characters after it are two units of JavaScript's strings


def tell_prompt(
    *, model: DiffusionModel, prompt: str, negative_prompt: str, mode: str
) -> dict[str, Any]:
    """For the page's script: the words that the model does not know, each with its places (in
    JavaScript's units) and up to three near ones; `more`, how many unknown ones beyond those;
    `draws`, whether anything would be drawn; what it says of the negative prompt. `knows` is false,
    and nothing else is there, for a model without a vocabulary.

    Raises InvalidInput for texts that no request may have.
    """
    for text in (prompt, negative_prompt):
        if len(text) > MOST_LETTERS or "\x00" in text:
            sentence = _("A prompt has at most %(most)d characters.") % {"most": MOST_LETTERS}
            raise InvalidInput(sentence, field="prompt")
    lexicon = lexicon_of(model)
    if lexicon is None:
        return {"knows": False}
    understood = understand(prompt, lexicon, language=get_language() or "en")
    shown = understood.unknown[:MOST_OFFERED]
    units = _unit_places(prompt)
    return {
        "knows": True,
        "draws": can_draw(understood, mode=mode),
        "unknown": [
            {
                "word": one.word,
                "places": [[units[start], units[end]] for start, end in one.places],
                "near": list(one.near),
            }
            for one in shown
        ],
        "more": len(understood.unknown) - len(shown),
        "negative": negative_sentence(lexicon, negative_prompt),
    }


def negative_sentence(lexicon: Lexicon, negative_prompt: str = "") -> str:
    """What the model makes of the negative prompt: what of it it can't follow, and what it can; ""
    if its vocabulary says nothing of negative prompts."""
    vocabulary = lexicon.vocabulary
    if vocabulary.negative is None:
        return ""
    language = get_language() or "en"
    followed = negative_phrases(vocabulary, language)
    if not followed:
        return _("This model doesn't follow a negative prompt.")
    listed = ", ".join(f"“{phrase}”" for phrase in followed[:LISTED])
    if len(followed) > LISTED:
        listed = _("%(listed)s and the like") % {"listed": listed}
    left = parts_not_followed(negative_prompt, lexicon)
    if not left:
        return _("This model can leave out: %(listed)s.") % {"listed": listed}
    parts = ", ".join(f"“{part}”" for part in left[:LISTED])
    sentence = _("This model can't leave out %(parts)s. It can leave out: %(listed)s.")
    return sentence % {"parts": parts, "listed": listed}


def tell_vocabulary(*, model: DiffusionModel) -> dict[str, Any]:
    """For the list of what the model knows: its things by their names in the page's language and
    its styles; empty for a model without a vocabulary."""
    lexicon = lexicon_of(model)
    language = get_language() or "en"
    vocabulary = lexicon.vocabulary if lexicon else None
    if vocabulary is None:
        return {"model": model.name, "things": [], "styles": []}
    styles = [in_language(style.names, language) for style in vocabulary.styles or ()]
    return {"model": model.name, "things": thing_names(vocabulary, language), "styles": styles}


def count_sentence(model: DiffusionModel | None) -> str:
    """How many things the model knows; "" for a model without a vocabulary."""
    lexicon = lexicon_of(model) if model else None
    return tell_count(lexicon.vocabulary) if lexicon else ""


def follows_sentence(model: DiffusionModel | None) -> str:
    """What the model makes of negative prompts; "" if it says nothing of them."""
    lexicon = lexicon_of(model) if model else None
    return negative_sentence(lexicon) if lexicon else ""


def thing_names(vocabulary: Vocabulary, language: str) -> list[str]:
    """The first name of each thing, in that language if it has one in it, in the file's order."""
    named: dict[str, dict[str, str]] = {}
    for one, names in vocabulary.things.items():
        for phrase, slug in names.items():
            named.setdefault(slug, {}).setdefault(one, phrase)
    return [in_language(names, language) for names in named.values()]


def page_ideas(models: Iterable[DiffusionModel]) -> dict[str, Any]:
    """For the page's script: `of` names the list of each model by slug, `lists` holds them."""
    lists = {SIMPLE: simple_ideas(), RICH: rich_ideas()}
    of = {}
    for model in models:
        kind = _kind_of(model)
        of[model.slug] = kind
        if kind not in lists:
            lists[kind] = ideas_of(model)
    return {"shown": SHOWN, "of": of, "lists": lists}


def first_ideas(model: DiffusionModel | None) -> list[str]:
    """The few that an empty studio shows."""
    return (ideas_of(model) if model else rich_ideas())[:SHOWN]


def _unit_places(text: str) -> range | list[int]:
    """Place in characters -> place in UTF-16 units, as a text field of a page counts."""
    if all(char <= BEYOND_ONE_UNIT for char in text):
        return range(len(text) + 1)
    places = [0]
    for char in text:
        places.append(places[-1] + (1 if char <= BEYOND_ONE_UNIT else 2))
    return places


def _kind_of(model: DiffusionModel) -> str:
    """A model with a vocabulary has a list of its own; slugs have no colon."""
    if lexicon_of(model) is not None:
        return f"of:{model.slug}"
    return SIMPLE if model.slug == STARTER_SLUG else RICH


def ideas_of(model: DiffusionModel) -> list[str]:
    """Prompts that the model can draw, in the language of the page."""
    lexicon = lexicon_of(model)
    if lexicon is not None:
        return list(_known_ideas(lexicon, get_language() or "en"))
    return simple_ideas() if model.slug == STARTER_SLUG else rich_ideas()


@lru_cache(maxsize=64)
def _known_ideas(lexicon: Lexicon, language: str) -> tuple[str, ...]:
    """Ideas of which the model knows every word; if those are few, its things by their names."""
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
