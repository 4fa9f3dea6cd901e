"""What `core.tracing` builds of OpenTelemetry's packages, imported only by a traced process."""

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes


class OnlyWork(Sampler):
    """As `sampler` decides, but a query or a call that belongs to no page and no image is no trace:
    workers ask the database and Valkey all day whether there is something to do."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """DROP for a call out of nowhere."""
        above = trace.get_current_span(parent_context).get_span_context()
        if kind is SpanKind.CLIENT and not above.is_valid:
            return SamplingResult(Decision.DROP)
        return self.sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        """For people."""
        return f"OnlyWork({self.sampler.get_description()})"


def build_tracer(service: str) -> trace.Tracer:
    """The tracer of this process, whose spans are sent in the background to where the standard
    variables say; PostgreSQL, Valkey and the bucket are told to make spans, too."""
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
    provider.sampler = OnlyWork(provider.sampler)  # that of OTEL_TRACES_SAMPLER
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    PsycopgInstrumentor().instrument()
    RedisInstrumentor().instrument()
    BotocoreInstrumentor().instrument()  # type: ignore[no-untyped-call]
    return trace.get_tracer("darkroom")
