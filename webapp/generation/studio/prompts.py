"""The words that somebody drew with before: newest first, each pair of prompts once a page."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from webapp.accounts.models import User
from webapp.core.cursors import read_cursor, write_cursor
from webapp.core.errors import InvalidInput
from webapp.core.texts import too_long
from webapp.generation.models import Generation

PAGE_SIZE = 50
# Somebody who draws one prompt again and again has few among many: no more are read at once.
MOST_LOOKED_AT = 1000
MAX_SEARCH_LENGTH = 200


@dataclass(frozen=True, slots=True)
class PastPrompt:
    """A prompt, what was left out, and when they were last drawn with."""

    prompt: str
    negative_prompt: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PromptPage:
    """Up to 50 of them; `before` asks for the page behind this one, and is "" on the last.

    A page may hold few, or none, and still have one behind it. A pair may come again on another
    page, if it was drawn with a thousand requests earlier: the reader keeps the first.
    """

    prompts: list[PastPrompt]
    before: str


def list_past_prompts(*, owner: User, words: str = "", before: str = "") -> PromptPage:
    """The owner's past prompts in which all of the words are, behind `before`. One query.

    Raises InvalidInput for a search that is too long, and for a `before` that is not ours.
    """
    found = Generation.objects.filter(_matching(words), owner=owner).exclude(prompt="")
    if before:
        found = found.filter(_behind(before))
    fields = ("prompt", "negative_prompt", "created_at", "pk")
    rows = found.order_by("-created_at", "-pk").values_list(*fields)[:MOST_LOOKED_AT]
    newest: dict[tuple[str, str], PastPrompt] = {}
    place, looked_at = "", 0
    for prompt, negative_prompt, at, pk in rows:
        if len(newest) == PAGE_SIZE:
            return PromptPage(list(newest.values()), place)
        newest.setdefault((prompt, negative_prompt), PastPrompt(prompt, negative_prompt, at))
        place, looked_at = write_cursor(pk, at), looked_at + 1
    return PromptPage(list(newest.values()), place if looked_at == MOST_LOOKED_AT else "")


def _matching(words: str) -> Q:
    if len(words) > MAX_SEARCH_LENGTH or "\x00" in words:
        raise InvalidInput(too_long("search", most=MAX_SEARCH_LENGTH), field="q")
    matching = Q()
    for word in words.split():
        matching &= Q(prompt__icontains=word) | Q(negative_prompt__icontains=word)
    return matching


def _behind(before: str) -> Q:
    at, pk = read_cursor(before, field="before")
    return Q(created_at__lte=at) & (Q(created_at__lt=at) | Q(pk__lt=pk))
