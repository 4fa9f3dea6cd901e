"""Traces by OpenTelemetry, switched on by its standard variables; without them it is not imported.

With `OTEL_EXPORTER_OTLP_ENDPOINT` (or `..._TRACES_ENDPOINT`) each page is a span, with the queries
and the calls to Valkey and the bucket that it makes. A generation's row keeps the span that asked
for it, and a worker's span of an image, with one for each stage, is a child of that one.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from webapp.core.counting import METHODS
from webapp.core.probes import PROBES
from webapp.core.trail import current_trail

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
NANOSECONDS = 1_000_000_000

_tracers: list["Tracer"] = []  # the one of this process, once `begin_tracing` has made it


def begin_tracing(*, service: str, environment: Mapping[str, str] = os.environ) -> None:
    """Traces this process from now on if the standard variables say where to send traces;
    otherwise, and the second time, nothing. `service` is its name unless OTEL_SERVICE_NAME is
    another. Raises ImproperlyConfigured for another protocol."""
    if _tracers or not _is_wanted(environment):
        return
    asked = next((environment[name] for name in PROTOCOLS if environment.get(name)), PROTOCOL)
    if asked != PROTOCOL:
        raise ImproperlyConfigured(f"OpenTelemetry: traces are sent by {PROTOCOL}, not {asked}.")
    from webapp.core import tracing_sdk

    _tracers.append(tracing_sdk.build_tracer(environment.get("OTEL_SERVICE_NAME") or service))


def _is_wanted(environment: Mapping[str, str]) -> bool:
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(environment.get(name) for name in ENDPOINTS)


class TracedRequests:
    """The first middleware: a span around each request, up to the head of its answer. Behind
    trusted proxies it belongs to the trace that the request brings; otherwise it begins one. Its
    name is the address's, never the path, which may be the secret of a link. Not there in a process
    that is not traced."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        if not _tracers:
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Passes the request on."""
        if request.path in PROBES:
            return self.get_response(request)
        from opentelemetry.trace import SpanKind

        given = dict(request.headers) if settings.TRUSTED_PROXIES else {}
        context, server = _context_of(given), SpanKind.SERVER
        method = request.method if request.method in METHODS else "HTTP"
        with _tracers[0].start_as_current_span(method, context=context, kind=server) as span:
            response = self.get_response(request)
            door = request.resolver_match.view_name if request.resolver_match else "none"
            span.update_name(f"{method} {door}")
            span.set_attribute("http.request.method", method)
            span.set_attribute("http.response.status_code", response.status_code)
            span.set_attribute("darkroom.request_id", current_trail().request_id)
        return response


def _context_of(carrier: Mapping[str, str]) -> "Context":
    """That which a `traceparent` in it names (W3C Trace Context), or an empty one."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation import tracecontext

    named = {name.lower(): value for name, value in carrier.items()}
    return tracecontext.TraceContextTextMapPropagator().extract(named, Context())


def current_span() -> str:
    """The `traceparent` of the span that this thread works in (W3C Trace Context); "" for none."""
    if not _tracers:
        return ""
    from opentelemetry.trace.propagation import tracecontext

    carrier: dict[str, str] = {}
    tracecontext.TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def span(name: str, *, parent: str = "", **facts: str | int) -> Iterator[None]:
    """What is done within is a span of that name, with `facts`, below the span that `parent` names
    as `current_span` does, or below this thread's own. An error that leaves it is its error."""
    if not _tracers:
        yield
        return
    above = _context_of({"traceparent": parent}) if parent else None
    told = {f"darkroom.{fact}": value for fact, value in facts.items()}
    with _tracers[0].start_as_current_span(name, context=above, attributes=told):
        yield


def note_failure(reason: str) -> None:
    """This thread's span ended in an error, of which nothing is raised."""
    if not _tracers:
        return
    from opentelemetry import trace

    trace.get_current_span().set_status(trace.StatusCode.ERROR, reason)


def note_stages(stages_s: Mapping[str, float]) -> None:
    """Spans below this thread's for stages that have just ended, one after the other, the last one
    now: seconds by their names."""
    if not _tracers:
        return
    begins_ns = time.time_ns() - int(sum(stages_s.values()) * NANOSECONDS)
    for name, stage_s in stages_s.items():
        ends_ns = begins_ns + int(stage_s * NANOSECONDS)
        _tracers[0].start_span(name, start_time=begins_ns).end(ends_ns)
        begins_ns = ends_ns
