"""Square's lists, over real HTTP, as the stand-in tells them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import httpx
import pytest
from square.core import http_client

from local.standin import StandIn
from models.payments.facts import Fact, Paid
from tests.webhooks.deliveries import endpoint, recorded
from webhooks.processors import ParsedEvent, Processor, Unavailable, square

URL = "https://gym.example/webhooks/square"
RECORDED = recorded("square")
SINCE, UNTIL = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
MONTHS_LATER = datetime(2027, 2, 1, tzinfo=UTC)
FAST = {"Retry-After": "1"}
"""The least that Square's library waits before it asks again."""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    """The API, which knows of one location."""
    with StandIn("square", tmp_path) as standin:
        standin.objects.put("locations", "1", {"id": "LOCGym0001", "merchant_id": "MERCHANTGym0001"})
        yield standin


def on(api: StandIn, *key: str) -> Processor:
    return endpoint("square", "secret", url=URL, api=api.url, api_key=key or ["token_1"])


def put(api: StandIn, name: str, **changes: Any) -> bytes:
    """Lets the API tell of the object that was delivered so, with these changes; returns the delivery."""
    event = json.loads(RECORDED[name])
    kind = event["type"].partition(".")[0]
    found = event["data"]["object"][kind]
    found.update(changes)
    api.objects.put(f"{kind}s", found["id"].replace(":", "_"), found)
    return json.dumps(event).encode()


def history(adapter: Processor, since: datetime = SINCE, until: datetime = UNTIL) -> list[ParsedEvent]:
    return list(adapter.fetch_history(since, until))


def types(parts: list[ParsedEvent]) -> list[str]:
    return [part.type for part in parts]


def facts(adapter: Processor, part: ParsedEvent) -> list[Fact]:
    return adapter.interpret(part.type, part.body)


def test_what_is_listed_means_what_was_delivered(api: StandIn) -> None:
    adapter = on(api)
    names = ("payment_updated", "invoice_payment_made", "refund_updated", "dispute_lost")
    delivered = [adapter.parse(put(api, name), {})[0] for name in names]
    parts = history(adapter, until=MONTHS_LATER)
    assert types(parts) == types(delivered)
    for ours, theirs in zip(parts, delivered, strict=True):
        assert facts(adapter, ours) == facts(adapter, theirs)
        told, was = json.loads(ours.body), json.loads(theirs.body)
        assert told["data"] == was["data"]
        assert told.keys() | {"location_id"} == was.keys() | {"location_id"}
        assert told["merchant_id"] == was["merchant_id"]
        assert ours.event_id == told["event_id"]
    assert parts == history(adapter, until=MONTHS_LATER), "listed again, they are the same events"
    assert parts[0].event_id == "backfill:payment:payGym0001:2026-11-01T09:00:04.000Z"


def test_another_version_is_another_event(api: StandIn) -> None:
    put(api, "payment_updated")
    (first, *_) = history(on(api))
    put(api, "payment_updated", updated_at="2026-11-01T10:00:00Z")
    (second, *_) = history(on(api))
    assert first.event_id != second.event_id


def test_nothing(api: StandIn) -> None:
    assert history(on(api)) == []
    api.fail(200, body=b'{"locations": []}')
    assert history(on(api)) == []


def test_of_every_location(api: StandIn) -> None:
    api.objects.put("locations", "2", {"id": "LOCGym0002", "merchant_id": "MERCHANTGym0001"})
    for number in (1, 2):
        put(api, "payment_updated", id=f"pay{number}", location_id=f"LOCGym000{number}", customer_id=None)
        put(api, "refund_updated", id=f"ref{number}", location_id=f"LOCGym000{number}")
        put(api, "dispute_lost", id=f"dp{number}", location_id=f"LOCGym000{number}")
    parts = history(on(api), until=MONTHS_LATER)
    ids = [json.loads(part.body)["data"]["id"] for part in parts]
    assert ids == ["pay1", "ref1", "dp1", "pay2", "ref2", "dp2"]


