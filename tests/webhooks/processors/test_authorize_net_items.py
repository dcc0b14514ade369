"""Authorize.Net's line items: fetched with the transaction over real HTTP, and what was paid divided by them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.standin import StandIn
from models.payments.facts import Line, Paid
from tests.webhooks.deliveries import PAYLOADS, changed, endpoint, recorded
from webhooks.processors import Ignored

BODY, TYPE = recorded("authorize_net")["authcapture_created"], "net.authorize.payment.authcapture.created"
DETAILS = json.loads((PAYLOADS / "authorize_net/resources/authcapture_created.json").read_bytes())
DUES = {"itemId": "dues", "name": "Month", "description": "Gold", "quantity": 1.0, "unitPrice": 69.0, "taxable": False}
TOWEL = {"itemId": "towel", "name": "Towel", "description": "Blue", "quantity": 2.0, "unitPrice": 10.0}
KEY = "52CB4A002C634B84E397DC8A218E1A160BA7CAB7CBE4C05B35E9CBB05E14FE4A" * 2
LINES = (Line(("4415473", "item:dues"), 6900), Line(("4415473", "item:towel"), 2000, quantity=2))


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn("authorize_net", tmp_path) as standin:
        yield standin


def paid(api: StandIn, body: bytes = BODY, **details: Any) -> Paid:
    """What the notification means, with these details in the API."""
    api.objects.put("transactions", DETAILS["transId"], DETAILS | details)
    adapter = endpoint("authorize_net", KEY, api=api.url, api_key=("login", "key"))
    (fact,) = adapter.interpret(TYPE, body, adapter.fetch(TYPE, body))
    assert isinstance(fact, Paid)
    return fact


@pytest.mark.parametrize("listed", [[DUES, TOWEL], {"lineItem": [DUES, TOWEL]}], ids=["list", "object"])
def test_they_are_lines_of_the_payment(api: StandIn, listed: object) -> None:
    without = paid(api)
    assert without.lines == ()
    assert paid(api, lineItems=listed) == replace(without, lines=LINES)


def test_one_alone(api: StandIn) -> None:
    assert paid(api, lineItems={"lineItem": TOWEL}).lines == (Line(("4415473", "item:towel"), 8900, quantity=2),)


def test_a_payment_of_the_payer_alone_has_lines_by_their_items(api: StandIn) -> None:
    lines = paid(api, subscription=None, lineItems=[DUES, TOWEL]).lines
    assert [line.references for line in lines] == [("item:dues",), ("item:towel",)]


@pytest.mark.parametrize("amount", [100.00, 50.01])
def test_tax_and_discounts_are_divided_by_what_the_items_cost(api: StandIn, amount: float) -> None:
    lines = paid(api, changed(BODY, payload__authAmount=amount), lineItems=[DUES, TOWEL]).lines
    assert sum(line.amount_minor for line in lines) == round(amount * 100)
    assert abs(lines[0].amount_minor - amount * 100 * 69 / 89) < 1


@pytest.mark.parametrize("spoiled", [{"unitPrice": None}, {"unitPrice": -1}, {"quantity": "many"}, {"unitPrice": {}}])
def test_where_one_cannot_be_read_there_are_none(api: StandIn, spoiled: dict[str, Any]) -> None:
    assert paid(api, lineItems=[DUES, TOWEL | spoiled]).lines == ()


@pytest.mark.parametrize("listed", [None, [], {}, "", 7, [7], {"lineItem": 7}, {"lineItem": None}])
def test_what_is_no_list_of_items(api: StandIn, listed: object) -> None:
    assert paid(api, lineItems=listed).lines == ()


@pytest.mark.parametrize("name", [None, "", "a b", "é", "x" * 255, 7, []])
def test_an_item_without_a_usable_id_is_a_line_all_the_same(api: StandIn, name: object) -> None:
    lines = paid(api, lineItems=[DUES, TOWEL | {"itemId": name}]).lines
    assert [line.amount_minor for line in lines] == [6900, 2000]
    assert lines[1].references[1:] == (("item:7",) if name == 7 else ())


def test_what_is_free_is_no_line(api: StandIn) -> None:
    assert paid(api, lineItems=[DUES, TOWEL, TOWEL | {"unitPrice": 0}]).lines == LINES


def test_items_do_not_make_a_payment_that_names_nobody_count(api: StandIn) -> None:
    with pytest.raises(Ignored, match="names nobody"):
        paid(api, subscription=None, profile=None, lineItems=[DUES, TOWEL])


def test_names_and_descriptions_of_items_are_not_kept(api: StandIn) -> None:
    api.objects.put("transactions", DETAILS["transId"], DETAILS | {"lineItems": [TOWEL]})
    adapter = endpoint("authorize_net", KEY, api=api.url, api_key=("login", "key"))
    kept = json.loads(adapter.fetch(TYPE, BODY))["lineItems"]
    assert [item.keys() for item in kept] == [{"itemId", "quantity", "unitPrice"}]
