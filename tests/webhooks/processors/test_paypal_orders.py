"""What a PayPal subscription or order says of a payment: who paid, and for what."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.standin import StandIn
from models.payments.facts import Fact, Line, Noted, Paid, Reversed
from tests.webhooks.contract import KINDS, _places_to_change, _well_formed
from tests.webhooks.deliveries import PAYLOADS, endpoint, recorded
from webhooks.processors import Ignored, ParsedEvent, Processor, Unavailable
from webhooks.processors.events import Payer

RECORDED = recorded("paypal")
SALE, CAPTURE = (
    json.loads((PAYLOADS / f"paypal/resources/{kind}_completed.json").read_text()) for kind in ("sale", "capture")
)
SALES_PLACE, ORDERS_PLACE = ("subscriptions", "I-GYM0001"), ("orders", "GYM0001ORDER")


def usd(value: str) -> dict[str, str]:
    return {"value": value, "currency_code": "USD"}


def subscription(**changes: Any) -> dict[str, Any]:
    """As the API gives it with its plan: 89.00 a month, 25.00 to join."""
    cycle = {"tenure_type": "REGULAR", "sequence": 1, "pricing_scheme": {"version": 1, "fixed_price": usd("89.00")}}
    return {
        "id": "I-GYM0001",
        "plan_id": "P-GOLD",
        "quantity": "1",
        "status": "ACTIVE",
        "subscriber": {
            "payer_id": "PAYERGYM",
            "email_address": "zoe@example.com",
            "name": {"given_name": "Zoë", "surname": "Example"},
            "shipping_address": {"address": {"address_line_1": "1 Main Street"}},
        },
        "plan": {
            "name": "Gold",
            "product_id": "PROD-GYM",
            "billing_cycles": [cycle],
            "payment_preferences": {"setup_fee": usd("25.00")},
        },
    } | changes


def order(**changes: Any) -> dict[str, Any]:
    """One of version 2: dues and a towel, 10.00 less by a coupon."""
    unit = {
        "reference_id": "default",
        "description": "November",
        "custom_id": "member-Gym0001",
        "amount": usd("89.00") | {"breakdown": {"item_total": usd("99.00"), "discount": usd("10.00")}},
        "items": [
            {"name": "Gold", "sku": "gold", "quantity": "1", "unit_amount": usd("89.00")},
            {"name": "A towel", "sku": "towel", "quantity": "2", "unit_amount": usd("5.00")},
        ],
        "payments": {"captures": [{"id": "GYM0001CAPTURE"}]},
        "shipping": {"address": {"address_line_1": "1 Main Street"}},
    }
    payer = {"payer_id": "PAYERGYM", "email_address": "zoe@example.com", "name": {"given_name": "Zoë"}}
    return {"id": "GYM0001ORDER", "payer": payer, "purchase_units": [unit]} | changes


def amount(total: str) -> dict[str, Any]:
    return {"amount": {"total": total, "currency": "USD"}}


def read(payment: dict[str, Any], kind: str = "PAYMENT.SALE.COMPLETED") -> list[Fact]:
    return endpoint("paypal", "WEBHOOK1").interpret(kind, b"{}", json.dumps(payment).encode())


def paid_of(payment: dict[str, Any]) -> Paid:
    (paid,) = read(payment)
    assert isinstance(paid, Paid)
    return paid


DUES = ("I-GYM0001", "P-GOLD", "PROD-GYM")


class TestSubscription:
    @pytest.mark.parametrize(
        ("total", "lines"),
        [
            ("89.00", (Line(DUES, 8900),)),
            ("25.00", (Line(("setup_fee",), 2500),)),
            ("114.00", (Line(DUES, 8900), Line(("setup_fee",), 2500))),
            ("49.00", (Line(DUES, 4900),)),
        ],
    )
    def test_the_set_up_fee_is_a_line_of_its_own(self, total: str, lines: tuple[Line, ...]) -> None:
        paid = paid_of(SALE | amount(total) | {"subscription": subscription()})
        assert paid.lines == lines
        assert (paid.billing_references, paid.payer) == (("I-GYM0001", "member-Gym0001"), ("PAYERGYM",))

    def test_a_fee_as_high_as_the_dues_is_not_told_apart(self) -> None:
        told = subscription()
        told["plan"]["payment_preferences"]["setup_fee"] = usd("89.00")
        assert paid_of(SALE | {"subscription": told}).lines == (Line(DUES, 8900),)

    def test_of_two_persons(self) -> None:
        paid = paid_of(SALE | amount("178.00") | {"subscription": subscription(quantity="2")})
        assert paid.lines == (Line(DUES, 17800, quantity=2),)

    def test_the_custom_id_of_the_subscription(self) -> None:
        sale = {key: value for key, value in SALE.items() if key != "custom"}
        assert paid_of(sale | {"subscription": subscription(custom_id="m_1")}).billing_references == (
            "I-GYM0001",
            "m_1",
        )

    def test_without_a_plan(self) -> None:
        told = {key: value for key, value in subscription().items() if key != "plan"}
        assert paid_of(SALE | {"subscription": told}).lines == ()


class TestOrder:
    def test_of_version_2(self) -> None:
        paid = paid_of(CAPTURE | {"order": order()})
        assert paid.lines == (
            Line(("member-Gym0001", "gold"), 8900),
            Line(("member-Gym0001", "towel"), 1000, quantity=2),
        )
        assert (paid.payer, paid.due_minor, paid.amount_minor) == (("PAYERGYM",), 9900, 8900)

    def test_only_the_unit_of_the_payment(self) -> None:
        told = order()
        told["purchase_units"][0]["payments"]["captures"][0]["id"] = "ANOTHER"
        paid = paid_of(CAPTURE | {"order": told})
        assert (paid.lines, paid.due_minor, paid.payer) == ((), None, ("PAYERGYM",))

    def test_a_part_of_the_order_says_nothing_of_its_discount(self) -> None:
        assert paid_of(CAPTURE | {"amount": usd("40.00"), "order": order()}).due_minor is None

    def test_of_version_1(self) -> None:
        item = {"name": "Gold", "sku": "gold", "price": "89.00", "currency": "USD", "quantity": 1}
        told = {
            "payer": {"payer_info": {"payer_id": "PAYERGYM"}},
            "transactions": [
                {
                    "custom": "m_1",
                    "item_list": {"items": [item]},
                    "related_resources": [{"refund": {"id": "R1"}}, {"sale": {"id": "GYM0001SALE"}}],
                }
            ],
        }
        sale = {key: value for key, value in SALE.items() if key not in {"custom", "billing_agreement_id"}}
        paid = paid_of(sale | {"order": told})
        assert (paid.billing_references, paid.payer) == (("m_1",), ("PAYERGYM",))
        assert paid.lines == (Line(("m_1", "gold"), 8900),)


READABLE = [kind for kind in KINDS if kind not in ("\x00", "\ud800", 10**400)]


@pytest.mark.parametrize("payment", [SALE | {"subscription": subscription()}, CAPTURE | {"order": order()}])
def test_whatever_else_stands_there_the_payment_counts(payment: dict[str, Any]) -> None:
    (inner,) = payment.keys() & {"subscription", "order"}
    for _, first, put in _places_to_change(json.dumps(payment[inner]).encode()):
        for new in (*READABLE, {"id": first}, [first]):
            facts = read(payment | {inner: json.loads(put(new))})
            assert len(facts) == 1
            _well_formed(facts[0])


class TestPayer:
    def details(self, payment: object) -> Payer | None:
        resource = json.dumps(payment).encode()
        return endpoint("paypal", "WEBHOOK1").payer_details("PAYMENT.SALE.COMPLETED", b"{}", resource)

    def test_of_a_subscription(self) -> None:
        assert self.details(SALE | {"subscription": subscription()}) == Payer("Zoë Example", "zoe@example.com", "Gold")

    def test_of_an_order(self) -> None:
        assert self.details(CAPTURE | {"order": order()}) == Payer("Zoë", "zoe@example.com", "November")
        info = {"email": "zoe@example.com", "first_name": "Zoë", "last_name": "Example"}
        assert self.details(SALE | {"order": {"payer": {"payer_info": info}}}) == Payer(
            "Zoë Example", "zoe@example.com"
        )

    @pytest.mark.parametrize("said", [SALE, [], None, {"order": 7, "subscription": []}, {"order": {"payer": [7]}}])
    def test_of_nothing(self, said: object) -> None:
        assert self.details(said) is None


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn("paypal", tmp_path) as standin:
        standin.objects.put("sale", "GYM0001SALE", SALE)
        standin.objects.put("captures", "GYM0001CAPTURE", CAPTURE)
        yield standin


def on(api: StandIn) -> Processor:
    return endpoint("paypal", "WEBHOOK1", api=api.url, api_key=["client_1", "secret_1"])


class TestFetched:
    def fetched(self, api: StandIn, name: str = "sale_completed", adapter: Processor | None = None) -> Any:
        (part,) = on(api).parse(RECORDED[name], {})
        return json.loads((adapter or on(api)).fetch(part.type, part.body))

    def test_the_subscription_of_a_sale_without_addresses(self, api: StandIn) -> None:
        told = subscription()
        api.objects.put(*SALES_PLACE, told)
        del told["subscriber"]["shipping_address"]
        assert self.fetched(api) == SALE | {"subscription": told}

    def test_the_order_of_a_capture_without_addresses(self, api: StandIn) -> None:
        told = order()
        api.objects.put(*ORDERS_PLACE, told)
        del told["purchase_units"][0]["shipping"]
        assert self.fetched(api, "capture_completed") == CAPTURE | {"order": told}

    def test_what_the_app_may_not_see_is_done_without(self, api: StandIn) -> None:
        api.objects.put(*SALES_PLACE, subscription())
        adapter = on(api)
        self.fetched(api, adapter=adapter)
        asked = len(api.asked)
        for _ in range(2):
            api.fail(0)
            api.fail(403, body=b'{"name": "NOT_AUTHORIZED"}')
            assert self.fetched(api, adapter=adapter) == SALE
        assert not [path for path in list(api.asked)[asked:] if "token" in path], "the token is good"

    @pytest.mark.parametrize("status", [401, 429, 500])
    def test_but_while_the_api_does_not_answer_it_is_waited_for(self, api: StandIn, status: int) -> None:
        adapter = on(api)
        self.fetched(api, adapter=adapter)
        api.fail(0)
        api.fail(status)
        with pytest.raises(Unavailable):
            self.fetched(api, adapter=adapter)

    def test_nothing_more_of_a_payment_that_is_none(self, api: StandIn) -> None:
        api.objects.put("sale", "GYM0001SALE", SALE | {"state": "denied"})
        self.fetched(api)
        assert not [path for path in api.asked if "subscriptions" in path]


class TestReversedInPart:
    """Two reversals of one capture have ids of their own and add up; one without an amount stands before staff."""

    def reversal(self, number: int, total: str) -> Fact:
        links = [
            {"rel": "self", "href": f"https://api.sandbox.paypal.com/v2/payments/refunds/R{number}"},
            {"rel": "up", "href": "https://api.sandbox.paypal.com/v2/payments/captures/GYM0001CAPTURE"},
        ]
        at = f"2026-11-0{number}T10:00:00Z"
        told = {"id": f"R{number}", "status": "COMPLETED", "amount": usd(total), "create_time": at, "links": links}
        (back,) = read(told, "PAYMENT.CAPTURE.REVERSED")
        return back

    def test_with_amounts(self) -> None:
        backs = [self.reversal(3, "30.00"), self.reversal(4, "20.00")]
        assert all(isinstance(back, Reversed) for back in backs)
        assert len({back.cause for back in backs if isinstance(back, Reversed)}) == 2
        assert sum(back.amount_minor or 0 for back in backs if isinstance(back, Reversed)) == 5000

    def test_without(self) -> None:
        paid, noted = read(CAPTURE | {"status": "PARTIALLY_REFUNDED"}, "PAYMENT.CAPTURE.REVERSED")
        assert isinstance(paid, Paid)
        assert isinstance(noted, Noted)
        assert noted.payment == paid.payment == "GYM0001CAPTURE"


def test_a_payment_by_nobody_is_ignored() -> None:
    with pytest.raises(Ignored, match="names nobody"):
        read({key: value for key, value in CAPTURE.items() if key != "custom_id"})


def test_the_same_event_listed_is_fetched_alike(api: StandIn) -> None:
    api.objects.put(*SALES_PLACE, subscription())
    delivered: ParsedEvent = on(api).parse(RECORDED["sale_completed"], {})[0]
    first, second = (on(api).fetch(delivered.type, delivered.body) for _ in range(2))
    assert read(json.loads(first)) == read(json.loads(second))
