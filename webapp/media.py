"""Where images lie and who sends them, from the settings."""

from typing import Any


def media_storages(
    *,
    bucket: str,
    endpoint: str,
    public_endpoint: str,
    region: str,
    access_key: str,
    secret_key: str,
) -> dict[str, dict[str, Any]]:
    """Both storages, as Django takes them. They can be there at once, so that images can be moved
    from one to the other; one is in use."""
    options = {
        "bucket_name": bucket,
        "endpoint_url": endpoint or None,
        "public_endpoint": public_endpoint,
        "region_name": region or None,
        "access_key": access_key or None,
        "secret_key": secret_key or None,
        "default_acl": "private",
        "file_overwrite": True,
    }
    return {
        "folder": {"BACKEND": "webapp.generation.storage.DurableFileSystemStorage"},
        "bucket": {"BACKEND": "webapp.core.buckets.BucketStorage", "OPTIONS": options},
    }


def media_problem(*, storage: str, bucket: str, send: str, public_endpoint: str) -> str:
    """What is wrong with these settings together, in a sentence; "" if nothing is."""
    if storage == "bucket" and not bucket:
        return "DARKROOM_STORAGE=bucket needs DARKROOM_S3_BUCKET."
    if send == "nginx" and storage != "folder":
        return "DARKROOM_SEND_IMAGES=nginx is for images in a folder; with a bucket: web or bucket."
    if send == "bucket" and storage != "bucket":
        return "DARKROOM_SEND_IMAGES=bucket is for images in a bucket; with a folder: web or nginx."
    if send == "bucket" and not public_endpoint:
        return (
            "DARKROOM_SEND_IMAGES=bucket needs DARKROOM_S3_ENDPOINT or DARKROOM_S3_PUBLIC_ENDPOINT."
        )
    return ""
