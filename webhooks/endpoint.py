"""POST /webhooks/ENDPOINT: verify, parse, store, answer. 2xx means that the events are on disk."""

from collections.abc import Mapping
from time import perf_counter, time
from typing import cast

import structlog
from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from models.inbox.storing import NewEvent, Stored
from runtime import telemetry
from runtime.settings import Settings
from webhooks.correlation import DELIVERY_ID, delivery_id, kept_headers, places
from webhooks.intake import Intake, Unavailable
from webhooks.learning import Learned, source_of
from webhooks.processors import Processor, TooMany
from webhooks.signatures import Headers, Verdict

log = structlog.get_logger()

RETRY_AFTER_S = 30


class Receiver:
    """Answers the deliveries of all configured endpoints."""

    def __init__(
        self, settings: Settings, processors: Mapping[str, Processor], intake: Intake, learned: Learned
    ) -> None:
        self._processors = processors
        self._kept = {name: places(processor.kept_headers) for name, processor in processors.items()}
        self._intake = intake
        self._learned = learned
        self._trusted_proxies = settings.trusted_proxies
        self._body_limit_bytes = settings.body_limit_bytes

    def receive(self, name: str) -> Response:
        """Answer one delivery: 200 stored, 400 (some: another) not authentic, 404, 413, 415, 503 not stored."""
        started, delivery = perf_counter(), delivery_id(request.environ)
        processor = self._processors.get(name)
        if processor is None:
            return _answer(404, "There is no endpoint of this name.")
        events: list[NewEvent] = []
        with telemetry.span("delivery", delivery, {"endpoint": name}):
            response, outcome = self._judge(processor, events, delivery)
        response.headers[DELIVERY_ID] = delivery
        log.info(
            "delivery",
            delivery=delivery,
            endpoint=name,
            outcome=outcome,
            events=[event.event_id for event in events],
            status=response.status_code,
            duration_ms=round((perf_counter() - started) * 1000, 2),
        )
        return response

    def challenge(self, name: str) -> Response:
        """Answer the GET by which some processors test an endpoint; 404 or 405 to all others."""
        processor = self._processors.get(name)
        if processor is None:
            return _answer(404, "There is no endpoint of this name.")
        answer = processor.challenge(request.args)
        return _answer(405, "Method Not Allowed.", Allow="POST") if answer is None else _answer(200, answer)

    def _judge(self, processor: Processor, events: list[NewEvent], delivery: str) -> tuple[Response, str]:
        endpoint = processor.endpoint.name
        body = self._body()
        if body is None:
            return self._refuse(endpoint, 413, "too_large", "The body is over the limit.")
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            return self._refuse(endpoint, 415, "encoding", "Send the body without a content encoding.")
        headers = request.headers
        if invalid := self._verify(processor, body, headers):
            if invalid.undecided:
                return _later(f"Not verified: {invalid.because}."), "unverified"
            if invalid.too_many:
                return self._refuse(endpoint, 413, "too_many", f"Too many: {invalid.because}.")
            return self._refuse(endpoint, processor.refused, "bad_signature", f"Not authentic: {invalid.because}.")
        kept = kept_headers(request.environ, self._kept[endpoint])
        try:
            parts = processor.parse(body, headers)
        except TooMany as why:
            return self._refuse(endpoint, 413, "too_many", f"Too many: {why}.")
        if len(parts) > 1:
            parts = list(dict.fromkeys(parts))
        events += [NewEvent(endpoint, *part, delivery=delivery, headers=kept) for part in parts]
        try:
            stored = self._intake.store(events)
        except Unavailable:
            return _later("Not stored; please send it again."), "unavailable"
        outcome = stored[0].value if len(stored) == 1 else f"{stored.count(Stored.NEW)} new"
        return _answer(200, processor.accepted), outcome

    def _verify(self, processor: Processor, body: bytes, headers: Headers) -> Verdict:
        """The adapter's verdict, after it has learned what was missing."""
        invalid = processor.verify(body, headers, time())
        if invalid is None or not invalid.undecided:
            return invalid
        source = source_of(request.environ, self._trusted_proxies)
        lacking = processor.learn(headers, time(), source, self._learned)
        return lacking or processor.verify(body, headers, time())

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
        # One read: werkzeug's own stream reads in several calls, each of which waits for the server.
        return cast("bytes", request.environ["wsgi.input"].read(length))

    def _refuse(self, endpoint: str, status: int, outcome: str, message: str) -> tuple[Response, str]:
        self._intake.count(endpoint, outcome)
        return _answer(status, message), outcome


def _later(message: str) -> Response:
    return _answer(503, message, **{"Retry-After": str(RETRY_AFTER_S)})


def _answer(status: int, message: str, **headers: str) -> Response:
    return Response(message, status, headers, mimetype="text/plain")