@pytest.mark.parametrize("field", ["created_at", "updated_at"])
def test_payments_made_or_changed_in_that_time(api: StandIn, field: str) -> None:
    other = {"created_at": "2026-10-20T00:00:00Z", "updated_at": "2026-11-20T00:00:00Z"}
    times = ("2026-10-31T23:59:59Z", "2026-11-01T00:00:00Z", "2026-11-01T23:59:59Z", "2026-11-02T00:00:00Z")
    for number, time in enumerate(times):
        put(api, "payment_updated", id=f"pay{number}", **{**other, field: time})
    assert [part.event_id.split(":")[2] for part in history(on(api))] == ["pay1", "pay2"]


@pytest.mark.parametrize("name", ["refund_updated", "dispute_lost"])
def test_refunds_and_disputes_changed_in_that_time(api: StandIn, name: str) -> None:
    times = ("2026-10-31T23:59:59Z", "2026-11-01T00:00:00Z", "2026-11-01T23:59:59Z", "2026-11-02T00:00:00Z")
    for number, time in enumerate(times):
        put(api, name, id=f"id{number}", created_at="2026-10-20T00:00:00Z", updated_at=time)
    assert [part.event_id.split(":")[2] for part in history(on(api))] == ["id1", "id2"]


@pytest.mark.parametrize(
    ("changes", "credited"),
    [
        ({}, True),
        ({"created_at": "2026-10-31T23:59:00Z"}, False),
        ({"created_at": "2026-10-27T09:00:00Z", "source_type": "BANK_ACCOUNT"}, True),
        ({"created_at": "2026-10-24T09:00:00Z", "source_type": "BANK_ACCOUNT"}, False),
        ({"status": "FAILED"}, False),
        ({"status": "APPROVED"}, False),
        ({"order_id": "orderGym0002"}, False),
        ({"order_id": None}, False),
        ({"customer_id": "CUSTGym0002"}, False),
        ({"customer_id": None}, False),
        ({"location_id": "LOCGym0001", "customer_id": "CUSTGym0001"}, True),
    ],
)
def test_the_invoice_of_a_payment_that_was_made_then(api: StandIn, changes: dict[str, Any], credited: bool) -> None:
    put(api, "payment_updated", **changes)
    put(api, "invoice_payment_made")
    assert types(history(on(api))) == ["payment.updated", "invoice.payment_made"][: 1 + credited]
    if None in changes.values():
        assert not [path for path in api.asked if "search" in path], "there is nothing to search by"


@pytest.mark.parametrize("changes", [{}, {"order_id": None}])
def test_what_is_of_no_subscription_means_the_same_listed_as_delivered(api: StandIn, changes: dict[str, Any]) -> None:
    adapter = on(api)
    names = ("payment_updated", "invoice_without_subscription")[: 2 - len(changes)]
    delivered = [adapter.parse(put(api, name, **changes), {})[0] for name in names]
    told = [facts(adapter, part) for part in history(adapter)]
    assert told == [facts(adapter, part) for part in delivered]
    (paid,) = [fact for one in told for fact in one if isinstance(fact, Paid)]
    assert (paid.billing_references, paid.payer) == ((), ("CUSTGym0001",))


@pytest.mark.parametrize(("count", "pages"), [(100, 1), (101, 2), (250, 3)])
def test_page_by_page(api: StandIn, count: int, pages: int) -> None:
    for number in range(count):
        put(api, "refund_updated", id=f"ref{number:04}", updated_at="2026-11-01T10:00:00Z")
    assert len(history(on(api))) == count
    assert len([path for path in api.asked if "/v2/refunds" in path]) == pages


def test_a_page_with_nothing_on_it_is_not_the_last(api: StandIn) -> None:
    put(api, "refund_updated", updated_at="2026-11-01T10:00:00Z")
    api.fail(0)
    for _ in range(2):
        api.fail(200, body=b"{}")
    api.fail(200, body=b'{"refunds": [], "cursor": "0"}')
    assert types(history(on(api))) == ["refund.updated"]


