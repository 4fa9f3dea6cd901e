"""Models on the disk, and `manage.py models`."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import call_command

from tests.pipelines.fixtures import tiny_model_dir

__all__ = ["tiny_model_dir"]


@pytest.fixture
def manage_models(db: None, settings: LazySettings, tmp_path: Path) -> Callable[..., str]:
    """`manage_models("list")`: what `manage.py models list` prints."""
    settings.MODELS_ROOT = tmp_path / "models"

    def run(*arguments: str | Path) -> str:
        said = io.StringIO()
        call_command("models", *map(str, arguments), stdout=said)
        return said.getvalue()

    return run
