"""`pretend_cuda`: a pretend CUDA device around one test."""

from collections.abc import Iterator

import pytest

from tests.pretend_cuda.device import PretendCuda


@pytest.fixture
def pretend_cuda() -> Iterator[PretendCuda]:
    """While the test runs, "cuda" is the pretend device, in this thread."""
    with PretendCuda() as gpu:
        yield gpu
