"""What a page tells of a model's vocabulary: in the line under the prompt while somebody types, and
in the list of everything that the model knows."""

from typing import Any

from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from webapp.catalog.lexicon import Lexicon, negative_phrases
from webapp.catalog.models import DiffusionModel
from webapp.catalog.vocabulary import Vocabulary, in_language
from webapp.catalog.vocabulary_selectors import lexicon_of
from webapp.core.errors import InvalidInput
from webapp.generation.request.understanding import MOST_OFFERED, parts_not_followed, understand
from webapp.generation.request.vocabulary_checks import can_draw

MOST_LETTERS = 2000
LISTED = 4
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
    if lexicon is None:
        return ""
    count = lexicon.vocabulary.thing_count
    sentence = ngettext("It knows %(count)d thing.", "It knows %(count)d things.", count)
    return sentence % {"count": count}


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


def _unit_places(text: str) -> range | list[int]:
    """Place in characters -> place in UTF-16 units, as a text field of a page counts."""
    if all(char <= BEYOND_ONE_UNIT for char in text):
        return range(len(text) + 1)
    places = [0]
    for char in text:
        places.append(places[-1] + (1 if char <= BEYOND_ONE_UNIT else 2))
    return places
