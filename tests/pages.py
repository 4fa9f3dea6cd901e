"""What tests of pages need that nobody has collected static files for."""

from pathlib import Path

from django.conf import LazySettings


def serve_plain_static(settings: LazySettings) -> None:
    """Static files keep their names; the folder that WhiteNoise looks for is there, and empty."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
