"""The conditions of a search, for queries of images, and how its words are cut.

The column that is searched, and how the words of a prompt are cut, stand in
`migrations/generation/0007_search_folding.py`; a query is cut in the same way.
"""

import re
import unicodedata
import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, F, Func, Value
from django.db.models.sql.compiler import SQLCompiler
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput
from webapp.gallery.filters import WallFilter

QUERY = "({facets}::tsquery && to_tsquery('simple', {words}))"
# Chinese and Japanese are written without spaces: each character is a word there.
ONE_BY_ONE = re.compile("([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
# Korean particles follow their word: "사과" finds "사과의" wherever it stands in the query.
HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]$")
# Letters, numbers, and the marks that belong to a letter; all else stands between words.
WORD_CATEGORIES = frozenset("LNM")
# What nobody sees, such as soft hyphens and joiners (Unicode's Default_Ignorable_Code_Point): it
# comes along with what is pasted, and is no part of a word.
UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)


@dataclass(frozen=True, slots=True)
class Search:
    """What the requests of the images must hold: lexemes with a colon, and words."""

    facets: str
    words: str


def write_search(*, owner: User, wall: WallFilter) -> Search | None:
    """The search that a filter asks for; None if it asks for no word, model, style, shape or
    mode. Raises InvalidInput for a model that is not there and for words without a letter."""
    named = {"style": wall.style, "shape": wall.shape, "mode": wall.mode}
    facets = [f"'{name}:{value}'" for name, value in named.items() if value]
    if wall.model:
        facets.append(f"'model:{_model_id(wall.model)}'")
    words = write_tsquery(wall.words)
    if wall.words and not words:
        raise InvalidInput(_("A search needs at least one letter or number."), field="q")
    if not facets and not words:
        return None
    return Search(" & ".join([f"'owner:{owner.pk}'", *facets]), words)


def fold(text: str) -> str:
    """The text as words are compared: compatible forms made one, what nobody sees left out, and
    folded in full ("ß" is "ss", a final sigma is a sigma)."""
    seen = UNSEEN.sub("", unicodedata.normalize("NFKC", text))
    return unicodedata.normalize("NFKC", seen.casefold())


def write_tsquery(text: str) -> str:
    """All words of the text, the last one (and every Korean one) also as the beginning of a word;
    "" if there is no word in it. Only letters, numbers and marks come from the text."""
    words = _cut(fold(text))
    last = len(words) - 1
    return " & ".join(_write_word(word, number == last) for number, word in enumerate(words))


def _cut(text: str) -> list[str]:
    kept = (one if unicodedata.category(one)[0] in WORD_CATEGORIES else " " for one in text)
    return "".join(kept).split()


def _write_word(word: str, is_last: bool) -> str:
    parts = ONE_BY_ONE.sub(r" \1 ", word).split()
    ending = ":*" if is_last or HANGUL.search(word) else ""
    phrase = " <-> ".join(f"'{part}'" for part in parts) + ending
    return f"({phrase})" if len(parts) > 1 else phrase


def _model_id(slug: str) -> int:
    found = DiffusionModel.objects.filter(slug=slug).values_list("pk", flat=True).first()
    if found is None:
        raise InvalidInput(_("There is no such model."), field="model")
    return found


class _Condition(Func):
    """A condition on the request of an image, in terms of its `search` column, which the model
    does not know."""

    output_field = BooleanField()
    statement = ""

    def __init__(self, search: Search) -> None:
        super().__init__(F("generation_id"), Value(search.facets), Value(search.words))

    def as_sql(  # type: ignore[override]  # nobody hands a template in
        self, compiler: SQLCompiler, connection: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        """The statement about the column that the image names its request by."""
        compiled = [compiler.compile(one) for one in self.get_source_expressions()]
        (request, _none), (facets, facet), (words, word) = compiled
        query = QUERY.format(facets=facets, words=words)
        return self.statement.format(request=request, query=query), (*facet, *word)


class Among(Func):
    """The request of an image is one of these."""

    output_field = BooleanField()
    template = "%(expressions)s"
    arg_joiner = " = ANY"

    def __init__(self, requests: list[uuid.UUID]) -> None:
        super().__init__(F("generation_id"), Func(Value(requests), template="(%(expressions)s)"))


class FoundFirst(_Condition):
    """Reads the index once, whatever the order of the images: for rare words. `IS TRUE` keeps
    PostgreSQL from joining, for which its guesses about words are too bad."""

    statement = (
        "({request} IN (SELECT id FROM generation_generation WHERE search @@ {query})) IS TRUE"
    )


class LookedAt(_Condition):
    """Looks at the request of one image after the other: for common words, where few images have
    to be looked at. The function, unlike its operator, never uses the index."""

    statement = (
        "(EXISTS (SELECT FROM generation_generation AS asked WHERE asked.id = {request}"
        " AND ts_match_vq(asked.search, {query}))) IS TRUE"
    )
