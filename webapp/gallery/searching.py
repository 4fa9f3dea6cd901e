"""The conditions of a search, for queries of images."""

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
from webapp.gallery.words import write_tsquery

QUERY = "({facets}::tsquery && to_tsquery('simple', {words}))"


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
