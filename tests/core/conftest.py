"""Fixtures of this room's tests."""

from tests.core.fixtures import static_files

__all__ = ["static_files"]
