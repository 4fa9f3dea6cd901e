"""This process's own count of what it answered, for `/metrics`."""

import time
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = {"GET", "HEAD", "POST", "OPTIONS"}

# Not when each count began: a sample more for every one, of no use to anybody here.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "darkroom_requests",
    'Requests that this process has answered, by the name of the address or "none"',
    ["door", "method", "status"],
    registry=REGISTRY,
)
REQUEST_S = Histogram(
    "darkroom_request_seconds",
    "Seconds from the request to the head of its answer",
    ["door"],
    buckets=BUCKETS_S,
    registry=REGISTRY,
)


class CountedRequests:
    """The first middleware: counts each answer and times it. Not there while nobody may ask for
    the counts."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        if not (settings.METRICS_TOKEN or settings.METRICS_ADDRESSES):
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Passes the request on."""
        began_s = time.perf_counter()
        method = request.method if request.method in METHODS else "other"
        response = self.get_response(request)
        door = request.resolver_match.view_name if request.resolver_match else "none"
        REQUESTS.labels(door, method, response.status_code).inc()
        REQUEST_S.labels(door).observe(time.perf_counter() - began_s)
        return response
