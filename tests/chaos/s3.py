"""Images in S3: a server of moto behind a proxy that hangs or refuses when it is told to."""

import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.chaos.keeper import Keeper
from tests.faults.hanging_proxy import order
from tests.trial import TrialFailedError, free_port
from webapp.embedded.process import Service
from webapp.embedded.stack import PROJECT

BUCKET, KEY = "chaos", "chaos"
READY_S = 60.0
WORDS = {"s3_hangs": "hang", "s3_refuses": "refuse"}


class Bucket:
    """A bucket of a server of its own, which nothing kills: it keeps everything in memory."""

    how = "moto's S3 server behind a proxy"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.proxy_port = free_port(), free_port()
        self.control = folder / "s3-proxy.sock"

    def start(self, keeper: Keeper) -> None:
        """Returns when the bucket is there; raises TrialFailedError."""
        server = ("-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port))
        between = ("--upstream", f"127.0.0.1:{self.port}", "--listen")
        proxy = ("-m", "tests.faults.hanging_proxy", *between, f"127.0.0.1:{self.proxy_port}")
        keeper.run(_service("s3", server))
        keeper.run(_service("s3_proxy", (*proxy, "--control", str(self.control))))
        deadline = time.monotonic() + READY_S
        while not (self.control.exists() and self._answers()):
            if time.monotonic() > deadline:
                raise TrialFailedError("the S3 server did not come up")
            time.sleep(0.2)
        self.client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=KEY,
            aws_secret_access_key=KEY,
            region_name="us-east-1",
            config=Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 1}),
        )
        self.client.create_bucket(Bucket=BUCKET)

    def settings(self) -> dict[str, str]:
        """The studio reaches it through the proxy alone."""
        return {
            "DARKROOM_S3_BUCKET": BUCKET,
            "DARKROOM_S3_ENDPOINT": f"http://127.0.0.1:{self.proxy_port}",
            "DARKROOM_S3_ACCESS_KEY": KEY,
            "DARKROOM_S3_SECRET_KEY": KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def names(self) -> Iterator[str]:
        """Every object."""
        for listed in self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for one in listed.get("Contents", []):
                yield one["Key"]

    def read(self, name: str) -> bytes | None:
        """An object's bytes; None if it is not there."""
        try:
            return bytes(self.client.get_object(Bucket=BUCKET, Key=name)["Body"].read())
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise

    def begin(self, fault: str) -> None:
        """`s3_hangs` or `s3_refuses`."""
        order(self.control, WORDS[fault])

    def end(self) -> None:
        """Whatever was held back goes on."""
        order(self.control, "resume")

    def keep(self, folder: Path) -> None:
        """The names alone; the server keeps nothing."""
        (folder / "objects.txt").write_text("\n".join(self.names()) + "\n", encoding="utf-8")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=2):
                return True
        except OSError:
            return False


def _service(name: str, words: tuple[str, ...]) -> Service:
    return Service(name=name, argv=(sys.executable, *words), cwd=PROJECT, stop_timeout_s=5)
