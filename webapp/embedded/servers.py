"""The two embedded servers for tests and developers, without the studio."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from webapp.embedded.paths import VarLayout
from webapp.embedded.postgres import prepare_postgres
from webapp.embedded.supervisor import Supervisor
from webapp.embedded.valkey import prepare_valkey


@dataclass(frozen=True)
class ServerUrls:
    """The addresses of both servers, for Django and for Celery."""

    postgres: str
    valkey: str
    celery_broker: str

    @classmethod
    def of(cls, layout: VarLayout) -> "ServerUrls":
        return cls(layout.postgres_url(), layout.valkey_url(), layout.celery_broker_url())


@contextmanager
def embedded_servers(var_dir: Path, *, fsync: bool = True) -> Iterator[ServerUrls]:
    """Run PostgreSQL and Valkey under `var_dir` for the length of a `with` block.

    Enter it from the main thread: the servers end with the thread that started them. Signals stay
    the caller's, and nothing is restarted. `fsync=False` is faster and only for throw-away data.
    Raises EmbeddedError (see webapp.embedded.errors).
    """
    layout = VarLayout(var_dir)
    with Supervisor(layout, catch_signals=False) as supervisor:
        start_servers(supervisor, layout, fsync=fsync)
        yield ServerUrls.of(layout)


def start_servers(supervisor: Supervisor, layout: VarLayout, *, fsync: bool = True) -> None:
    """Start both servers and return when both answer; raises EmbeddedError."""
    supervisor.start([prepare_postgres(layout, fsync=fsync), prepare_valkey(layout, fsync=fsync)])
