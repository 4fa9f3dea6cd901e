"""The one tiny model of these tests, offered under the slug `tiny`."""

from pathlib import Path

import pytest

from tests.people import make_model
from tests.pipelines.fixtures import tiny_model_dir as tiny_model_dir
from webapp.catalog.models import DiffusionModel


@pytest.fixture
def tiny(transactional_db: None, tiny_model_dir: Path) -> DiffusionModel:
    """A model on offer that draws: 64 to 256 px a side."""
    return make_model(location=str(tiny_model_dir))
