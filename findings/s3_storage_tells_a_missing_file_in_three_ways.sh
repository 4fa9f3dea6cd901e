#!/usr/bin/env bash
# django-storages 1.14.6, S3: four questions about a file that is not there are answered in three ways.
#
# Guess: what Django's storage API says of a folder holds for a bucket: exists() is False, and open(),
# size() and get_modified_time() raise FileNotFoundError. Seen: exists() is False, open() and size()
# raise FileNotFoundError, and get_modified_time() raises botocore's ClientError, which is no OSError:
# it passes by an `except FileNotFoundError` or `except OSError` that worked on a folder. A sweep that
# asks how old a file is, and meets one that was deleted meanwhile, ends there.
#
# So Darkroom's sweep asks no file for its time: it reads it from the listing
# (`tests/core/test_buckets.py`), and the errors of a bucket are translated in one place.
#
# Installs pinned public packages into a temporary folder and runs them without the product, against
# moto's S3 server; fails when the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  Django==5.2.19 django-storages==1.14.6 boto3==1.44.5 'moto[s3]==5.2.5'
cd "$folder"
cat > ask.py <<'PYTHON'
import boto3
from django.conf import settings
from moto import mock_aws

settings.configure(USE_TZ=True)
from storages.backends.s3 import S3Storage

QUESTIONS = ("exists", "open", "size", "get_modified_time")


def answer(storage, question):
    """What comes back, or the error's name and whether it is an OSError."""
    try:
        return str(getattr(storage, question)("missing.png"))
    except Exception as error:
        return type(error).__name__ + (" (OSError)" if isinstance(error, OSError) else "")


with mock_aws():
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="images")
    storage = S3Storage(bucket_name="images", region_name="us-east-1")
    print(", ".join(f"{one}: {answer(storage, one)}" for one in QUESTIONS))
PYTHON
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
said=$("$folder/venv/bin/python" ask.py)
echo "$said"
missing="FileNotFoundError (OSError)"
[ "$said" = "exists: False, open: $missing, size: $missing, get_modified_time: ClientError" ]
