"""How long a backup of a studio takes, and how long to try it out: `make bench ONLY=restoring`.

10,000 images of 60 KB with their small copies, made by SQL; then `make backup` into a folder of the
same disk, and the restore drill: a studio of its own, every file held against its hash, an image
drawn by the starter model, the ledger checked with all files, everything counted.
"""

import hashlib
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.apart import measure_apart
from tests.bench.bench import Bench
from tests.bench.figures import Figure

LINES = 10_041  # of which 10,000 are charged
IMAGE_BYTES, SMALL_BYTES, STRIP_BYTES = 60_000, 5_000, 15_000
DRILL_S = 180.0
# Names as workers give them; nobody decodes the bytes.
NAMED = """
UPDATE generation_image SET
    file = stem || '.png', thumbnail = stem || '.webp', strip = stem || '-strip.webp',
    sha256 = %s, size_bytes = %s
FROM (SELECT id AS image, 'images/' || left(replace(id::text, '-', ''), 2) || '/'
        || replace(id::text, '-', '') || '-0123456789ab' AS stem FROM generation_image) AS named
WHERE named.image = id AND state = 'stored'
"""
# What was given for a code needs the code, which the bulk has none of.
WITHOUT_CODES = [
    f"UPDATE credits_{table} SET kind = 'allowance' WHERE kind = 'code'"  # noqa: S608
    for table in ("transaction", "entry")
]


def measure_restoring(_bench: Bench) -> Iterator[Figure]:
    """Each figure, from a process that has its own servers; raises TrialFailedError."""
    return measure_apart("tests.bench.restoring")


def measure_inside() -> None:
    """Makes the studio and prints the figures as JSON on the last line."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    import django

    django.setup()
    from django.core.management import call_command

    from webapp.operations.backups.drill import drill
    from webapp.operations.backups.folder_place import FolderPlace
    from webapp.operations.backups.making import make_backup

    call_command("migrate", verbosity=0)
    images = make_studio()
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-backup-") as folder:
        made = make_backup(place=FolderPlace(Path(folder)))
        _manifest, drill_s = drill(at=(folder, made.name), below=Path(folder))
    facts = f"{images} images, {made.manifest.files} files, {made.manifest.size_bytes >> 20} MB"
    figures = [
        {"name": "backup_s", "measured": made.took_s, "note": facts},
        {"name": "drill_s", "measured": drill_s, "wanted": DRILL_S, "note": facts},
    ]
    print(json.dumps(figures))


def make_studio() -> int:
    """One user with so many images, and their files; returns how many."""
    from django.conf import settings
    from django.db import connection, transaction

    from tests.bench.bulk import Bulk, make_bulk
    from tests.people import make_model
    from webapp.generation.models import Image

    begun = time.monotonic()
    make_bulk(Bulk(people=1, lines=LINES, released=0), model_id=make_model().pk, triggers=False)
    image = secrets.token_bytes(IMAGE_BYTES)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in WITHOUT_CODES:
            cursor.execute(statement)
        cursor.execute(NAMED, [hashlib.sha256(image).hexdigest(), IMAGE_BYTES])
    small, strip = secrets.token_bytes(SMALL_BYTES), secrets.token_bytes(STRIP_BYTES)
    media = Path(settings.MEDIA_ROOT)
    for byte in range(256):
        (media / "images" / f"{byte:02x}").mkdir(parents=True)
    stored = Image.objects.filter(state=Image.State.STORED)
    for names in stored.values_list("file", "thumbnail", "strip"):
        for name, body in zip(names, (image, small, strip), strict=True):
            (media / name).write_bytes(body)
    count = stored.count()
    print(f"{count} images made in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return count


if __name__ == "__main__":
    measure_inside()
