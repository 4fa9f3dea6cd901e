"""One real studio for the whole folder: leases of ten seconds, a tiny model, a visitor."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.studio import Studio
from tests.trial import Trial


@pytest.fixture(scope="package")
def studio() -> Iterator[Studio]:
    # Not pytest's folder: the sockets' paths must be short.
    with tempfile.TemporaryDirectory(prefix="darkroom-faults-") as folder:
        settings = {"DARKROOM_LEASE_S": "10", "DARKROOM_TORCH_THREADS": "1"}
        trial = Trial(Path(folder), settings)
        with trial.running():
            yield Studio(trial, trial.offer_tiny_model())
