"""What leaves this machine by choice: errors to Sentry, traces by OpenTelemetry. Nothing is loaded where it is unset.

No body, no header, no local variable and no person is in what is sent. A delivery's correlation id is its span's trace
id, so that a trace is found by what the logs say.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from threading import local
from typing import TYPE_CHECKING, Any

import structlog

from runtime.settings import Settings, SettingsError

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

REPORTED = ("endpoint", "event_id", "delivery", "attempts", "state", "channel", "rule")
"""The fields of a logged error that are reported, beside its first line."""

_wanted = local()
_ends: list[Callable[[], None]] = []
_tracer: "Tracer | None" = None


def check(settings: Settings) -> None:
    """Raises SettingsError, naming the extra, where something is set whose library is not installed."""
    for variable, given, module, extra in (
        ("SPP_SENTRY_DSN", settings.sentry_dsn, "sentry_sdk", "sentry"),
        ("SPP_OTLP_ENDPOINT", settings.otlp_endpoint, "opentelemetry.exporter.otlp.proto.http", "otel"),
    ):
        if given and not _installed(module):
            raise SettingsError(f"{variable} needs a library: pip install 'sessions-per-payment[{extra}]'")


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def start(settings: Settings, process: str) -> None:
    """Begins sending what is set, from this process ("webhooks", "worker", ...).

    Call it after the fork, and after logging is set up. Raises SettingsError where a library is missing, or the DSN is
    not valid.
    """
    check(settings)
    if settings.sentry_dsn:
        _ends.append(_report(settings.sentry_dsn.get_secret_value(), process))
    if settings.otlp_endpoint:
        _ends.append(_trace(str(settings.otlp_endpoint), process))


def end() -> None:
    """Sends what is left; where a process has no such moment, it is sent within seconds or when Python exits."""
    while _ends:
        _ends.pop()()


def _report(dsn: str, process: str) -> Callable[[], None]:
    import sentry_sdk
    from sentry_sdk.utils import BadDsn

    try:
        sentry_sdk.init(
            dsn,
            include_local_variables=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            auto_session_tracking=False,
            traces_sample_rate=None,
            before_send=_stripped,
            shutdown_timeout=2,
        )
    except BadDsn as error:
        raise SettingsError(f"SPP_SENTRY_DSN is not a valid DSN: {error}.") from None
    sentry_sdk.set_tag("process", process)

    def report(_logger: Any, method: str, line: Any) -> Any:
        """Reports what is logged as an error; the log goes on as it is."""
        if method in {"error", "critical"}:
            error = str(line.get("error", "")).partition("\n")[0][:500]
            tags = {name: str(line[name])[:200] for name in REPORTED if line.get(name) is not None}
            what = {"message": f"{line.get('event')}: {error}", "level": "error", "tags": tags}
            sentry_sdk.capture_event({**what, "fingerprint": [str(line.get("event")), tags.get("endpoint", "")]})  # type: ignore[typeddict-item]
        return line

    # In place: loggers that have spoken before keep this very list.
    structlog.get_config()["processors"].insert(0, report)
    return sentry_sdk.flush


def _stripped(event: Any, _hint: Any) -> Any:
    """Only what our own code knows: no request, no person, no name of the machine's."""
    for name in ("request", "user", "server_name", "extra", "breadcrumbs", "modules"):
        event.pop(name, None)
    for exception in event.get("exception", {}).get("values", []):
        # The database's messages repeat statements with their parameters after the first line.
        exception["value"] = str(exception.get("value") or "").partition("\n")[0][:500]
    return event


def _trace(endpoint: str, process: str) -> Callable[[], None]:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        """Random, but for a trace whose id is known."""

        def generate_trace_id(self) -> int:
            return getattr(_wanted, "trace_id", None) or super().generate_trace_id()

    global _tracer
    resource = Resource({"service.name": f"spp-{process}", "process.pid": os.getpid()})
    provider = TracerProvider(resource=resource, id_generator=Ids())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=5)))
    _tracer = provider.get_tracer("spp")
    return provider.shutdown


def span(
    name: str, trace_id: str | None = None, attributes: Mapping[str, str | int] | None = None
) -> AbstractContextManager[None]:
    """The block as a span; `trace_id`, 32 hexadecimal digits, is its trace's. Nothing where no traces are sent."""
    return nullcontext() if _tracer is None else _span(_tracer, name, trace_id, attributes or {})


@contextmanager
def _span(tracer: "Tracer", name: str, trace_id: str | None, attributes: Mapping[str, str | int]) -> Iterator[None]:
    from opentelemetry.trace import StatusCode

    _wanted.trace_id = int(trace_id, 16) if trace_id else None
    try:
        # What went wrong is in the logs: its message may have what is nobody's business elsewhere.
        with tracer.start_as_current_span(
            name, attributes=dict(attributes), record_exception=False, set_status_on_exception=False
        ) as begun:
            _wanted.trace_id = None
            try:
                yield
            except BaseException:
                begun.set_status(StatusCode.ERROR)
                raise
    finally:
        _wanted.trace_id = None
