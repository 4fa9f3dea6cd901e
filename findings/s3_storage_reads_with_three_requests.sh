#!/usr/bin/env bash
# django-storages 1.14.6, S3Storage: reading one file, `storage.open(name).read()`, is three requests.
#
# Guess: one GET. Seen: HEAD, HEAD, GET. `open` looks whether the object is there, and the first read
# asks boto's managed download, which looks at the size before it gets. And each thread that reads
# makes a boto3 resource of its own, which costs processor time before any request: a server with a
# thread for each request pays it for each request.
#
# So a page of sixty thumbnails is 180 requests to the bucket and sixty clients. What we do instead
# (`webapp/core/buckets.py`): one client for the process, one GetObject for each read.
#
# Installs pinned public packages into a temporary folder and runs them without the product; fails
# when the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  Django==5.2.19 'django-storages[s3]==1.14.6' boto3==1.44.5 'moto[server]==5.2.5'
cd "$folder"
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import logging
import threading

import boto3
import django
from django.conf import settings
from django.core.files.base import ContentFile
from moto.server import ThreadedMotoServer

asked = []


class Listener(logging.Handler):
    def emit(self, record):
        line = record.getMessage()
        asked.extend(verb for verb in ("HEAD", "GET", "PUT") if f'"{verb} /images/' in line)


logging.getLogger("werkzeug").addHandler(Listener())
logging.getLogger("werkzeug").setLevel(logging.INFO)
server = ThreadedMotoServer(port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
options = {
    "bucket_name": "images",
    "endpoint_url": f"http://127.0.0.1:{port}",
    "access_key": "a",
    "secret_key": "b",
    "region_name": "us-east-1",
}
settings.configure(STORAGES={"default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}})
django.setup()
from django.core.files.storage import default_storage as storage

boto3.client(
    "s3", endpoint_url=options["endpoint_url"], aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
).create_bucket(Bucket="images")
storage.save("one.png", ContentFile(b"x" * 1000))

asked.clear()
with storage.open("one.png") as file:
    assert file.read() == b"x" * 1000
print("one read:", *asked)

clients = []
mine = threading.Thread(target=lambda: clients.append(storage.connection))
mine.start()
mine.join()
is_shared = clients[0] is storage.connection
print("the same boto3 resource in two threads:", is_shared)
server.stop()
assert asked == ["HEAD", "HEAD", "GET"], asked
assert not is_shared
PYTHON
