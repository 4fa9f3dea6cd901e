"""From the two connection URLs to what Django and redis-py expect."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

POOL_MAX = 24
POOL_WAIT_S = 4.0
CONNECT_S = 3
# What the system does about a server that vanished without a word (TCP only).
VANISHED = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


def django_database(url: str, *, pooled: bool, through_pgbouncer: bool = False) -> dict[str, Any]:
    """Django's DATABASES entry for a libpq URL (`postgresql://user:password@host:port/name?...`).

    `pooled` keeps connections in one pool per process, which suits a threaded server.
    `through_pgbouncer`: each transaction may run on another of the server's connections, so
    nothing is used that outlives one: no server-side cursor and no SET. (Django prepares nothing.)
    Raises ImproperlyConfigured if the URL is not one that libpq understands.
    """
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    except ProgrammingError as error:
        raise ImproperlyConfigured(f"DATABASE_URL is not a PostgreSQL URL: {error}") from error
    options: dict[str, Any] = {
        key: value
        for key, value in parts.items()
        if key not in {"dbname", "user", "password", "host", "port"}
    }
    options = {"connect_timeout": CONNECT_S, **VANISHED, **options}
    if pooled:
        options["pool"] = {"most": POOL_MAX, "wait_s": POOL_WAIT_S}
    return {
        "ENGINE": "webapp.postgres",
        "NAME": parts.get("dbname", "darkroom"),
        "USER": parts.get("user", ""),
        "PASSWORD": parts.get("password", ""),
        "HOST": parts.get("host", ""),
        "PORT": parts.get("port", ""),
        "OPTIONS": options,
        # A server that was restarted leaves dead connections behind: they are replaced unseen.
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": through_pgbouncer,
    }


def celery_broker(redis_url: str) -> str:
    """Celery's spelling of a redis-py URL: a `unix://PATH?db=N` becomes `redis+socket://`."""
    if not redis_url.startswith("unix://"):
        return redis_url
    path, _, query = redis_url.removeprefix("unix://").partition("?")
    database = dict(part.partition("=")[::2] for part in query.split("&") if part).get("db", "0")
    return f"redis+socket://{path}?virtual_host={database}"
