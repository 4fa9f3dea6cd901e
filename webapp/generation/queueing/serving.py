"""What this worker can draw: models that it is to serve, of which this host has the right files.

A model whose files are not here is another worker's, and nothing is said of it (`studio_watch` does
if it is nobody's). One whose files are others than those that were added is not drawn with, since
the same request would give other images on other hosts, and administrators are told.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from webapp.catalog.locations import is_builtin
from webapp.catalog.manifests import compare_manifest, read_stamp, take_manifest
from webapp.catalog.models import DiffusionModel
from webapp.catalog.selectors import INSTALLED
from webapp.core.connections import let_go_of_database
from webapp.core.notices import tell_admins, withdraw

logger = logging.getLogger(__name__)

SERVED_FOR_S = 2.0
WRONG_FOR_S = 30.0
MOST_NAMED = 3
MOST_OF_CODE = 100  # characters, of a notice's

_lock = threading.Lock()
_served: tuple[float, list[str]] = (0.0, [])


def served_models() -> list[str]:
    """Slugs of the models that this worker draws: all that are installed, or those of
    `DARKROOM_SERVE` among them, if this host has their files. Read at most every two seconds; files
    are compared once, and again when the index or what was added changes, or half a minute after
    they were found to be others. Raises the database's errors.

    Models that were disabled stay in: what was queued before is still drawn.
    """
    global _served
    with _lock:
        read_at, slugs = _served
        if not slugs or time.monotonic() - read_at > SERVED_FOR_S:
            models = list(_models_to_serve())
            slugs = [model.slug for model in models if _files.are_right(model)]
            _served = (time.monotonic(), slugs)
        return slugs


def _models_to_serve() -> QuerySet[DiffusionModel]:
    models = DiffusionModel.objects.filter(INSTALLED).select_related("manifest")
    if settings.SERVED_MODELS:
        models = models.filter(slug__in=settings.SERVED_MODELS)
    return models.defer("manifest__files")


class HostFiles:
    """What this host has of models, as far as it was looked at."""

    def __init__(self, *, host: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.host = host
        self._clock_s = clock_s
        self._known: dict[str, tuple[object, bool, float]] = {}  # by slug: what was looked at, when
        self._told: dict[str, str] = {}

    def are_right(self, model: DiffusionModel) -> bool:
        """True if the model's files are here, and the same as everywhere. Administrators are told
        of others once, and no longer when they are right or gone. Raises the database's errors."""
        stamp = read_stamp(model)
        if is_builtin(model.location):
            return stamp is not None
        manifest = getattr(model, "manifest", None)
        looked_with = (model.path, stamp, manifest and manifest.updated_at)
        before, was_right, at_s = self._known.get(model.slug, (None, False, 0.0))
        if before == looked_with and (was_right or self._clock_s() - at_s < WRONG_FOR_S):
            return was_right
        is_right = stamp is not None and self._look(model)
        self._known[model.slug] = (looked_with, is_right, self._clock_s())
        return is_right

    def _look(self, model: DiffusionModel) -> bool:
        let_go_of_database()
        try:
            manifest = take_manifest(Path(model.path))
        except OSError as error:
            self._tell(model, detail=str(error))
            return False
        if others := compare_manifest(model=model, manifest=manifest):
            self._tell(model, detail=_name(others))
            return False
        withdraw(code=self._code(model))
        self._told.pop(model.slug, None)
        return True

    def _tell(self, model: DiffusionModel, *, detail: str) -> None:
        if self._told.get(model.slug) == detail:
            return
        sentence = _(
            "The files of %(model)s on %(host)s are others than were added, so its worker does not"
            " draw with it. Copy them anew, or accept them on that host with"
            " manage.py models check --accept %(slug)s."
        )
        facts = {"model": model.name, "host": self.host, "slug": model.slug}
        tell_admins(code=self._code(model), sentence=sentence % facts, detail=detail)
        self._told[model.slug] = detail

    def _code(self, model: DiffusionModel) -> str:
        return f"model_files:{model.slug}:{self.host}"[:MOST_OF_CODE]


_files = HostFiles(host=os.uname().nodename)


def _name(files: list[str]) -> str:
    """The first few names."""
    more = len(files) - MOST_NAMED
    return ", ".join(files[:MOST_NAMED]) + (f", +{more}" if more > 0 else "")
