"""How often a bucket is asked for a page of the gallery: `make bench ONLY=storage`.

Throw-away servers, an S3 server of moto's and a wall of pictures. Each request that the studio's
client sends is counted, tries again too.
"""

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from tests.bench.apart import measure_apart
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.trial import TrialFailedError

if TYPE_CHECKING:
    from django.test import Client

PICTURES = 60
BUCKET = "darkroom-bench"
KEYS = {"DARKROOM_S3_ACCESS_KEY": "an-access-key", "DARKROOM_S3_SECRET_KEY": "a-secret-key"}
OK, NOT_MODIFIED = 200, 304


def measure_storage(_bench: Bench) -> Iterator[Figure]:
    """Each figure, from a process that has its own servers; raises TrialFailedError."""
    return measure_apart("tests.bench.storage")


def measure_inside() -> None:
    """Prints the figures as JSON on the last line."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.settings"
    with bucket_server() as address:
        os.environ.update({"DARKROOM_S3_BUCKET": BUCKET, "DARKROOM_S3_ENDPOINT": address, **KEYS})
        import django

        django.setup()
        client, sent = open_studio()
        paths = thumbnails(client)
        sent.clear()
        tags = {path: ask(client, path, OK)["ETag"] for path in paths}
        cold = len(sent)
        for path, tag in tags.items():
            ask(client, path, NOT_MODIFIED, {"If-None-Match": tag})
        warm = len(sent) - cold
    note = f"requests to the bucket for {len(paths)} thumbnails"
    print(
        json.dumps(
            [
                figure("s3_calls_cold", cold, PICTURES, note),
                figure("s3_calls_warm", warm, 0, f"{note} that the browser has"),
            ]
        )
    )


@contextmanager
def bucket_server() -> Iterator[str]:
    """The address of an S3 server with an empty bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    keys = dict(zip(("aws_access_key_id", "aws_secret_access_key"), KEYS.values(), strict=True))
    client = boto3.client("s3", endpoint_url=address, region_name="us-east-1", **keys)
    client.create_bucket(Bucket=BUCKET)
    client.close()
    try:
        yield address
    finally:
        server.stop()


def open_studio() -> "tuple[Client, list[str]]":
    """(somebody signed in who has a page of pictures, every request to the bucket)."""
    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage, storages
    from django.core.management import call_command
    from django.test import Client

    from tests.bench.wall import hang_pictures
    from tests.people import make_model, make_user
    from webapp.core.buckets import BucketStorage
    from webapp.generation.models import Image

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    sent: list[str] = []
    session = cast("BucketStorage", storages["default"])._session
    session.events.register("before-send.s3", lambda request, **_words: sent.append(request.method))
    owner = make_user("person")
    hang_pictures(owner=owner, model=make_model(), pictures=PICTURES)
    for name in Image.objects.values_list("thumbnail", flat=True):
        default_storage.save(name, ContentFile(b"a thumbnail"))
    client = Client(SERVER_NAME="localhost")
    client.force_login(owner)
    return client, sent


def thumbnails(client: "Client") -> list[str]:
    """Those of the gallery's first page; raises TrialFailedError if it is not full."""
    page = client.get("/gallery/").content.decode()
    paths = sorted(set(re.findall(r'src="(/images/[^"]+/thumbnail/)"', page)))
    if len(paths) != PICTURES:
        raise TrialFailedError(f"the page shows {len(paths)} pictures")
    return paths


def ask(client: "Client", path: str, status: int, headers: dict[str, str] | None = None) -> Any:
    """The answer; raises TrialFailedError if it is another one."""
    answer = client.get(path, headers=headers or {})
    if answer.status_code != status:
        raise TrialFailedError(f"{path} answered {answer.status_code}")
    return answer


def figure(name: str, measured: float, wanted: float, note: str) -> dict[str, Any]:
    """As `measure_apart` reads it."""
    return {"name": name, "measured": measured, "wanted": wanted, "note": note}


if __name__ == "__main__":
    measure_inside()
