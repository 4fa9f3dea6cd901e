"""Traces by OpenTelemetry: a studio of its own sends them to a collector that the test is."""

import tempfile
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider

from tests.trial import Trial, Visitor
from webapp.core import tracing

STAGES = {"wait_s", "load_s", "encode_s", "denoise_s", "decode_s", "finish_s"}
VISITORS_TRACE = "0af7651916cd43dd8448eb211c80319c"
VISITORS_SPAN = f"00-{VISITORS_TRACE}-b7ad6b7169203331-01"
IMAGE = "darkroom.image_id"
ARRIVAL_S = 30.0


class Collector(ThreadingHTTPServer):
    """Keeps what is sent to it by OTLP over HTTP: (service, span), in the order of arrival."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.spans: list[tuple[str, Span]] = []

    @property
    def url(self) -> str:
        """Where spans are to be sent."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def of(self, service: str) -> list[Span]:
        """What that service sent so far."""
        return [span for name, span in list(self.spans) if name == service]

    def wait(self, look: Callable[[], list[Span]]) -> list[Span]:
        """What `look` finds once it finds something, and what was sent with it has come."""
        end_s = time.monotonic() + ARRIVAL_S
        while not look():
            assert time.monotonic() < end_s, "nothing came"
            time.sleep(0.1)
        time.sleep(1.0)
        return look()


class _Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        """Takes one batch of spans."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            facts = {fact.key: fact.value.string_value for fact in resource.resource.attributes}
            spans = [span for scope in resource.scope_spans for span in scope.spans]
            self.server.spans += [(facts["service.name"], span) for span in spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_line: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        Thread(target=collector.serve_forever, daemon=True).start()
        yield collector
        collector.shutdown()


@pytest.fixture(scope="module")
def visitor(collector: Collector) -> Iterator[Visitor]:
    """Of a studio whose every process is traced."""
    # Not pytest's folder: the sockets' paths must be short.
    with tempfile.TemporaryDirectory(prefix="darkroom-traces-") as folder:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "DARKROOM_TORCH_THREADS": "1",
        }
        trial = Trial(Path(folder), settings)
        with trial.running():
            trial.offer_tiny_model()
            yield trial.sign_up()


def test_an_image_is_one_trace_from_the_page_to_the_worker(
    visitor: Visitor, collector: Collector
) -> None:
    asked = visitor.request_images(prompt="a fox", model="tiny", width="64", height="64", steps="2")
    visitor.wait_until_ended(asked, timeout_s=120)
    [drawing] = collector.wait(lambda: drawn(collector, asked[0]))
    pages = {span.span_id: span for span in collector.of("darkroom-web")}
    page = pages[drawing.parent_span_id]
    stages = [one for one in collector.of("darkroom-worker") if one.name in STAGES]

    assert page.trace_id == drawing.trace_id
    assert {stage.name for stage in stages} == STAGES
    assert all(stage.parent_span_id == drawing.span_id for stage in stages)
    assert "a fox" not in str(collector.spans), "values stay out of traces"
    assert any(one.name.startswith("INSERT") for one in pages.values())


def test_a_process_is_traced_only_if_the_standard_variables_say_where_to() -> None:
    with_endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    for refused in ({"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}):
        tracing.begin_tracing(service="web", environment=with_endpoint | refused)
    tracing.begin_tracing(service="web", environment={"OTEL_SERVICE_NAME": "studio"})
    assert tracing.current_span() == ""
    with tracing.span("nothing"):
        tracing.note_stages({"denoise_s": 1.0})
    with pytest.raises(MiddlewareNotUsed):
        tracing.TracedRequests(lambda _request: HttpResponse())


def test_a_protocol_that_is_not_there_stops_the_start_in_one_sentence() -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    with pytest.raises(ImproperlyConfigured, match="sent by http/protobuf, not grpc"):
        tracing.begin_tracing(service="web", environment=environment)


@pytest.mark.parametrize(("trusted_proxies", "is_kept"), [(0, False), (1, True)])
def test_only_a_proxy_says_to_which_trace_a_request_belongs(
    trusted_proxies: int, is_kept: bool, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_tracers", [TracerProvider().get_tracer("test")])
    settings.TRUSTED_PROXIES = trusted_proxies
    seen: list[str] = []

    def answer(_request: HttpRequest) -> HttpResponse:
        seen.append(tracing.current_span())
        return HttpResponse()

    asked = RequestFactory().get("/gallery/", headers={"traceparent": VISITORS_SPAN})
    tracing.TracedRequests(answer)(asked)
    assert (VISITORS_TRACE in seen[0]) is is_kept


def test_a_visitor_decides_about_no_trace(visitor: Visitor, collector: Collector) -> None:
    visitor.opener.addheaders.append(("traceparent", VISITORS_SPAN))
    visitor.get("/credits/?until=2026-01-01")
    asked_for = collector.wait(lambda: pages(collector, "credits"))
    assert "2026-01-01" not in str(collector.of("darkroom-web"))
    assert VISITORS_TRACE not in {page.trace_id.hex() for page in asked_for}


def test_probes_and_questions_that_belong_to_nothing_are_no_traces(
    visitor: Visitor, collector: Collector
) -> None:
    visitor.get("/healthz/")
    visitor.get("/gallery/")
    collector.wait(lambda: pages(collector, "gallery"))
    alone = [span for _service, span in collector.spans if not span.parent_span_id]
    assert pages(collector, "healthz") == []
    assert {span.kind for span in alone} <= {Span.SPAN_KIND_SERVER}


def pages(collector: Collector, door: str) -> list[Span]:
    """The web's spans of requests for the address of that name."""
    return [one for one in collector.of("darkroom-web") if one.name == f"GET {door}"]


def drawn(collector: Collector, image_id: str) -> list[Span]:
    """The worker's spans of that image."""
    return [one for one in collector.of("darkroom-worker") if facts(one).get(IMAGE) == image_id]


def facts(span: Span) -> dict[str, str]:
    """Its attributes that are words."""
    return {fact.key: fact.value.string_value for fact in span.attributes}
