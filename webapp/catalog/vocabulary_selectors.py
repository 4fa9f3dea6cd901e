"""Reading the vocabularies of models: from the database once in each process, however often they
are asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webapp.catalog.lexicon import Lexicon
from webapp.catalog.models import DiffusionModel, ModelVocabulary
from webapp.catalog.vocabulary import Vocabulary, parse_vocabulary

StyleNames = Mapping[str, Mapping[str, str]]  # slug -> language -> name
KEPT_HERE = 16


@dataclass(frozen=True, slots=True)
class KeptVocabulary:
    """`lexicon` is None for a model without a vocabulary; the names of styles that it had while it
    had one stay."""

    lexicon: Lexicon | None = None
    style_names: StyleNames = field(default_factory=dict)


NOTHING = KeptVocabulary()


def kept_vocabulary(model: DiffusionModel) -> KeptVocabulary:
    """What is kept of the model's vocabulary, as its row knew it when `model` was read; asks the
    database only for what this process has not seen yet."""
    if not model.vocabulary_digest:
        return NOTHING
    return _load(model.pk, model.vocabulary_digest)


def lexicon_of(model: DiffusionModel) -> Lexicon | None:
    """The model's words, ready to be looked up; None for a model without a vocabulary."""
    return kept_vocabulary(model).lexicon


def vocabulary_of(model: DiffusionModel) -> Vocabulary | None:
    """What the model says that it knows; None for a model without a vocabulary."""
    lexicon = lexicon_of(model)
    return lexicon.vocabulary if lexicon else None


def tell_count(vocabulary: Vocabulary) -> str:
    """How many things it knows, in a sentence."""
    count = vocabulary.thing_count
    sentence = ngettext("It knows %(count)d thing.", "It knows %(count)d things.", count)
    return sentence % {"count": count}


def offered_sizes(model: DiffusionModel) -> Sequence[tuple[int, int]]:
    """The sizes that the model names, (width, height) in pixels; () if its limits alone decide."""
    vocabulary = vocabulary_of(model)
    return (vocabulary.sizes if vocabulary else None) or ()


def list_sizes(sizes: Sequence[tuple[int, int]]) -> str:
    """ "256 × 256, 384 × 256 or 256 × 384"."""
    return get_text_list([f"{width} × {height}" for width, height in sizes], _("or"))


@lru_cache(maxsize=KEPT_HERE)
def _load(model_id: int, digest: str) -> KeptVocabulary:
    """By its digest: another vocabulary has another one, so that nothing here is ever out of date.
    (Where a newer one was written since the model was read, that is what is found and used.)"""
    row = ModelVocabulary.objects.get(model_id=model_id)
    lexicon = Lexicon(parse_vocabulary(row.body.encode())) if row.body else None
    return KeptVocabulary(lexicon, row.style_names)
