"""PayPal's API, over real HTTP, as the stand-in tells it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.standin import StandIn
from models.payments.facts import Noted, Paid, Reversed
from tests.webhooks.deliveries import PAYLOADS, changed, endpoint, recorded
from webhooks.processors import ParsedEvent, Processor, Unavailable, Unusable, http, paypal

RECORDED = recorded("paypal")
FETCHED = {file.stem: json.loads(file.read_text()) for file in (PAYLOADS / "paypal" / "resources").glob("*.json")}
KINDS = {
    "sale_completed": ("sale", "GYM0001SALE"),
    "capture_completed": ("captures", "GYM0001CAPTURE"),
    "sale_refunded": ("refund", "GYM0001REFUND"),
    "capture_refunded": ("refunds", "GYM0001REFUND2"),
    "sale_reversed": ("sale", "GYM0001SALE"),
    "capture_reversed": ("refunds", "GYM0001REVERSAL"),
    "dispute_lost": ("disputes", "PP-D-GYM0001"),
}
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
PAID = "PAYMENT.SALE.COMPLETED"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    """The API, which knows nothing."""
    with StandIn("paypal", tmp_path) as standin:
        yield standin


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paypal, "WAITS_S", (0.0, 0.0, 0.0))


def on(api: StandIn, *key: str) -> Processor:
    return endpoint("paypal", "WEBHOOK1", api=api.url, api_key=key or ["client_1", "secret_1"])


def put(api: StandIn, name: str = "sale_completed") -> Any:
    api.objects.put(*KINDS[name], FETCHED[name])
    return FETCHED[name]


def fetched(adapter: Processor, name: str = "sale_completed") -> Any:
    return json.loads(adapter.fetch("PAYMENT.SALE.COMPLETED", RECORDED[name]))


class TestFetch:
    @pytest.mark.parametrize("name", KINDS)
    def test_what_the_event_names(self, api: StandIn, name: str) -> None:
        assert put(api, name) == fetched(on(api), name)
        (part,) = on(api).parse(RECORDED[name], {})
        expected = json.dumps(FETCHED[name]).encode()
        resource = on(api).fetch(part.type, part.body)
        assert on(api).interpret(part.type, part.body, resource) == on(api).interpret(part.type, part.body, expected)

    def test_the_body_says_no_more_than_where(self, api: StandIn) -> None:
        put(api)
        forged = changed(RECORDED["sale_completed"], resource__amount__total="9999.00", resource__id="SALE-X")
        assert json.loads(on(api).fetch(PAID, forged)) == FETCHED["sale_completed"]

    def test_the_token_is_kept(self, api: StandIn) -> None:
        put(api)
        adapter = on(api)
        for _ in range(3):
            fetched(adapter)
        sale = ["GET /v1/payments/sale/GYM0001SALE", "GET /v1/billing/subscriptions/I-GYM0001?fields=plan"]
        assert list(api.asked) == ["POST /v1/oauth2/token", *sale * 3]

    def test_a_token_that_ends(self, api: StandIn) -> None:
        put(api)
        adapter = on(api)
        api.fail(200, body=b'{"access_token": "A21AA-local", "expires_in": 60}')
        for _ in range(2):
            fetched(adapter)
        assert len([asked for asked in api.asked if asked.startswith("POST")]) == 2

    def test_a_token_that_is_withdrawn(self, api: StandIn) -> None:
        put(api)
        adapter = on(api)
        fetched(adapter)
        api.fail(401)
        with pytest.raises(Unavailable, match="401"):
            fetched(adapter)
        assert fetched(adapter) == FETCHED["sale_completed"]
        assert len([asked for asked in api.asked if asked.startswith("POST")]) == 2

    @pytest.mark.parametrize("body", [b"{}", b'{"access_token": 1, "expires_in": 9}', b'{"access_token": "x"}'])
    def test_no_token(self, api: StandIn, body: bytes) -> None:
        api.fail(200, body=body)
        with pytest.raises(Unavailable, match="no access token"):
            fetched(on(api))

    def test_not_found(self, api: StandIn) -> None:
        with pytest.raises(LookupError, match="404"):
            fetched(on(api))

    @pytest.mark.parametrize(
        ("name", "of"), [("sale_refunded", "sale_completed"), ("capture_reversed", "capture_completed")]
    )
    def test_for_a_refund_that_is_not_found_its_payment_if_that_tells(self, api: StandIn, name: str, of: str) -> None:
        with pytest.raises(LookupError, match="404"):
            fetched(on(api), name)
        put(api, of)
        with pytest.raises(LookupError, match="404"):
            fetched(on(api), name)
        gone = FETCHED[of] | {"state": "refunded"}
        api.objects.put(*KINDS[of], gone)
        assert fetched(on(api), name) == gone
        put(api, name)
        assert fetched(on(api), name) == FETCHED[name]

    def test_a_refund_is_not_taken_for_its_payment_while_the_api_is_down(self, api: StandIn) -> None:
        put(api, "capture_completed")
        adapter = on(api)
        fetched(adapter, "capture_completed")
        api.fail(429)
        with pytest.raises(Unavailable, match="429"):
            fetched(adapter, "capture_refunded")

    def test_what_went_back_of_a_capture_is_in_its_order(self, api: StandIn) -> None:
        capture = FETCHED["capture_completed"] | {"status": "PARTIALLY_REFUNDED"}
        api.objects.put(*KINDS["capture_completed"], capture)
        other = part_refund("R3", "5.00", "OTHERCAPTURE")
        refunds = [part_refund("R1", "20.00", "GYM0001CAPTURE"), part_refund("R2", "10.50", "GYM0001CAPTURE")]
        units = [
            {"payments": {"captures": [capture], "refunds": [refunds[0], other]}},
            {"payments": {"refunds": refunds[1:]}},
        ]
        api.objects.put("orders", "GYM0001ORDER", {"id": "GYM0001ORDER", "purchase_units": units})
        self.check_reversed(api, "capture_completed", "PAYMENT.CAPTURE.REVERSED", 3050)

    def test_what_went_back_of_a_sale_is_in_its_parent_payment(self, api: StandIn) -> None:
        href = "https://api.sandbox.paypal.com/v1/payments/payment/PAY-1"
        sale = FETCHED["sale_completed"] | {"state": "partially_refunded"}
        sale["links"] = [*sale["links"], {"rel": "parent_payment", "href": href}]
        api.objects.put(*KINDS["sale_completed"], sale)
        refunds = [
            {"id": f"R{number}", "state": "completed", "sale_id": of, "amount": {"total": "-20.00", "currency": "USD"}}
            for number, of in enumerate(("GYM0001SALE", "OTHERSALE", "GYM0001SALE"))
        ]
        related = [{"sale": sale}, *({"refund": refund} for refund in refunds)]
        api.objects.put("payment", "PAY-1", {"id": "PAY-1", "transactions": [{"related_resources": related}]})
        self.check_reversed(api, "sale_completed", "PAYMENT.SALE.REFUNDED", 4000)

    @staticmethod
    def check_reversed(api: StandIn, name: str, kind: str, amount_minor: int) -> None:
        adapter, body = on(api), changed(RECORDED[name], event_type=kind)
        _, back = adapter.interpret(kind, body, adapter.fetch(kind, body))
        assert isinstance(back, Reversed)
        assert (back.amount_minor, back.running_total) == (amount_minor, True)
        completed = f"{kind.rpartition('.')[0]}.COMPLETED"
        assert len(adapter.interpret(completed, body, adapter.fetch(completed, body))) == 1, "refunds have events"

    @pytest.mark.parametrize(
        "order", [None, {}, {"purchase_units": 7}, {"purchase_units": [{"payments": {"refunds": [7]}}]}]
    )
    def test_where_nothing_tells_how_much_it_stands_before_staff(self, api: StandIn, order: Any) -> None:
        capture = FETCHED["capture_completed"] | {"status": "PARTIALLY_REFUNDED"}
        if order is None:
            capture["links"] = capture["links"][:1]
        elif order:
            api.objects.put("orders", "GYM0001ORDER", {"id": "GYM0001ORDER", **order})
        api.objects.put(*KINDS["capture_completed"], capture)
        kind = "PAYMENT.CAPTURE.REVERSED"
        body = changed(RECORDED["capture_completed"], event_type=kind)
        paid, noted = on(api).interpret(kind, body, on(api).fetch(kind, body))
        assert isinstance(paid, Paid)
        assert isinstance(noted, Noted)
        assert "a part of the payment went back, but not how much" in noted.what

    @pytest.mark.parametrize("key", [[], ["client_1"], ["client_1", "secret_1", "more"]])
    def test_no_key(self, api: StandIn, key: list[str]) -> None:
        adapter = endpoint("paypal", "WEBHOOK1", api=api.url, api_key=key)
        with pytest.raises(Unavailable, match=r"the app's client id, then its secret into SPP_API_KEY_PAYPAL"):
            fetched(adapter)
        assert not api.asked

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_key_that_is_refused(self, api: StandIn, status: int) -> None:
        api.fail(status)
        with pytest.raises(Unavailable, match=f"status {status}.*SPP_API_KEY_PAYPAL"):
            fetched(on(api))

    @pytest.mark.parametrize(("status", "times"), [(429, 1), (500, 1), (503, 3)])
    def test_a_limit_or_an_error(self, api: StandIn, status: int, times: int) -> None:
        put(api)
        adapter = on(api)
        fetched(adapter)
        api.fail(status, times=times)
        with pytest.raises(Unavailable, match=str(status)):
            fetched(adapter)

    def test_no_answer_in_time(self, api: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "TIMEOUT_S", (0.5, 0.1))
        put(api)
        with api.held(), pytest.raises(Unavailable, match="does not answer"):
            fetched(on(api))

    @pytest.mark.parametrize("status", [200, 302, 400, 404])
    @pytest.mark.parametrize(
        "body",
        [b"", b"<html>", b"\xff", b"null", b"[]", b"[" * 9_000, b'{"id": "GYM0001SALE", "state": NaN}', b'{"id"'],
    )
    def test_what_cannot_be_read_is_no_answer(self, api: StandIn, status: int, body: bytes) -> None:
        adapter = on(api)
        put(api)
        fetched(adapter)
        api.fail(status, body=body)
        with pytest.raises(Unavailable, match="cannot be read"):
            fetched(adapter)
        assert fetched(adapter) == FETCHED["sale_completed"]

    @pytest.mark.parametrize("told", ["GYM0002SALE", None, 7, {"id": "GYM0001SALE"}])
    def test_another_object_is_no_answer(self, api: StandIn, told: object) -> None:
        api.objects.put(*KINDS["sale_completed"], FETCHED["sale_completed"] | {"id": told})
        with pytest.raises(Unavailable, match="was asked for GYM0001SALE"):
            fetched(on(api))

    def test_nor_one_that_says_to_stand_elsewhere(self, api: StandIn) -> None:
        elsewhere = [{"rel": "self", "href": "https://api-m.sandbox.paypal.com/v1/payments/sale/GYM0002SALE"}]
        api.objects.put(*KINDS["sale_completed"], FETCHED["sale_completed"] | {"links": elsewhere})
        with pytest.raises(Unavailable, match="answers about 'GYM0002SALE', but was asked for GYM0001SALE"):
            fetched(on(api))

    @pytest.mark.parametrize(
        "href",
        [
            "https://api.paypal.com/v1/payments/sale/GYM0001SALE",
            "https://evil.example/v1/payments/sale/GYM0001SALE",
            "https://api.sandbox.paypal.com/v1/payments/sale/../../billing/plans",
            "https://api.sandbox.paypal.com/v1/payments/sale/GYM0001SALE/refund",
            "https://api.sandbox.paypal.com/v1/payments/sale/GYM0001SALE?x=1",
            "https://api.sandbox.paypal.com/v1/identity/GYM0001SALE",
            7,
        ],
    )
    def test_a_place_that_is_none(self, api: StandIn, href: object) -> None:
        with pytest.raises(Unusable, match="stands nowhere in PayPal's API for test mode"):
            on(api).fetch(PAID, changed(RECORDED["sale_completed"], resource__links__0__href=href))
        assert not api.asked

    @pytest.mark.parametrize("links", [None, [], {}, 7, [7], [{}], [{"rel": "self"}], ...])
    def test_no_links(self, api: StandIn, links: object) -> None:
        with pytest.raises(Unusable, match="stands nowhere"):
            on(api).fetch(PAID, changed(RECORDED["sale_completed"], resource__links=links))


def part_refund(name: str, amount: str, capture: str) -> dict[str, Any]:
    """A refund as an order lists it."""
    up = {"rel": "up", "href": f"https://api.sandbox.paypal.com/v2/payments/captures/{capture}"}
    return {"id": name, "status": "COMPLETED", "amount": {"value": amount, "currency_code": "USD"}, "links": [up]}


def happened(api: StandIn, number: int, at: datetime, **more: Any) -> bytes:
    """An event that the API lists; its body as the webhook has it."""
    created = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    body = changed(RECORDED["sale_completed"], id=f"WH-{number:04}", create_time=created)
    api.objects.put("webhooks-events", f"WH-{number:04}", json.loads(body) | more)
    return body


def history(adapter: Processor, since: datetime = SINCE, days: float = 1) -> list[ParsedEvent]:
    return list(adapter.fetch_history(since, since + timedelta(days=days)))


def pages(api: StandIn) -> int:
    return len([asked for asked in api.asked if "webhooks-events" in asked])


class TestListed:
    def test_what_is_listed_is_what_was_delivered(self, api: StandIn) -> None:
        links = [{"rel": "self", "href": "https://api-m.sandbox.paypal.com/v1/notifications/webhooks-events/WH-0001"}]
        answers = [{"webhook_url": "https://gym.example/webhooks/paypal", "status": "PENDING"}]
        body = happened(api, 1, SINCE, links=links, transmissions=answers)
        (part,) = history(on(api))
        assert part.thin
        assert on(api).parse(body, {}) == [part._replace(body=body)]
        assert on(api).same_content(body, part.body)

    def test_nothing(self, api: StandIn) -> None:
        assert history(on(api)) == []
        assert pages(api) == 1

    @pytest.mark.parametrize(("count", "asked"), [(100, 1), (101, 2), (250, 3)])
    def test_page_by_page_the_oldest_first(self, api: StandIn, count: int, asked: int) -> None:
        for number in range(count):
            happened(api, number, SINCE + timedelta(minutes=number))
        assert [part.event_id for part in history(on(api))] == [f"WH-{number:04}" for number in range(count)]
        assert pages(api) == asked

    def test_day_by_day(self, api: StandIn) -> None:
        for number in range(6):
            happened(api, number, SINCE + timedelta(hours=13 * number))
        found = on(api).fetch_history(SINCE, SINCE + timedelta(days=2.5))
        assert next(found).event_id == "WH-0000"
        assert pages(api) == 1
        assert [part.event_id for part in found] == [f"WH-{number:04}" for number in range(1, 5)]
        assert pages(api) == 3

    def test_a_limit_and_an_outage_are_waited_for(self, api: StandIn) -> None:
        for number in range(101):
            happened(api, number, SINCE + timedelta(minutes=number))
        adapter = on(api)
        api.fail(429, times=2)
        assert len(history(adapter)) == 101
        api.fail(500)
        assert len(history(adapter)) == 101

    def test_a_limit_that_lasts(self, api: StandIn) -> None:
        api.fail(429, times=4)
        with pytest.raises(Unavailable, match="429"):
            history(on(api))
        assert history(on(api)) == []

    @pytest.mark.parametrize("body", [b'{"events": {}}', b'{"events": [1]}', b'{"events": null}'])
    def test_a_list_that_we_do_not_know(self, api: StandIn, body: bytes) -> None:
        adapter = on(api)
        history(adapter)
        api.fail(200, body=body)
        with pytest.raises(Unavailable, match="in a way that we do not know"):
            history(adapter)

    def test_pages_that_go_round_in_circles(self, api: StandIn) -> None:
        happened(api, 1, SINCE)
        adapter = on(api)
        history(adapter)
        page = {"events": [{"id": "WH-1"}], "links": [{"rel": "next", "href": "https://elsewhere.example/x?page=2"}]}
        api.fail(200, times=2, body=json.dumps(page).encode())
        assert len(history(adapter)) == 2
        assert api.asked[-1] == "GET /v1/notifications/webhooks-events?page=2", "of a link, only the query is taken"
