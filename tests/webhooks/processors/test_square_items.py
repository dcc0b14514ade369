"""The items of a Square invoice's order: fetched over real HTTP where no subscription says what the invoice is for."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.standin import StandIn
from models.payments.facts import Fact, Line, Paid
from tests.webhooks.deliveries import changed, endpoint, part_of, recorded
from webhooks.processors import Processor, Unavailable

URL = "https://gym.example/webhooks/square"
RECORDED = recorded("square")
INVOICE, OF_SUBSCRIPTION = RECORDED["invoice_without_subscription"], RECORDED["invoice_payment_made"]
DUES: dict[str, Any] = {"uid": "1", "name": "Gold month", "catalog_object_id": "GOLD", "quantity": "1"}
DUES |= {"base_price_money": {"amount": 7000, "currency": "USD"}, "total_money": {"amount": 6900, "currency": "USD"}}
TOWEL: dict[str, Any] = {"uid": "2", "name": "Towel", "catalog_object_id": "TOWEL", "quantity": "2"}
TOWEL |= {"base_price_money": {"amount": 1000, "currency": "USD"}, "total_money": {"amount": 2000, "currency": "USD"}}
ORDER = {"id": "orderGym0001", "location_id": "LOCGym0001", "state": "COMPLETED", "line_items": [DUES, TOWEL]}
LINES = (Line(("item:GOLD",), 6900), Line(("item:TOWEL",), 2000, quantity=2))


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    """The API, which knows the order."""
    with StandIn("square", tmp_path) as standin:
        standin.objects.put("orders", "orderGym0001", ORDER)
        yield standin


def on(api: StandIn, *key: str) -> Processor:
    return endpoint("square", "secret", url=URL, api=api.url, api_key=key)


def fetched(adapter: Processor, body: bytes = INVOICE) -> list[Fact]:
    part = part_of(adapter, body)
    assert part.thin
    return adapter.interpret(part.type, part.body, adapter.fetch(part.type, part.body))


def without(body: bytes = INVOICE) -> Paid:
    """The payment as the invoice alone tells it."""
    (paid,) = endpoint("square", "secret", url=URL).interpret("invoice.payment_made", body)
    assert isinstance(paid, Paid)
    assert not paid.lines
    return paid


@pytest.mark.parametrize("type", ["invoice.payment_made", "invoice.updated"])
def test_they_are_lines_of_the_payment(api: StandIn, type: str) -> None:
    assert fetched(on(api, "token_1"), changed(INVOICE, type=type)) == [replace(without(), lines=LINES)]
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        OF_SUBSCRIPTION,
        RECORDED["invoice_partially_paid"],
        RECORDED["payment_updated"],
        RECORDED["refund_updated"],
        changed(INVOICE, type="invoice.canceled"),
        changed(INVOICE, data__object__invoice__status="UNPAID"),
        changed(INVOICE, data__object__invoice__order_id=None),
    ],
)
def test_nothing_is_asked_for_anything_else(api: StandIn, body: bytes) -> None:
    assert not part_of(on(api, "token_1"), body).thin


def test_without_an_access_token_the_invoice_counts_as_a_whole(api: StandIn) -> None:
    assert fetched(on(api)) == [without()]
    assert not api.asked


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_the_token_may_not_read_keeps_nothing_waiting(api: StandIn, status: int) -> None:
    api.fail(status, body=b'{"errors": []}')
    assert fetched(on(api, "token_1")) == [without()]


def test_an_api_that_is_down_is_waited_for(api: StandIn) -> None:
    api.fail(503, times=3, **{"Retry-After": "1"})
    with pytest.raises(Unavailable, match="503"):
        fetched(on(api, "token_1"))
    assert fetched(on(api, "token_1")) == [replace(without(), lines=LINES)]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b"[]", b"{}", b'{"order": null}', b'{"order": {"id": "o2"}}']
)
def test_an_answer_about_something_else_is_none(api: StandIn, body: bytes) -> None:
    api.fail(200, body=body)
    with pytest.raises(Unavailable):
        fetched(on(api, "token_1"))


@pytest.mark.parametrize(
    "listed",
    [None, [], [DUES, TOWEL | {"total_money": None}], [DUES | {"total_money": {"amount": 0, "currency": "USD"}}]],
)
def test_an_order_that_does_not_say_leaves_the_invoice_whole(api: StandIn, listed: list[dict[str, Any]] | None) -> None:
    api.objects.put("orders", "orderGym0001", ORDER | {"line_items": listed})
    assert fetched(on(api, "token_1")) == [without()]


def test_an_item_that_was_typed_in_has_no_reference(api: StandIn) -> None:
    typed = {key: value for key, value in TOWEL.items() if key != "catalog_object_id"}
    api.objects.put("orders", "orderGym0001", ORDER | {"line_items": [DUES, typed]})
    assert fetched(on(api, "token_1")) == [replace(without(), lines=(LINES[0], LINES[1]._replace(references=())))]


def test_names_and_notes_of_items_are_not_kept(api: StandIn) -> None:
    kept = json.loads(on(api, "token_1").fetch("invoice.payment_made", INVOICE))
    assert kept.keys() == {"id", "line_items"}
    assert kept["line_items"][0].keys() == {"catalog_object_id", "quantity", "total_money"}


def test_another_order_is_not_read(api: StandIn) -> None:
    adapter = on(api, "token_1")
    resource = adapter.fetch("invoice.payment_made", INVOICE)
    (paid,) = adapter.interpret(
        "invoice.payment_made", changed(INVOICE, data__object__invoice__order_id="other"), resource
    )
    assert isinstance(paid, Paid)
    assert not paid.lines