def test_an_invoice_on_a_later_page(api: StandIn) -> None:
    put(api, "payment_updated")
    for number in range(200):
        put(api, "invoice_payment_made", id=f"inv:{number:04}", order_id=f"order{number}")
    put(api, "invoice_payment_made", id="inv:9999")
    assert types(history(on(api))) == ["payment.updated", "invoice.payment_made"]
    assert len([path for path in api.asked if "search" in path]) == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_square_refuses(api: StandIn, status: int) -> None:
    api.fail(status, body=b'{"errors": [{"category": "AUTHENTICATION_ERROR", "code": "UNAUTHORIZED"}]}')
    with pytest.raises(Unavailable, match=f"status {status}.*put an access token .*test mode into SPP_API_KEY_SQUARE"):
        history(on(api))
    assert len(api.asked) == 1


def test_no_token(api: StandIn) -> None:
    with pytest.raises(Unavailable, match=r"put an access token .* into SPP_API_KEY_SQUARE"):
        history(endpoint("square", "secret", url=URL, api=api.url))
    assert not api.asked


def test_a_rate_limit_and_an_outage_that_pass(api: StandIn) -> None:
    put(api, "refund_updated", updated_at="2026-11-01T10:00:00Z")
    for status in (429, 503):
        api.fail(status, body=b"<html>", **FAST)
    begun = monotonic()
    assert types(history(on(api))) == ["refund.updated"]
    assert monotonic() - begun > 2, "it waits as long as it was told"
    assert http_client.MAX_RETRY_DELAY_SECONDS <= 60


def test_an_outage_that_lasts(api: StandIn) -> None:
    api.fail(500, times=3, body=b'{"errors": []}', **FAST)
    with pytest.raises(Unavailable, match="status 500"):
        history(on(api))
    assert len(api.asked) == 3


@pytest.mark.parametrize("status", [302, 400, 404])
def test_what_should_not_be_answered(api: StandIn, status: int) -> None:
    api.fail(status, body=b'{"errors": [{"code": "INVALID_CURSOR"}]}', Location=f"{api.url}/elsewhere")
    with pytest.raises(Unavailable, match=f"status {status}"):
        history(on(api))
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff",
        b"[]",
        b"7",
        b'{"locations": 7}',
        b'{"locations": [7]}',
        b'{"locations": {"id": 1}}',
        b"[" * 100_000,
        b'{"locations": [{"id": "\\ud800"}]}',
    ],
    ids=range(10),
)
def test_an_answer_that_is_none(api: StandIn, body: bytes) -> None:
    api.fail(200, body=body)
    with pytest.raises(Unavailable) as refused:
        history(on(api))
    assert len(str(refused.value)) < 300


def test_nobody_answers(api: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    assert square.TIMEOUT_S <= 10
    monkeypatch.setattr(square, "TIMEOUT_S", 0.2)
    with api.held(), pytest.raises(Unavailable, match="ReadTimeout"):
        history(on(api))
    with pytest.raises(Unavailable, match="ConnectError"):
        history(endpoint("square", "secret", url=URL, api="http://127.0.0.1:9", api_key=["token_1"]))


@pytest.mark.parametrize(("mode", "host"), [("live", "connect.squareup.com"), ("test", "connect.squareupsandbox.com")])
def test_without_an_option_it_asks_squares_own(
    monkeypatch: pytest.MonkeyPatch, mode: Literal["live", "test"], host: str
) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.host, request.headers["Authorization"]))
        return httpx.Response(200, json={})

    real = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **how: real(transport=httpx.MockTransport(answer), **how))
    assert history(endpoint("square", "secret", mode=mode, url=URL, api_key=["token_1"])) == []
    assert asked == [(host, "Bearer token_1")]
