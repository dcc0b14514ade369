"""What is sent to Sentry and by OpenTelemetry, heard by a little server; each in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runtime.settings import Settings, SettingsError
from runtime.telemetry import check, span, start
from tests.console import listening
from tests.console.listening import Heard

ROOT = Path(__file__).parents[2]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CARD = "4242424242424242"


@pytest.fixture
def heard() -> Iterator[Heard]:
    with listening.http() as heard:
        yield heard


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the code in a process that has loaded its settings as `found`."""
    ours = {"DATABASE_URL": "postgresql://spp:geheim@127.0.0.1:9/x", "BROKER_URL": "unused://", **variables}
    begin = (
        "import sys\nfrom runtime import logs, settings, telemetry\nfound = settings.load()\nlogs.configure('info')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", begin + code],
        cwd=ROOT,
        env={**os.environ, **ours},
        capture_output=True,
        text=True,
        check=True,
    )


def spans(heard: Heard) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Of each span its process, its name, its trace and what it says."""
    found = []
    for _, raw in heard.posts:
        for resource in ExportTraceServiceRequest.FromString(raw).resource_spans:
            named = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                for one in scope.spans:
                    said = {each.key: each.value.string_value or each.value.int_value for each in one.attributes}
                    assert one.end_time_unix_nano >= one.start_time_unix_nano
                    found.append((named["service.name"], one.name, one.trace_id.hex(), said))
    return found


def test_spans_are_sent_with_the_delivery_s_id_as_their_trace(heard: Heard) -> None:
    run(
        f"""
telemetry.start(found, "webhooks")
with telemetry.span("delivery", "{TRACE}", {{"endpoint": "stripe", "events": 2}}):
    pass
with telemetry.span("credit"):
    with telemetry.span("inner"):
        pass
telemetry.end()
""",
        SPP_OTLP_ENDPOINT=heard.url,
    )
    sent = {name: (process, trace, said) for process, name, trace, said in spans(heard)}
    assert sent["delivery"] == ("spp-webhooks", TRACE, {"endpoint": "stripe", "events": 2})
    assert sent["credit"][1] == sent["inner"][1]
    assert sent["credit"][1] not in {TRACE, "0" * 32}


def test_a_span_that_fails_tells_no_message(heard: Heard) -> None:
    run(
        """
telemetry.start(found, "worker")
try:
    with telemetry.span("credit"):
        raise ValueError("card CARD")
except ValueError:
    pass
telemetry.end()
""".replace("CARD", CARD),
        SPP_OTLP_ENDPOINT=heard.url,
    )
    assert [name for _, name, _, _ in spans(heard)] == ["credit"]
    assert not any(CARD.encode() in raw for _, raw in heard.posts)


def events(heard: Heard) -> list[Any]:
    """What was reported to Sentry."""
    found = []
    for _, raw in heard.posts:
        lines = raw.split(b"\n")
        for header, item in zip(lines[1::2], lines[2::2], strict=False):
            if json.loads(header).get("type") == "event":
                found.append(json.loads(item))
    return found


def test_what_is_logged_as_an_error_is_reported_without_bodies_or_people(heard: Heard) -> None:
    done = run(
        """
import logging
import structlog
log = structlog.get_logger()
log.info("before")  # which makes it keep its processors
telemetry.start(found, "worker")
log.error("event_failed", endpoint="stripe", event_id="evt_1", delivery="TRACE", body="card CARD", who="ann@x.example",
          error="OperationalError: no\\nDETAIL: ann@x.example")
log.info("credited", events=1)
log.warning("group_failed", error="never mind")
try:
    card = "CARD"
    raise ValueError("no\\nDETAIL: ann@x.example")
except ValueError:
    logging.getLogger("celery").exception("task failed", extra={"body": "card CARD"})
telemetry.end()
""".replace("TRACE", TRACE).replace("CARD", CARD),
        SPP_SENTRY_DSN=heard.url.replace("http://", "http://key@") + "1",
    )
    first, second = events(heard)
    assert first["message"] == "event_failed: OperationalError: no"
    assert first["tags"] == {"endpoint": "stripe", "event_id": "evt_1", "delivery": TRACE, "process": "worker"}
    assert second["exception"]["values"][0]["value"] == "no"
    for event in (first, second):
        shown = json.dumps(event)
        for private in (CARD, "ann@x.example", "geheim", '"vars"', '"server_name"'):
            assert private not in shown
    assert done.stderr.count('"event_failed"') == 1


def test_nothing_is_loaded_where_nothing_is_set() -> None:
    done = run(
        """
telemetry.start(found, "web")
with telemetry.span("delivery", "TRACE"):
    pass
print({"sentry_sdk", "opentelemetry"} & set(sys.modules))
""".replace("TRACE", TRACE)
    )
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("change", "module", "extra"),
    [
        ({"sentry_dsn": "http://key@127.0.0.1:9/1"}, "sentry_sdk", "sentry"),
        ({"otlp_endpoint": "http://127.0.0.1:9/"}, "opentelemetry", "otel"),
    ],
)
def test_a_missing_library_is_told_with_its_extra(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], module: str, extra: str
) -> None:
    wanting = Settings(**{**settings.model_dump(), **change})
    check(wanting)

    class Gone:
        """Finds none of it, as where it is not installed."""

        def find_spec(self, name: str, *_: object) -> None:
            if name.partition(".")[0] == module:
                raise ModuleNotFoundError(name)

    monkeypatch.setattr(sys, "meta_path", [Gone(), *sys.meta_path])
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SettingsError, match=rf"\[{extra}\]"):
        start(wanting, "web")


def test_a_dsn_that_is_none_is_refused(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="SPP_SENTRY_DSN"):
        start(Settings(**{**settings.model_dump(), "sentry_dsn": "nonsense"}), "web")


def test_a_span_without_traces_is_the_block_alone() -> None:
    with span("delivery", TRACE):
        pass
