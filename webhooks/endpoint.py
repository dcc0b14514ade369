"""POST /webhooks/ENDPOINT: verify, split, store, answer. 2xx means: it is on disk."""

from collections.abc import Mapping
from time import perf_counter, time
from typing import cast

import structlog
from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from models.inbox import NewEvent, Stored
from settings import Endpoint, Settings
from webhooks.intake import Intake, Unavailable
from webhooks.processors import Processor

log = structlog.get_logger()

RETRY_AFTER_S = 30


class Receiver:
    """Answers deliveries for all configured endpoints."""

    def __init__(self, settings: Settings, adapters: Mapping[str, Processor], intake: Intake) -> None:
        self._receivers = {endpoint.name: (endpoint, adapters[endpoint.processor]) for endpoint in settings.endpoints}
        self._intake = intake
        self._body_limit_bytes = settings.body_limit_bytes

    def receive(self, name: str) -> Response:
        """Answers one delivery: 200 stored, 400 not authentic, 404, 413, 415, or 503 not stored."""
        started = perf_counter()
        known = self._receivers.get(name)
        if known is None:
            return _answer(404, "There is no endpoint of this name.")
        endpoint, processor = known
        events: list[NewEvent] = []
        response, outcome = self._judge(endpoint, processor, events)
        log.info(
            "delivery",
            endpoint=name,
            outcome=outcome,
            events=[event.event_id for event in events],
            status=response.status_code,
            duration_ms=round((perf_counter() - started) * 1000, 2),
        )
        return response

    def _judge(self, endpoint: Endpoint, processor: Processor, events: list[NewEvent]) -> tuple[Response, str]:
        body = self._body()
        if body is None:
            return self._refuse(endpoint, 413, "too_large", "The body is over the limit.")
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            return self._refuse(endpoint, 415, "encoding", "Send the body without a content encoding.")
        headers = request.headers
        if invalid := processor.verify(body, headers, endpoint.keys, time()):
            return self._refuse(endpoint, 400, "bad_signature", f"Not authentic: {invalid.because}.")
        events += [
            NewEvent(endpoint.name, part.event_id, part.type, part.body, part.api_version, part.quarantine_reason)
            for part in processor.split(body, headers)
        ]
        try:
            stored = self._intake.store(events)
        except Unavailable:
            response = _answer(503, "Not stored; please send it again.")
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
            return response, "unavailable"
        return _answer(200, ""), stored[0].value if len(stored) == 1 else f"{stored.count(Stored.NEW)} new"

    def _body(self) -> bytes | None:
        """The raw bytes, taken before anything parses the request; None for more than the limit."""
        length = request.content_length
        if length is None:
            try:
                body: bytes = request.get_data(cache=False)
            except RequestEntityTooLarge:
                return None
            return body if len(body) <= self._body_limit_bytes else None
        if length > self._body_limit_bytes:
            return None
        # One read: werkzeug's own stream asks the server again until the end, and each time waits for its turn.
        return cast("bytes", request.environ["wsgi.input"].read(length))

    def _refuse(self, endpoint: Endpoint, status: int, outcome: str, message: str) -> tuple[Response, str]:
        self._intake.count(endpoint.name, outcome)
        return _answer(status, message), outcome


def _answer(status: int, message: str) -> Response:
    return Response(message, status, mimetype="text/plain")
