"""A real Celery worker that can't have its device says so, and ends."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.running import running_worker, wait_until
from webapp.catalog.models import DiffusionModel
from webapp.core.models import Notice
from webapp.core.valkey import valkey
from webapp.embedded.worker_health import default_node, read_health
from worker.tasks import prepare_environment

pytestmark = pytest.mark.django_db(transaction=True)

END_S = 120.0
NODE = default_node().replace("worker@", "tests@")


@pytest.fixture(autouse=True)
def _own_valkey(valkey_is_empty: None) -> Iterator[None]:
    yield
    valkey().flushdb()


def run(folder: Path, **environment: str) -> tuple[int, str]:
    """Exit status and log."""
    with running_worker(folder, **environment) as worker:
        log = folder / "worker.log"
        wait_until(lambda: worker.poll() is not None, END_S, log, worker)
        return worker.returncode, log.read_text(errors="replace")


def trouble(node: str, var: Path) -> str:
    """What the health check says of the worker, "" if it is well."""
    health = read_health(node, var=var)
    assert health is not None
    return health.trouble(now_s=time.monotonic())


@pytest.mark.slow("four workers start, one after the other", unless_changed="worker")
@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        ("mps", "DARKROOM_DEVICE is mps, but torch does not find it here."),
        ("gpu", "DARKROOM_DEVICE is 'gpu'; it must be one of auto, cuda, mps, cpu, or one GPU of"),
    ],
)
@pytest.mark.skipif(sys.platform == "darwin", reason="mps may be there")
def test_the_reason_stands_in_the_log_once_and_before_administrators_until_it_is_gone(
    offered_model: DiffusionModel, tmp_path: Path, device: str, sentence: str
) -> None:
    var = tmp_path / "var"
    status, log = run(tmp_path, DARKROOM_DEVICE=device, DARKROOM_VAR=str(var))
    assert status == 1
    assert trouble(NODE, var).startswith(f"It can't draw. {sentence}")
    assert log.count(sentence) == 1
    assert "Traceback" not in log
    assert not re.search(r"^.*celery.redirected.*$", log, re.MULTILINE)
    notice = Notice.objects.get()
    assert notice.code.startswith("no_engine:tests@")
    assert notice.sentence.removeprefix(notice.code.partition(":")[2]).startswith(f": {sentence}")
    with running_worker(tmp_path, DARKROOM_VAR=str(var)):
        wait_until(lambda: not Notice.objects.exists(), END_S)
        wait_until(lambda: not trouble(NODE, var), END_S)
    assert trouble(NODE, var) == "It can't draw. It was stopped."
    log = (tmp_path / "worker.log").read_text(errors="replace")
    (line,) = re.findall("the engine draws on .*", log)
    assert re.search(r"CPU, 1 threads, torch \S+, float32 for sd .* GB free, graphs off", line)


def test_what_python_prints_of_a_thread_that_dies_is_readable() -> None:
    """Celery made a line of the log of each piece that is written: of every single "^"."""
    script = (
        "import threading, django; django.setup();"
        "from webapp.celery import app; app.log.setup(redirect_stdouts="
        "app.conf.worker_redirect_stdouts);"
        "thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    ).stderr
    assert "ZeroDivisionError: division by zero\n" in told
    assert "redirected" not in told


def test_an_administrators_own_settings_of_torch_stay() -> None:
    environment: dict[str, str] = {}
    prepare_environment(environment)
    assert environment == {
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTORCH_ALLOC_CONF": "expandable_segments:True",
    }
    old_name = {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:512", "OMP_WAIT_POLICY": "ACTIVE"}
    environment = dict(old_name)
    prepare_environment(environment)
    assert environment == old_name
