"""`make up`: the embedded servers that are needed, then web, worker and beat."""

import errno
import http
import http.client
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from webapp.embedded.errors import (
    AlreadyRunningError,
    EmbeddedError,
    PortTakenError,
    StartFailedError,
)
from webapp.embedded.output import announce, say
from webapp.embedded.paths import VarLayout
from webapp.embedded.postgres import prepare_postgres
from webapp.embedded.process import Service
from webapp.embedded.servers import ServerUrls, embedded_servers, start_servers
from webapp.embedded.supervisor import Supervisor
from webapp.embedded.valkey import prepare_valkey
from webapp.embedded.worker_health import silence_of

__all__ = ["ServerUrls", "Stack", "embedded_servers", "run_servers", "run_stack"]

PROJECT = Path(__file__).resolve().parents[2]
HEALTH_TIMEOUT_S = 2.0
WEB_READY_TIMEOUT_S = 120.0
# Event streams stay open for as long as a page does: do not wait for them to end.
WEB_DRAIN_S = 5
# Warnings and worse only: what a person needs from a start is the set-up link and the address.
QUIET = ("--log-level", "warning")
CELERY = ("celery", "-A", "webapp.celery", "--quiet")
WORKER_DRAIN_S = 45.0
# transformers lists every optional package that is not there; Celery's warning to root is about
# pickle, which the settings refuse; models are downloaded on purpose, never by loading them.
WORKER_ENVIRONMENT = {
    "TRANSFORMERS_VERBOSITY": "error",
    "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
    "HF_HUB_OFFLINE": "1",
}
ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - how to reach it from here


@dataclass(frozen=True)
class Stack:
    """What one `up` runs: its folder, its address, and what its children inherit."""

    layout: VarLayout
    host: str
    port: int
    user_environment: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """The children's environment: the user's, and where the data is.

        DATABASE_URL and REDIS_URL are passed on only as the user set them: the settings derive
        the embedded ones from DARKROOM_VAR.
        """
        return {
            **self.user_environment,
            "DARKROOM_VAR": str(self.layout.var_dir),
            "DARKROOM_SERVED_AT": self.url,
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def address(self) -> tuple[str, int]:
        return ANY_HOST.get(self.host, self.host), self.port

    @property
    def url(self) -> str:
        host = self.address[0]
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def has(self, name: str) -> bool:
        """Whether the user named this server, directly or by a file that holds its URL."""
        return bool(self.user_environment.get(name) or self.user_environment.get(f"{name}_FILE"))

    def servers(self) -> list[Service]:
        """Prepare and return the embedded servers that are needed; raises EmbeddedError."""
        needed = [] if self.has("DATABASE_URL") else [prepare_postgres(self.layout)]
        return needed if self.has("REDIS_URL") else [*needed, prepare_valkey(self.layout)]

    def preparation(self) -> Service:
        """Migrations, static files, the catalogue and the first set-up link."""
        manage = str(PROJECT / "manage.py")
        return self._python("prepare", manage, "prepare", "--address", self.url)

    def apps(self) -> list[Service]:
        return [self._web(), self.worker(), self._beat()]

    def command(self, words: Sequence[str]) -> Service:
        """One command of our Python, from the folder of the project."""
        return self._python(Path(words[1] if len(words) > 1 else words[0]).stem, *words)

    def _web(self) -> Service:
        address = self.address
        web = self._python(
            *("web", "-m", "webapp.serve", "--host", self.host, "--port", str(self.port)),
            *("--timeout-graceful-shutdown", str(WEB_DRAIN_S), *QUIET),
        )
        return replace(
            web,
            ready=lambda _pid: _serves(address),
            ready_timeout_s=WEB_READY_TIMEOUT_S,
            stop_timeout_s=WEB_DRAIN_S + 5,
        )

    def worker(self) -> Service:
        worker = self._python(
            *("worker", "-m", *CELERY, "worker", "-I", "worker.tasks"),
            *("--pool=threads", "--concurrency=4", "-n", "worker@%h"),
            *("--without-gossip", "--without-mingle"),
        )
        return replace(
            worker,
            env={**WORKER_ENVIRONMENT, **worker.env},
            stop_timeout_s=WORKER_DRAIN_S,
            hang=lambda pid: silence_of(pid, var=self.layout.var_dir, now_s=time.monotonic()),
            # Pages come first: a woken web thread takes the processor from a worker at once.
            nice=15,
        )

    def _beat(self) -> Service:
        # No pid file: after a kill it would keep beat from starting, and the record knows who runs.
        words = ("--schedule", str(self.layout.beat_schedule), "--pidfile=")
        return self._python("beat", "-m", *CELERY, "beat", *words)

    def _python(self, name: str, *words: str) -> Service:
        argv = (sys.executable, *words)
        return Service(name=name, argv=argv, env=self.environment, cwd=PROJECT)


def run_stack(stack: Stack) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP, then stop it and return.

    Raises EmbeddedError when it cannot start; whatever had started is stopped by then.
    """
    started = time.monotonic()
    with Supervisor(stack.layout) as supervisor:
        require_free_port(stack.host, stack.port)
        supervisor.start(stack.servers())
        supervisor.run_once(stack.preparation())
        supervisor.start(stack.apps())
        took_s = time.monotonic() - started
        announce(f"Darkroom is ready: {stack.url}  (Ctrl-C stops it)  [{took_s:.1f} s]")
        supervisor.watch()
    say("stopped")


def run_command(stack: Stack, words: Sequence[str], *, with_worker: bool) -> bool:
    """Run one command beside the servers that it needs, or beside those of a studio that runs.

    Returns False if it was stopped before its end; raises EmbeddedError when it cannot start, or
    fails. Beside a studio that runs, this process becomes the command.
    """
    is_done = False
    try:
        with Supervisor(stack.layout) as supervisor:
            supervisor.start(stack.servers())
            if with_worker:
                supervisor.start([stack.worker()])
            supervisor.run_once(stack.command(words))
            is_done = True
    except AlreadyRunningError:
        if with_worker:
            raise
        os.chdir(PROJECT)
        os.execve(sys.executable, [sys.executable, *words], stack.environment)  # noqa: S606
    return is_done


def run_servers(layout: VarLayout) -> None:
    """Run PostgreSQL and Valkey until SIGINT, SIGTERM or SIGHUP; raises EmbeddedError."""
    with Supervisor(layout) as supervisor:
        start_servers(supervisor, layout)
        say(f"DATABASE_URL={layout.postgres_url()}\nREDIS_URL={layout.valkey_url()}")
        supervisor.watch()
    say("stopped")


def require_free_port(host: str, port: int) -> None:
    """Return when the port can be listened on.

    Raises PortTakenError when somebody does already, StartFailedError when the host is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the web server does: a port whose connections are only just closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _port_error(host, port, error) from error


def _port_error(host: str, port: int, error: OSError) -> EmbeddedError:
    if error.errno == errno.EADDRINUSE:
        return PortTakenError(f"Port {port} is taken by another program: PORT={port + 1} make up")
    return StartFailedError(f"Darkroom cannot listen on {host}, port {port}: {error.strerror}.")


def _serves(address: tuple[str, int]) -> bool:
    """Whether the health page is answered. A redirect to HTTPS, or the refusal of this host
    name, is an answer too: both are this installation's settings, not a sign of trouble."""
    connection = http.client.HTTPConnection(*address, timeout=HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz/")
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
