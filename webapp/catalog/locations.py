"""Where a model's files lie: as the database says it for all hosts, and as this host finds it.

What lies below `DARKROOM_MODELS` is kept relative to that folder, and what comes with Darkroom by
its name (`builtin:starter`), so that each host looks into its own folders. Anything else is kept as
an absolute path, and only hosts that have it at just that path can draw with it.
"""

import os
from pathlib import Path

from django.conf import settings

BUILTIN = "builtin:"


def kept_location(path: Path) -> str:
    """What the database keeps for a folder or file of this host."""
    here = _absolute(path)
    if here == _absolute(_builtin_folder(here.parent.name)):
        return BUILTIN + here.parent.name
    root = _absolute(settings.MODELS_ROOT)
    # A root, or a folder below it, may be a link to another disk.
    for place, top in ((here, root), (here.resolve(), root.resolve())):
        if place != top and place.is_relative_to(top):
            return place.relative_to(top).as_posix()
    return str(here.resolve())


def local_path(location: str) -> str:
    """This host's path of a location; "" for "". Whether something lies there is not looked at."""
    if is_builtin(location):
        return str(_builtin_folder(location.removeprefix(BUILTIN)))
    return str(_absolute(settings.MODELS_ROOT) / location) if location else ""


def is_anywhere(location: str) -> bool:
    """False if only hosts that have the files at just this path can draw with them."""
    return not Path(location).is_absolute()


def is_builtin(location: str) -> bool:
    """Whether the files come with Darkroom: each version has its own."""
    return location.startswith(BUILTIN)


def _builtin_folder(name: str) -> Path:
    return Path(settings.BASE_DIR) / "worker" / name / "pipeline"


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # not `resolve`: links stay
