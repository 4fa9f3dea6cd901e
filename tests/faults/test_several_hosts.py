"""A studio of two hosts, one of which is cut off for a minute: nothing is lost, and nothing is paid
twice."""

import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.hosts import NGINX, PGBOUNCER, Host, Shared, nginx_before, rows
from tests.faults.studio import wait_until
from tests.trial import Trial, TrialFailedError, Visitor

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not (NGINX and PGBOUNCER), reason="nginx and pgbouncer are needed"),
]

AWAY_S = 60.0
PATIENCE_S = 120.0
STATES = "SELECT state FROM generation_image WHERE id = ANY(%s) ORDER BY id"
WORKERS = "SELECT DISTINCT worker FROM generation_image WHERE id = ANY(%s)"
CHARGES = """SELECT image_id FROM credits_entry WHERE image_id = ANY(%s) AND kind = 'capture'
    AND amount_ucr < 0"""


@dataclass
class Spread:
    """Two hosts, of which each has one model, and an address for both."""

    shared: Shared
    one: Host
    two: Host
    address: str

    def states(self, ids: list[str]) -> set[object]:
        return {state for (state,) in rows(self.shared, STATES, ids)}

    def drawn_by(self, ids: list[str]) -> set[str]:
        """The nodes that drew them."""
        return {str(name).rpartition("-")[0] for (name,) in rows(self.shared, WORKERS, ids)}


@pytest.fixture
def spread() -> Iterator[Spread]:
    with tempfile.TemporaryDirectory(prefix="darkroom-hosts-") as name, ExitStack() as stack:
        folder = Path(name)
        shared = Shared(folder)
        stack.enter_context(shared.running())
        hosts = [Host(name, number, shared) for number, name in enumerate(("one", "two"), start=1)]
        for host in hosts:
            stack.enter_context(host.on_the_network())
        for host in hosts:  # each collects its static files; the first migrates
            host.manage("prepare")
        Trial(folder / "maker").run("-m", "worker.pipelines.tiny", str(folder / "tiny"))
        for host in hosts:
            shutil.copytree(folder / "tiny", host.models / host.name)
            host.manage("models", "add", str(host.models / host.name), "--size", "128", "--enable")
        for host in hosts:
            stack.enter_context(host.running())
        address = stack.enter_context(nginx_before(hosts, folder))
        wait_until(lambda: is_ready(address))
        yield Spread(shared, hosts[0], hosts[1], address)


def is_ready(address: str) -> bool:
    """Whether every part is there, a worker too."""
    try:
        Visitor(address).get("/readyz/")
    except TrialFailedError:
        return False
    return True


def ask(visitor: Visitor, model: str, *, count: int, steps: int = 20) -> list[str]:
    """The ids of images that were asked for once, however often it had to be said."""
    key = uuid.uuid4().hex
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return visitor.request_images(
                prompt="a fox", model=model, count=str(count), steps=str(steps), idempotency_key=key
            )
        except TrialFailedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def test_a_host_that_is_cut_off_for_a_minute_loses_nothing_and_the_other_goes_on(
    spread: Spread,
) -> None:
    visitor = Visitor(spread.address)
    visitor.sign_up(email="ada@example.org")
    first, second = ask(visitor, "one", count=2), ask(visitor, "two", count=2)
    visitor.wait_until_ended(first + second, timeout_s=PATIENCE_S)
    assert spread.states(first + second) == {"stored"}
    assert spread.drawn_by(first) == {"worker@one"}
    assert spread.drawn_by(second) == {"worker@two"}
    for image in (first[0], second[0]):  # by whichever web nginx asks
        for _web in range(2):
            assert visitor.get(f"/images/{image}/file/")[:4] == b"\x89PNG"

    held = ask(visitor, "two", count=4, steps=100)
    wait_until(lambda: "running" in spread.states(held))
    spread.two.cut_off()
    cut_at_s = time.monotonic()
    meanwhile = ask(visitor, "one", count=3)
    visitor.wait_until_ended(meanwhile, timeout_s=PATIENCE_S)
    assert spread.states(meanwhile) == {"stored"}
    late = ask(visitor, "two", count=1)
    # The other host's beat leads by then, and takes back what was leased to the one that is away.
    wait_until(lambda: "running" not in spread.states(held))
    time.sleep(max(0.0, cut_at_s + AWAY_S - time.monotonic()))
    assert spread.states(late) == {"queued"}

    spread.two.come_back()
    every = first + second + held + meanwhile + late
    visitor.wait_until_ended(every, timeout_s=PATIENCE_S)
    assert spread.states(every) == {"stored"}
    assert sorted(str(one) for (one,) in rows(spread.shared, CHARGES, every)) == sorted(every)
    assert spread.drawn_by(held + late) == {"worker@two"}
    spread.one.manage("check_credits")
