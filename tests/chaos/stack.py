"""A whole studio that can be broken: the real commands, in a folder of its own.

servers   `python -m webapp.embedded servers`: PostgreSQL and Valkey
proxy     between everything and PostgreSQL; it can lose the answer to a commit
studio    `python -m webapp.embedded up`: web, worker and beat
second    another worker, by the command of the first
"""

import contextlib
import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.chaos.diary import Diary
from tests.chaos.keeper import Keeper, tree
from tests.chaos.media import Media
from tests.chaos.schedule import LEASE_S
from tests.faults.cutting_proxy import order, unix_socket
from tests.faults.processes import send
from tests.trial import Trial, free_port, own_environment
from webapp.embedded.paths import VarLayout
from webapp.embedded.process import Service
from webapp.embedded.stack import PROJECT, Stack

ADMIN_EMAIL, ADMIN_PASSWORD = "admin@example.org", "a long and quiet password"
SLUG, SIDE_PX = "tiny", 64
READY_S = 240.0
WORKER_S = 90.0  # torch loads slowly on a busy machine
# Files are left alone for an hour: nobody writes any more when this is run.
SWEEP = """
from datetime import timedelta
from webapp.generation import orphans, storage
found = list(orphans.find_orphans(older_than=timedelta(0)))
storage.delete_files(*found)
print(len(found))
"""
SERVERS = ("postgres", "valkey")
APPS = ("web", "worker", "beat")


class NotReady(Exception):
    """The studio did not come up; the message says what was waited for."""


