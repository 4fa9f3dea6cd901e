"""The wall of one's images: every place and search of it is one address."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from webapp.accounts.models import User
from webapp.accounts.requests import SignedInRequest
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import InvalidInput
from webapp.core.methods import require_GET
from webapp.gallery.filters import FAVOURITES, NAMES, SHAPES, WallFilter, read_filter
from webapp.gallery.models import Collection
from webapp.gallery.selectors import (
    COUNTED_MOST,
    WallPage,
    get_collection,
    list_asked_models,
    list_collections,
    list_styles,
    list_wall_page,
)
from webapp.gallery.strings import gallery_strings
from webapp.gallery.tiles import tiles_by_day
from webapp.generation.models import Generation
from webapp.generation.selectors import BIN_DAYS

TILE_ICONS = ("again", "check", "download", "star")


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a search in words, and the address without it."""

    words: str
    query_without: str


@never_cache
@login_required
@require_GET
def gallery(request: SignedInRequest) -> HttpResponse:
    """The owner's images by day, 60 at a time, as the filter of the address says; `?cursor=`
    goes on where a page ended. A filter that cannot be read shows its sentence, with status 400."""
    data = request.GET.dict()
    seen_at = timezone.now()
    try:
        wall = read_filter(data)
        page = list_wall_page(owner=request.user, wall=wall, cursor=data.get("cursor", ""))
    except InvalidInput as error:
        if error.field == "cursor":
            raise
        return _page(request, WallFilter(words=data.get("q", "")[:200]), None, error=error)
    return _page(request, wall, page, seen_at=seen_at)


def _page(
    request: SignedInRequest,
    wall: WallFilter,
    page: WallPage | None,
    *,
    error: InvalidInput | None = None,
    seen_at: datetime | None = None,
) -> HttpResponse:
    models = list_asked_models(owner=request.user)
    styles = list_styles(models)
    collections = list_collections(owner=request.user)
    context = {
        "wall": wall,
        "page": page,
        "error": error,
        "seen_at": seen_at,
        "days": tiles_by_day(page.images, is_bin=wall.is_bin) if page else [],
        "older": _older(wall, page),
        "collection": _here(request.user, wall, collections),
        "collections": collections,
        "models": models,
        "modes": Generation.Mode.choices,
        "shapes": SHAPES.items(),
        "styles": styles,
        "conditions": _conditions(wall, models, styles),
        "hidden": _hidden(wall),
        "kept_days": BIN_DAYS,
        "counted_most": COUNTED_MOST,
        "is_favourites": wall.place == FAVOURITES,
        "tile_icons": TILE_ICONS,
        "strings": gallery_strings(),
    }
    return render(request, "gallery/gallery.html", context, status=error.status if error else 200)


def _here(owner: User, wall: WallFilter, collections: list[Collection]) -> Collection | None:
    wanted = wall.collection_id
    if wanted is None:
        return None
    found = next((one for one in collections if one.pk == wanted), None)
    return found or get_collection(owner=owner, collection_id=wanted)


def _older(wall: WallFilter, page: WallPage | None) -> str:
    if page is None or not page.next_cursor:
        return ""
    return f"{wall.query}&cursor={page.next_cursor}" if wall.query else f"cursor={page.next_cursor}"


def _hidden(wall: WallFilter) -> list[tuple[str, str]]:
    """The filter as hidden fields of a form."""
    pairs = ((NAMES[one.name], getattr(wall, one.name)) for one in fields(wall))
    return [(name, str(value)) for name, value in pairs if value]


def _conditions(
    wall: WallFilter, models: list[DiffusionModel], styles: list[tuple[str, str]]
) -> list[Condition]:
    """What narrows the wall beside its words, each with the way to be rid of it."""
    names: dict[str, dict[str, Any]] = {
        "model": {one.slug: one.name for one in models},
        "style": dict(styles),
        "shape": dict(SHAPES),
        "mode": dict(Generation.Mode.choices),
    }
    found = [
        Condition(str(choices.get(value, value)), wall.without(name).query)
        for name, choices in names.items()
        if (value := getattr(wall, name))
    ]
    if wall.since:
        words = _("from %(day)s") % {"day": wall.since.isoformat()}
        found.append(Condition(words, wall.without("since").query))
    if wall.until:
        words = _("until %(day)s") % {"day": wall.until.isoformat()}
        found.append(Condition(words, wall.without("until").query))
    return found
