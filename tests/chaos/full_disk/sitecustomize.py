"""If no small filesystem can be mounted: writing below the media folder raises what a full or a
read-only disk raises, for as long as the file `CHAOS_MEDIA_FAULT` names the error."""

import builtins
import errno
import io
import os
from pathlib import Path
from typing import Any

MEDIA, FAULT = os.environ.get("DARKROOM_MEDIA", ""), Path(os.environ.get("CHAOS_MEDIA_FAULT", "/-"))
opened = io.open


def open_or_fail(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
    """As `open`, unless the disk refuses."""
    is_ours = isinstance(file, str | os.PathLike) and str(file).startswith(MEDIA)
    if MEDIA and is_ours and set(mode) & set("wxa+") and FAULT.exists():
        with opened(FAULT) as said:
            number = getattr(errno, said.read().strip())
        raise OSError(number, os.strerror(number), str(file))
    return opened(file, mode, *arguments, **options)


builtins.open = io.open = open_or_fail