class ChaosStack:
    """The studio of one run. Start it, break it, stop it."""

    def __init__(self, folder: Path, *, media: Media, diary: Diary) -> None:
        self.folder, self.media, self.diary = folder, media, diary
        self.port = free_port()
        self.servers = VarLayout(folder / "servers")
        self.layout = VarLayout(folder / "var")
        self.control = folder / "proxy.sock"
        self.proxy_port = free_port()
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.environment = own_environment(self.layout.var_dir, self._settings())
        self.keeper = Keeper(self.logs)
        self.stopped: set[int] = set()

    def _settings(self) -> dict[str, str]:
        return {
            "DATABASE_URL": f"postgresql://darkroom@127.0.0.1:{self.proxy_port}/darkroom",
            "REDIS_URL": self.servers.valkey_url(),
            "DARKROOM_ADMIN_EMAIL": ADMIN_EMAIL,
            "DARKROOM_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "DARKROOM_LEASE_S": str(LEASE_S),
            "DARKROOM_TORCH_THREADS": "1",
            "DARKROOM_WORKER_SLOTS": "4",
            "DARKROOM_SERVE": SLUG,
            "CHAOS": str(self.folder),
            **self.media.settings(),
        }

    def start(self) -> None:
        """Returns when a page is served and both workers were started; raises NotReady."""
        self.media.start(self.keeper)
        self.keeper.run(self._servers())
        self._wait("PostgreSQL", self._answers)
        self.keeper.run(self._proxy())
        self._wait("the proxy", self.control.exists)
        self.keeper.run(self._studio())
        self._wait("web", lambda: self.pid("web") is not None)
        self._wait("beat", lambda: self.pid("beat") is not None)
        self._offer_model()
        self.run_second_worker()
        self.wait_for_second_worker()

    def run_second_worker(self, *, clock_s: float = 0.0) -> None:
        """Starts the second worker anew; `clock_s` is how far ahead its clock is."""
        stack = Stack(self.layout, "127.0.0.1", self.port, self.environment)
        worker = next(one for one in stack.apps() if one.name == "worker")
        words = ["second@%h" if word == "worker@%h" else word for word in worker.argv]
        if clock_s:
            words[1:2] = ["-m", "tests.chaos.other_clock", str(clock_s)]
        env = {**worker.env, "DARKROOM_TORCH_THREADS": "1"}
        service = replace(worker, name="second_worker", argv=tuple(words), env=env, echo=False)
        self.keeper.run(service)

    def wait_for_second_worker(self) -> None:
        """Returns when it tells the studio that it draws, or has had its time to."""
        deadline = time.monotonic() + WORKER_S
        while time.monotonic() < deadline:
            with contextlib.suppress(redis.RedisError), contextlib.closing(self.valkey()) as client:
                if client.exists(
                    f"darkroom:worker:second@{socket.gethostname()}-{self.pid('second_worker')}"
                ):
                    return
            time.sleep(0.5)

    def stop(self) -> None:
        """Lets everything go on that was stopped, then ends all of it."""
        self.resume_all()
        self.keeper.stop()

    def pid(self, name: str) -> int | None:
        """The process of a service; None while it does not run."""
        if name in SERVERS:
            return _recorded(self.servers, name)
        if name in APPS:
            return _recorded(self.layout, name)
        return self.keeper.pid(
            {"supervisor": "studio", "servers_supervisor": "servers"}.get(name, name)
        )

    def hit(self, name: str, number: signal.Signals) -> list[int]:
        """Signals a service; returns its processes. A stop and a kill reach what is below it,
        except below a supervisor."""
        pid = self.pid(name)
        if pid is None:
            return []
        hit = [pid] if name.endswith("supervisor") or number != signal.SIGSTOP else tree(pid)
        send(hit, number)
        if number == signal.SIGSTOP:
            self.stopped.update(hit)
        return hit

    def resume_all(self) -> None:
        """Whatever was stopped goes on."""
        send(self.stopped, signal.SIGCONT)
        self.stopped.clear()

    def database(self, user: str = "darkroom", **options: Any) -> psycopg.Connection[Any]:
        """A connection around the proxy."""
        url = self.servers.postgres_url().replace("darkroom@", f"{user}@")
        return psycopg.connect(url, connect_timeout=5, **options)

    def valkey(self) -> "redis.Redis":
        """A client of its own."""
        return redis.Redis.from_url(self.servers.valkey_url(), socket_timeout=5)

    def cut_commits(self, **wanted: object) -> dict[str, int]:
        """Tells the proxy."""
        return order(self.control, **wanted)

    def manage(self, *arguments: str) -> str:
        """What a management command printed; raises TrialFailedError with its complaint."""
        trial = Trial(self.folder)
        trial.environment = self.environment
        return trial.manage(*arguments)

    def sweep_orphans(self) -> int:
        """How many files the studio's own sweep of orphans deletes, were they old enough."""
        said = self.manage("shell", "--no-imports", "-c", SWEEP).strip()
        return int(said.splitlines()[-1])

    def _servers(self) -> Service:
        words = ("servers", "--var", str(self.servers.var_dir))
        argv = (sys.executable, "-m", "webapp.embedded", *words)
        return self._service("servers", argv, signal.SIGINT, 60)

    def _proxy(self) -> Service:
        upstream = unix_socket(self.servers.run)
        words = ("--upstream", upstream, "--listen", f"127.0.0.1:{self.proxy_port}")
        control = ("--control", str(self.control))
        argv = (sys.executable, "-m", "tests.faults.cutting_proxy", *words, *control)
        return self._service("proxy", argv, signal.SIGKILL, 5)

    def _studio(self) -> Service:
        argv = (sys.executable, "-m", "webapp.embedded", "up", "--port", str(self.port))
        return self._service("studio", argv, signal.SIGINT, 90)

    def _service(
        self, name: str, argv: tuple[str, ...], number: signal.Signals, timeout_s: float
    ) -> Service:
        # What it supervises is ended by the kernel when it dies: its own death may be sudden.
        return Service(
            name=name,
            argv=argv,
            env=self.environment,
            cwd=PROJECT,
            stop_signal=number,
            stop_timeout_s=timeout_s,
            orphan_signal=signal.SIGKILL,
        )

    def _offer_model(self) -> None:
        trial = Trial(self.folder)
        trial.environment = self.environment
        trial.offer_tiny_model(slug=SLUG, side_px=SIDE_PX)

    def _answers(self) -> bool:
        try:
            self.database().close()
        except psycopg.OperationalError:
            return False
        return True

    def _wait(self, what: str, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_S
        while not is_there():
            if time.monotonic() > deadline:
                raise NotReady(f"{what} did not come within {READY_S:g} s: see {self.logs}")
            time.sleep(0.2)


def _recorded(layout: VarLayout, name: str) -> int | None:
    try:
        state = json.loads(layout.run_state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    pids = [int(one["pid"]) for one in state["processes"] if one["name"] == name]
    return pids[0] if pids else None
