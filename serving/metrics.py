"""GET /metrics for Prometheus, on the webhook server and on the console: the figures as gauges named spp_*.

Each scrape computes them from PostgreSQL, so they survive restarts and are the same on every process. Only memory and
open files are those of the answering process. The modules it needs are loaded by the first scrape.
"""

import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from flask import Response, request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from runtime.settings import METRICS_TOKEN, Settings

if TYPE_CHECKING:
    from models.operations.gauges import Gauge
    from models.operations.situation import Lookout

Queues = Callable[[], Mapping[str, int] | None]
"""Returns the messages waiting in each queue of the broker, or None if it does not answer."""


class Metrics:
    """The /metrics of one process."""

    def __init__(
        self, settings: Settings, make: sessionmaker[Session], lookout: "Lookout | None" = None,
        queues: Queues | None = None,
    ) -> None:  # fmt: skip
        """`lookout` shares figures with the rest of the process; `queues` adds those of the broker."""
        self._settings, self._make, self._known, self._queues = settings, make, lookout, queues
        self._token = (settings.one_secret(METRICS_TOKEN) or "").encode()

    def answer(self) -> Response:
        """The answer: 404 if no token is set, 401 without the right one, else the metrics."""
        if not self._token:
            return Response("Not Found.", 404, mimetype="text/plain")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._token):
            return Response("Unauthorized.", 401, {"WWW-Authenticate": "Bearer"}, mimetype="text/plain")
        return _exposed(self._measured())

    @cached_property
    def _lookout(self) -> "Lookout":
        from models.operations.situation import Lookout

        return self._known or Lookout(self._make, self._settings)

    def _measured(self) -> Iterator["Gauge"]:
        import psutil

        from models.operations.gauges import Gauge, alarms, gauges, plain

        process = psutil.Process()
        yield plain("process_resident_memory_bytes", "Of the process that answers", process.memory_info().rss)
        yield plain("process_open_fds", "Open files and sockets of the process that answers", process.num_fds())
        try:
            now = self._lookout.now()
        except SQLAlchemyError:
            now = None
        names = [endpoint.name for endpoint in self._settings.endpoints]
        yield plain("database_up", "Whether PostgreSQL answers", now is not None)
        yield alarms(now, names)
        if now is not None:
            yield from gauges(now, names)
        if self._queues is not None:
            waiting = self._queues()
            yield plain("broker_up", "Whether the broker answers", waiting is not None)
            rows = {(name,): count for name, count in (waiting or {}).items()}
            yield Gauge("broker_messages", "Messages that wait at the broker", ("queue",), rows)


def _exposed(gauges: Iterable["Gauge"]) -> Response:
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.metrics_core import GaugeMetricFamily
    from prometheus_client.registry import Collector

    class Scrape(Collector):
        """The gauges of one scrape."""

        def collect(self) -> Iterator[GaugeMetricFamily]:
            for name, what, labels, rows in gauges:
                family = GaugeMetricFamily(f"spp_{name}", f"{what}.", labels=labels)
                for values, value in rows.items():
                    family.add_metric(values, value)
                yield family

    registry = CollectorRegistry()
    registry.register(Scrape())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
