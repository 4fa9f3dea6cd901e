"""A bucket that can be made to hang, to refuse, and to count what it is asked, for tests that name
the fixtures `hanging_bucket` and `bucket_calls`."""

import logging
from collections.abc import Iterator
from typing import cast

import boto3
import pytest
from django.conf import LazySettings
from django.core.files.storage import storages
from moto.server import ThreadedMotoServer

from tests.core.bucket_calls import BUCKET, KEYS, BucketCalls
from tests.faults.hanging_proxy import HangingProxy
from webapp.core.buckets import BucketStorage
from webapp.core.neighbours import STORAGE


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[tuple[str, int]]:
    """An S3 server with an empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
    )
    client.create_bucket(Bucket=BUCKET)
    client.close()
    yield host, port
    server.stop()


@pytest.fixture
def hanging_bucket(
    settings: LazySettings, bucket_server: tuple[str, int]
) -> Iterator[HangingProxy]:
    """The studio's storage is a bucket behind a proxy."""
    STORAGE.answered()
    with HangingProxy(upstream=bucket_server) as proxy:
        options = {"bucket_name": BUCKET, "endpoint_url": proxy.url, "region_name": "us-east-1"}
        settings.STORAGES = {
            **settings.STORAGES,
            "default": {
                "BACKEND": "webapp.core.buckets.BucketStorage",
                "OPTIONS": {**options, **KEYS, "default_acl": "private", "file_overwrite": True},
            },
        }
        yield proxy
        proxy.resume()
        cast("BucketStorage", storages["default"]).close()
    STORAGE.answered()


@pytest.fixture
def bucket_calls(hanging_bucket: HangingProxy) -> BucketCalls:
    """Counts what is sent to the bucket from now on."""
    calls = BucketCalls()
    storage = cast("BucketStorage", storages["default"])
    storage._session.events.register("before-send.s3", calls)
    return calls
