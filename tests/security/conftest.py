"""Pages with their static files, and no rate limit that another test has used up."""

import pytest

from tests.core.fixtures import static_files

__all__ = ["static_files"]


@pytest.fixture(autouse=True)
def _pages(static_files: None, valkey_is_empty: None) -> None:
    """What every test of this room starts from."""
