"""What a model with a vocabulary is not asked for: things, styles and sizes that it does not know.

Whoever asks is told before anything is held or charged. What is refused, by mode:

text              no thing that it draws is named
image, inpaint    no word of the prompt is known: "a blue background" names no thing, but a start
                  image takes it up, and a mask painted over something is how it goes away
upscale           nothing: the words are those that the image was drawn with

Words that are unknown beside others that are known are no reason to refuse: the page has said so.
"""

from collections.abc import Sequence

from django.utils.text import get_text_list
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from webapp.catalog.models import DiffusionModel
from webapp.catalog.vocabulary_selectors import lexicon_of, vocabulary_of
from webapp.core.errors import InvalidInput
from webapp.generation.request.spec import GenerationSpec, Mode
from webapp.generation.request.styles import PLAIN, offered_styles
from webapp.generation.request.understanding import Understanding, understand


def check_words(spec: GenerationSpec, *, model: DiffusionModel) -> None:
    """None if the model can draw something of the prompt; raises InvalidInput otherwise, see the
    module. Never anything for a model without a vocabulary."""
    lexicon = lexicon_of(model)
    if lexicon is None:
        return
    understood = understand(spec.prompt, lexicon, language=get_language() or "en")
    if not can_draw(understood, mode=spec.mode):
        raise InvalidInput(_nothing_to_draw(understood, model), field="prompt")


def can_draw(understood: Understanding, *, mode: str) -> bool:
    """Whether a request of that mode comes to anything."""
    if mode in {Mode.IMAGE, Mode.INPAINT}:
        return understood.known > 0
    return bool(understood.things) or mode == Mode.UPSCALE


def check_named_size(model: DiffusionModel, *, width_px: int, height_px: int, field: str) -> None:
    """None for a size that the model names, and for a model that names none; raises InvalidInput
    with those that it does."""
    sizes = offered_sizes(model)
    if sizes and (width_px, height_px) not in sizes:
        sentence = _("%(model)s draws %(sizes)s pixels; %(width)d × %(height)d is not among them.")
        facts = {"model": model.name, "width": width_px, "height": height_px}
        raise InvalidInput(sentence % (facts | {"sizes": list_sizes(sizes)}), field=field)


def offered_sizes(model: DiffusionModel) -> Sequence[tuple[int, int]]:
    """The sizes that the model names, (width, height) in pixels; () if its limits alone decide."""
    vocabulary = vocabulary_of(model)
    return (vocabulary.sizes if vocabulary else None) or ()


def list_sizes(sizes: Sequence[tuple[int, int]]) -> str:
    """ "256 × 256, 384 × 256 or 256 × 384"."""
    return get_text_list([f"{width} × {height}" for width, height in sizes], _("or"))


def style_or_none(slug: str, *, model: DiffusionModel | None) -> str:
    """The style, if it is offered for the model; none of them otherwise."""
    offered = {style.slug for style in offered_styles(model)}
    return slug if slug in offered else PLAIN


def _nothing_to_draw(understood: Understanding, model: DiffusionModel) -> str:
    offers = list(dict.fromkeys(near for word in understood.unknown for near in word.near))
    if not offers:
        sentence = _("%(model)s can't draw any of this. Name a thing that it knows.")
        return sentence % {"model": model.name}
    sentence = _("%(model)s can't draw any of this. Near words that it knows: %(offers)s.")
    return sentence % {"model": model.name, "offers": ", ".join(offers[:6])}
