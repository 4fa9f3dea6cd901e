"""Fixtures that the rooms with pages share."""

import pytest
from django.conf import settings
from django.core.management import call_command


@pytest.fixture(scope="session")
def static_files() -> None:
    """Collected static files, once a run: pages name them by their manifest, as in production."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0)
