"""`python -m webapp.serve`: the web server, the same for `make up`, containers, tests and bench.

uvicorn with bounds on what comes before the application (`core.http_limits`), no websockets, no
log of each request, and no belief in forwarded headers: whose count is DARKROOM_TRUSTED_PROXIES'
to say.
"""

import argparse
import sys
from functools import partial
from typing import Any

import uvicorn
from django.conf import settings

from webapp.asgi import application  # sets Django up
from webapp.core.addresses import InUse
from webapp.core.clocks import watch_clock
from webapp.core.digits import whole_argument
from webapp.core.http_limits import BoundedHttp, HttpLimits

KILOBYTE = 1024
# Event streams stay open for as long as a page does: do not wait for them to end.
DRAIN_S = 5
STARTUP_FAILURE = 3


def main() -> int:
    """Serves until SIGINT or SIGTERM; 0 after that, 3 if it could not start."""
    wanted = _parser().parse_args()
    server = uvicorn.Server(build_config(vars(wanted)))
    watch_clock()
    server.run()
    return 0 if server.started else STARTUP_FAILURE


def build_config(options: dict[str, Any]) -> uvicorn.Config:
    """uvicorn's configuration with the limits of the settings."""
    in_use = None if settings.TRUSTED_PROXIES else InUse(settings.CONNECTIONS_PER_ADDRESS)
    protocol: Any = partial(BoundedHttp, limits=read_limits(), in_use=in_use)
    return uvicorn.Config(
        application,
        http=protocol,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        access_log=False,
        log_config=None,  # its lines have the form of all others
        **options,
    )


def read_limits() -> HttpLimits:
    """The bounds of a request as the settings say, kilobytes turned into bytes."""
    return HttpLimits(
        line_bytes=settings.HEADER_LINE_KB * KILOBYTE,
        header_bytes=settings.HEADER_KB * KILOBYTE,
        header_s=settings.HEADER_TIMEOUT_S,
        body_s=settings.BODY_TIMEOUT_S,
        body_bytes_per_s=settings.BODY_KB_PER_S * KILOBYTE,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m webapp.serve", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=whole_argument, default=8000)
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--timeout-graceful-shutdown", type=whole_argument, default=DRAIN_S)
    return parser


if __name__ == "__main__":
    sys.exit(main())
