"""The disks that this host's data lies on."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk below a folder of ours, `var` or `media`."""

    name: str
    folder: Path
    size_bytes: int
    free_bytes: int


def measure_disks() -> list[Disk]:
    """Those whose folders are there. Images in a bucket lie on none."""
    folders = {"var": settings.VAR.var_dir}
    if not settings.S3_BUCKET:
        folders["media"] = Path(settings.MEDIA_ROOT)
    measured = (_measure(name, folder) for name, folder in folders.items())
    return [disk for disk in measured if disk is not None]


def _measure(name: str, folder: Path) -> Disk | None:
    try:
        usage = shutil.disk_usage(folder)
    except FileNotFoundError:  # nothing was written yet
        return None
    except OSError as error:
        logger.warning("the room on the disk of %s is not known: %s", folder, error)
        return None
    return Disk(name, folder, size_bytes=usage.total, free_bytes=usage.free)
