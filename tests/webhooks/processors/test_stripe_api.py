"""Stripe's list of events, over real HTTP, as the stand-in tells it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest

from local.standin import StandIn
from runtime.settings import SettingsError
from tests.webhooks.deliveries import changed, endpoint, recorded
from webhooks.processors import ADAPTERS, ParsedEvent, Processor, Unavailable, http
from webhooks.processors.claiming import Checkout

RECORDED = {name: body for name, body in recorded("stripe").items() if not name.startswith("thin")}
"""What API v1 lists."""
AT = 1_793_527_210
SINCE, UNTIL = (datetime.fromtimestamp(AT + seconds, UTC) for seconds in (0, 1_000))


@pytest.fixture
def stripe(tmp_path: Path) -> Iterator[StandIn]:
    """The API, which knows nothing."""
    with StandIn("stripe", tmp_path) as standin:
        yield standin


def on(
    stripe: StandIn, key: str = "sk_test_1", account: str | None = None, mode: Literal["live", "test"] = "test"
) -> Processor:
    return endpoint("stripe", "whsec_test", api=stripe.url, api_key=[key], account=account, mode=mode)


def put(stripe: StandIn, number: int, at: int = AT, **changes: Any) -> bytes:
    """A paid invoice that the API knows; its body as the webhook has it."""
    changes = {"id": f"evt_{number:04}", "created": at, "data__object__id": f"in_{number:04}", **changes}
    body = changed(RECORDED["invoice_paid"], **changes)
    stripe.objects.put("events", f"evt_{number:04}", json.loads(body))
    return body


def history(adapter: Processor, since: datetime = SINCE, until: datetime = UNTIL) -> list[ParsedEvent]:
    return list(adapter.fetch_history(since, until))


def test_what_is_listed_is_what_was_delivered(stripe: StandIn) -> None:
    delivered = put(stripe, 1)
    (part,) = history(on(stripe))
    adapter = on(stripe)
    assert adapter.parse(delivered, {}) == [part._replace(body=delivered)]
    assert adapter.same_content(delivered, part.body)
    assert adapter.interpret(part.type, part.body) == adapter.interpret("invoice.paid", delivered)


def test_of_every_type_that_counts_and_no_other(stripe: StandIn) -> None:
    adapter, counting = on(stripe), set()
    for number, body in enumerate(RECORDED.values()):
        event = json.loads(body)
        stripe.objects.put("events", f"evt_{number}", event | {"id": f"evt_{number}", "created": AT})
        if event["type"] != json.loads(RECORDED["unknown_type"])["type"]:
            counting.add(event["type"])
    assert {part.type for part in history(adapter)} == counting
    asked = parse_qs(urlsplit(stripe.asked[0]).query)
    assert counting <= {values[0] for name, values in asked.items() if name.startswith("types[")}
    assert len([name for name in asked if name.startswith("types[")]) <= 20, "more than Stripe takes"


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (1, 1), (100, 1), (101, 2), (250, 3)])
def test_page_by_page_the_newest_first(stripe: StandIn, count: int, pages: int) -> None:
    for number in range(count):
        put(stripe, number, at=AT + number)
    found = history(on(stripe))
    assert [part.event_id for part in found] == [f"evt_{number:04}" for number in reversed(range(count))]
    # The types are more than Stripe takes at once: one request asks for the others, of which there are none.
    assert len(stripe.asked) == pages + 1


def test_pages_are_asked_for_when_they_are_needed(stripe: StandIn) -> None:
    for number in range(250):
        put(stripe, number, at=AT + number)
    found = on(stripe).fetch_history(SINCE, UNTIL)
    next(found)
    assert len(stripe.asked) == 1


def test_from_one_moment_to_before_another(stripe: StandIn) -> None:
    for number, at in enumerate((AT - 1, AT, AT + 999, AT + 1_000)):
        put(stripe, number, at=at)
    assert [part.event_id for part in history(on(stripe))] == ["evt_0002", "evt_0001"]
    half = timedelta(seconds=0.5)
    windows = [(SINCE + half, SINCE + 999 * half), (SINCE + 999 * half, UNTIL + half)]
    assert [part.event_id for window in windows for part in history(on(stripe), *window)] == ["evt_0001", "evt_0002"]


def test_of_a_connected_account(stripe: StandIn) -> None:
    ours, _ = put(stripe, 1, account="acct_1"), put(stripe, 2, account="acct_2")
    put(stripe, 3)
    adapter = on(stripe, account="acct_1")
    (part,) = history(adapter)
    assert part.event_id == "evt_0001"
    assert adapter.same_content(ours, part.body)
    assert adapter.interpret(part.type, part.body) == adapter.interpret("invoice.paid", ours)
    assert [part.event_id for part in history(on(stripe))] == ["evt_0003"]


def test_an_account_that_stripe_names_stays(stripe: StandIn) -> None:
    event = json.loads(changed(RECORDED["invoice_paid"], account="acct_2"))
    stripe.fail(200, body=json.dumps({"data": [event], "has_more": False}).encode())
    (part,) = history(on(stripe, account="acct_1"))
    assert json.loads(part.body)["account"] == "acct_2"


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_stripe_refuses(stripe: StandIn, status: int) -> None:
    stripe.fail(status, body=json.dumps({"error": {"message": "No such key"}}).encode())
    with pytest.raises(Unavailable, match=f"status {status}.*SPP_API_KEY_STRIPE"):
        history(on(stripe))
    assert len(stripe.asked) == 1


def test_no_key(stripe: StandIn) -> None:
    adapter = endpoint("stripe", "whsec_test", api=stripe.url)
    with pytest.raises(Unavailable, match=r"put a secret or restricted key .* into SPP_API_KEY_STRIPE"):
        history(adapter)


@pytest.mark.parametrize(("mode", "key"), [("test", "sk_live_1"), ("live", "rk_test_1")])
def test_a_key_of_the_other_mode_asks_nothing(stripe: StandIn, mode: Literal["live", "test"], key: str) -> None:
    with pytest.raises(Unavailable, match=f"SPP_API_KEY_STRIPE is not a {mode}-mode key"):
        history(on(stripe, key, mode=mode))
    assert not stripe.asked
    assert history(on(stripe, "rk_live_1", mode="live")) == []


def test_a_rate_limit(stripe: StandIn) -> None:
    stripe.fail(429, body=json.dumps({"error": {"message": "Too many requests"}}).encode())
    with pytest.raises(Unavailable, match="429"):
        history(on(stripe))


def test_a_rate_limit_that_stripe_says_to_try_again(stripe: StandIn) -> None:
    put(stripe, 1)
    stripe.fail(429, body=b'{"error": {"message": "lock"}}', **{"Stripe-Should-Retry": "true"})
    assert [part.event_id for part in history(on(stripe))] == ["evt_0001"]


def test_an_error_of_stripes(stripe: StandIn) -> None:
    put(stripe, 1)
    stripe.fail(500, body=b'{"error": {"message": "Something is broken"}}')
    stripe.fail(502, body=b"<html>")
    assert [part.event_id for part in history(on(stripe))] == ["evt_0001"], "twice more is tried"
    stripe.fail(503, times=3, body=b"<html>")
    with pytest.raises(Unavailable, match="503"):
        history(on(stripe))


def test_an_error_on_a_later_page(stripe: StandIn) -> None:
    for number in range(101):
        put(stripe, number, at=AT + number)
    found = on(stripe).fetch_history(SINCE, UNTIL)
    assert len([next(found) for _ in range(100)]) == 100
    stripe.fail(401, body=b'{"error": {"message": "revoked"}}')
    with pytest.raises(Unavailable, match="401"):
        next(found)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"data": {}}',
        b'{"data": [1]}',
        b'{"data": [{}]}',
        b"[" * 9_000,
    ],
)
def test_an_answer_that_is_none(stripe: StandIn, body: bytes) -> None:
    stripe.fail(200, body=body)
    with pytest.raises(Unavailable) as refused:
        history(on(stripe))
    assert len(str(refused.value)) < 300


def test_an_event_that_is_none_is_kept_in_quarantine(stripe: StandIn) -> None:
    put(stripe, 1)
    stripe.fail(200, body=b'{"data": [{"id": "evt_2", "type": 7}], "has_more": false}')
    (part,) = history(on(stripe))
    assert part.quarantine_reason


def test_nobody_answers(stripe: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT_S", (0.2, 0.2))
    with stripe.held(), pytest.raises(Unavailable, match="APIConnectionError"):
        history(on(stripe))
    with pytest.raises(Unavailable, match="APIConnectionError"):
        history(endpoint("stripe", "whsec_test", api="http://127.0.0.1:9", api_key=["sk_test_1"]))


def test_the_time_for_an_answer_is_bounded() -> None:
    assert max(http.TIMEOUT_S) <= 10


def test_the_api_is_stripes_own_without_an_option() -> None:
    assert "stripe" in ADAPTERS
    with pytest.raises(SettingsError, match="has the options: api"):
        endpoint("stripe", "whsec_test", url="https://example.com")


class TestCheckout:
    """A page for a first payment, which carries the membership's code."""

    WANTED = Checkout("m_gym234gym567gymx", "ada+1@example.com", "Gold, Monthly", 8900, "USD", "month", 1)

    def make(self, stripe: StandIn, wanted: Checkout = WANTED, key: str = "sk_test_1", **options: str) -> str:
        options = {"api": stripe.url, "success_url": "https://gym.example/welcome", **options}
        return endpoint("stripe", "whsec_test", api_key=[key], **options).make_checkout(wanted)

    def test_of_a_subscription(self, stripe: StandIn) -> None:
        assert self.make(stripe) == "https://checkout.stripe.com/cs_test_1"
        (sent,) = stripe.objects.all("sessions")
        assert sent == {
            "id": "cs_test_1",
            "mode": "subscription",
            "client_reference_id": "m_gym234gym567gymx",
            "customer_email": "ada+1@example.com",
            "success_url": "https://gym.example/welcome",
            "metadata[membership_code]": "m_gym234gym567gymx",
            "subscription_data[metadata][membership_code]": "m_gym234gym567gymx",
            "line_items[0][quantity]": "1",
            "line_items[0][price_data][currency]": "usd",
            "line_items[0][price_data][unit_amount]": "8900",
            "line_items[0][price_data][product_data][name]": "Gold, Monthly",
            "line_items[0][price_data][recurring][interval]": "month",
            "line_items[0][price_data][recurring][interval_count]": "1",
        }

    def test_of_a_sale_in_stripes_own_minor_units(self, stripe: StandIn) -> None:
        self.make(stripe, self.WANTED._replace(interval="once", currency="ISK"))
        (sent,) = stripe.objects.all("sessions")
        assert (sent["mode"], sent["line_items[0][price_data][unit_amount]"]) == ("payment", "890000")
        assert not [name for name in sent if name.startswith(("subscription_data", "line_items[0][price_data][rec"))]

    def test_that_the_key_may_not_make(self, stripe: StandIn) -> None:
        with pytest.raises(Unavailable, match="Stripe refuses the API key"):
            self.make(stripe, key="rk_read_test_1")

    def test_without_an_answer(self, stripe: StandIn) -> None:
        with pytest.raises(Unavailable, match="does not answer as it should"):
            self.make(stripe, api="http://127.0.0.1:9")

    def test_without_a_place_to_go_to_afterwards(self, stripe: StandIn) -> None:
        with pytest.raises(Unavailable, match="has no success_url"):
            endpoint("stripe", "whsec_test", api=stripe.url, api_key=["sk_test_1"]).make_checkout(self.WANTED)
