"""The ASGI door; `webapp.serve` is the server in front of it."""

import os
import sys

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.files.storage import storages
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from webapp.core.bodies import BoundedBodies
from webapp.core.files import allow_open_files
from webapp.core.tracing import begin_tracing
from webapp.core.trail import RequestIds
from webapp.core.visitors import BoundedVisitors
from webapp.embedded.private import keep_files_private
from webapp.postgres import limits

# A request crosses between the event loop and its thread; at Python's own 5 ms each crossing waits
# that long for whoever computes.
SWITCH_INTERVAL_S = 0.0005


class OneHopHandler(ASGIHandler):
    """Runs the whole middleware chain and the view in one thread.

    Every view and most middleware here are synchronous. Django's own handler would hop between
    the event loop and a thread at each change of kind, a dozen times a request; here it hops
    once. Event streams are answered by a synchronous view too: only their body is asynchronous.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """Builds the chain for a thread, whatever the caller asks for."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """The response of the synchronous chain, waited for without holding the event loop."""
        respond = sync_to_async(self.get_response, thread_sensitive=True)
        return await respond(request)


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
keep_files_private()
django.setup(set_prefix=False)
sys.setswitchinterval(SWITCH_INTERVAL_S)
allow_open_files()
limits.limit_answers(limits.WEB_S)
storages["default"]  # a bucket's libraries take a second to load: not while somebody waits
begin_tracing(service="darkroom-web")
application = RequestIds(
    BoundedVisitors(
        BoundedBodies(OneHopHandler()),
        most=settings.CONNECTIONS_PER_ADDRESS,
        trusted_proxies=settings.TRUSTED_PROXIES,
    ),
    trusted_proxies=settings.TRUSTED_PROXIES,
)
