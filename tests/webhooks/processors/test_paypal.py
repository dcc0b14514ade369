import json
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from local.paypal_certificates import make
from local.samples import NAMES, sample
from models.payments.facts import Announced, Change, Fact, Noted, Paid, Restored, Reversed
from tests.models.payments.entitled import Terms, entitlement
from tests.webhooks.coded import CODE, Coded
from tests.webhooks.contract import KINDS, ProcessorContract, _places_to_change, _well_formed
from tests.webhooks.deliveries import NOW, PAYLOADS, changed, endpoint, received, recorded
from webhooks.processors import Ignored, NotYet, ParsedEvent, Processor, Unusable
from webhooks.processors.paypal_meaning import PART_GONE

WEBHOOK = "8PT59711GYM0001A"
RECORDED = recorded("paypal")
FETCHED = {file.stem: file.read_bytes() for file in sorted((PAYLOADS / "paypal" / "resources").glob("*.json"))}


@cache
def certificates() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="spp-"))
    make(folder)
    return folder


def on(*secrets: str, **more: Any) -> Processor:
    return endpoint("paypal", *(secrets or [WEBHOOK]), **{"certs": str(certificates()), **more})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class TestContract(ProcessorContract):
    processor = "paypal"
    codes = (
        Coded("sale_completed", "custom", "I-GYM0001", from_link=True, fetched=FETCHED["sale_completed"]),
        Coded("sale_completed", "subscription", "I-GYM0001", {"custom_id": CODE}, True, FETCHED["sale_completed"]),
        Coded("capture_completed", "custom_id", CODE, from_link=True, fetched=FETCHED["capture_completed"]),
    )
    key = WEBHOOK.encode()
    other_key = b"0EH40505U7160970P"
    signature_header = "PAYPAL-TRANSMISSION-SIG"
    tolerance_s = 300

    def adapter(self, *keys: bytes) -> Processor:
        return on(*(key.decode() for key in keys))

    def resource(self, part: ParsedEvent) -> bytes | None:
        by_type = {json.loads(body)["event_type"]: name for name, body in RECORDED.items() if name in FETCHED}
        return FETCHED[by_type.get(part.type, "sale_completed")]

    def _parts(self, body: bytes, timestamp: int = NOW) -> list[ParsedEvent]:
        # Nothing of a delivery but its body is in an event, and signing takes time.
        return self.adapter().parse(body, {})

    def test_stale_and_future(self) -> None:
        # PayPal names no bound; it tries for three days, and can be told to send again what is a month old.
        body = RECORDED["sale_completed"]
        for age in (-300, 0, 31 * 86400):
            assert self._verify(body, self._sign(body, timestamp=NOW - age)) is None
        for age in (-301, 31 * 86400 + 1, -NOW, NOW):
            self._refused(body, self._sign(body, timestamp=NOW - age))


def meaning(name: str, adapter: Any = None, **changes: Any) -> list[Fact]:
    """What the recorded event of that name means, with other values in what was fetched."""
    (part,) = on().parse(RECORDED[name], {})
    assert part.thin
    return (adapter or on()).interpret(part.type, part.body, changed(FETCHED[name], **changes))


SALE, CAPTURE = "GYM0001SALE", "GYM0001CAPTURE"
WHOLE = (8900, "USD")
PAID_SALE = Paid(SALE, at("2026-11-01T09:00:05"), *WHOLE, ("I-GYM0001", "member-Gym0001"))
PAID_CAPTURE = Paid(CAPTURE, at("2026-11-01T09:00:05"), *WHOLE, ("member-Gym0001",))
REFUNDED = at("2026-11-03T10:00:00")
DISPUTE = f"refund:dispute PP-D-GYM0001 of {SALE}"
TAKEN = Reversed(SALE, at("2026-11-06T10:00:00"), DISPUTE, *WHOLE, running_total=True)
WON = Restored(SALE, TAKEN.occurred_at, DISPUTE, *WHOLE)
MONEY = {
    "sale_completed": ("amount__total", "amount__currency"),
    "sale_refunded": ("amount__total", "amount__currency"),
}
MONEY |= dict.fromkeys(("capture_completed", "capture_refunded"), ("amount__value", "amount__currency_code"))
MONEY["dispute_created"] = ("dispute_amount__value", "dispute_amount__currency_code")


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("sale_completed", [PAID_SALE]),
        ("capture_completed", [PAID_CAPTURE]),
        ("sale_refunded", [Reversed(SALE, REFUNDED, "refund:GYM0001REFUND", 2000, "USD")]),
        ("capture_refunded", [Reversed(CAPTURE, REFUNDED, "refund:GYM0001REFUND2", 2000, "USD")]),
        (
            "sale_reversed",
            [PAID_SALE, Reversed(SALE, at("2026-11-05T10:00:00"), "refund", *WHOLE, running_total=True)],
        ),
        (
            "capture_reversed",
            [Reversed(CAPTURE, at("2026-11-05T10:00:00"), f"refund:reversal GYM0001REVERSAL of {CAPTURE}", *WHOLE)],
        ),
        ("dispute_lost", [TAKEN]),
        (
            "dispute_won",
            [
                Reversed(SALE, at("2026-11-20T10:00:00"), DISPUTE, *WHOLE, running_total=True),
                Restored(SALE, at("2026-11-20T10:00:00"), DISPUTE, *WHOLE),
            ],
        ),
    ],
)
def test_meanings(name: str, facts: list[Fact]) -> None:
    assert meaning(name) == facts


def test_a_dispute_takes_nothing_while_no_money_moved() -> None:
    with pytest.raises(Ignored, match="dispute is WAITING_FOR_SELLER_RESPONSE: no money moved"):
        meaning("dispute_created")


@pytest.mark.parametrize("name", ["sale_completed", "capture_completed"])
class TestPayment:
    def state(self, name: str, state: str) -> dict[str, str]:
        return {"state": state} if name.startswith("sale") else {"status": state.upper()}

    @pytest.mark.parametrize("state", ["denied", "declined", "failed", "voided", "expired"])
    def test_no_money_moved(self, name: str, state: str) -> None:
        nobody = {"billing_agreement_id": ..., "custom": ...} if name.startswith("sale") else {"custom_id": ...}
        named = nobody if state in {"denied", "declined", "failed"} else {}
        with pytest.raises(Ignored, match=f"the payment is {state}"):
            meaning(name, **self.state(name, state), **named)

    @pytest.mark.parametrize("type", ["COMPLETED", "REFUNDED", "REVERSED", "DENIED"])
    def test_what_is_pending_is_waited_for(self, name: str, type: str) -> None:
        pending = changed(FETCHED[name], **self.state(name, "pending"))
        with pytest.raises(NotYet, match="PayPal says that the payment is pending"):
            on().interpret(f"PAYMENT.SALE.{type}", RECORDED[name], pending)

    def test_unless_the_event_says_so_itself(self, name: str) -> None:
        pending = changed(FETCHED[name], **self.state(name, "pending"))
        with pytest.raises(Ignored, match="another event follows"):
            on().interpret("PAYMENT.SALE.PENDING", RECORDED[name], pending)

    def test_refunded_since(self, name: str) -> None:
        later = {"update_time": "2026-11-03T11:00:00Z"}
        paid, back = meaning(name, **self.state(name, "refunded"), **later)
        assert paid == meaning(name)[0]
        assert back == Reversed(paid.payment, at("2026-11-03T11:00:00"), "refund", *WHOLE, running_total=True)
        assert meaning(name, **self.state(name, "partially_refunded")) == meaning(name)

    @pytest.mark.parametrize("state", [None, "", "settled", 7, "x" * 5_000])
    def test_a_state_that_we_do_not_know(self, name: str, state: object) -> None:
        with pytest.raises(Unusable, match="do not know") as refused:
            meaning(name, **{"state" if name.startswith("sale") else "status": state})
        assert len(str(refused.value)) < 1_000

    @pytest.mark.parametrize("kind", ["PAYMENT.SALE.REVERSED", "PAYMENT.CAPTURE.REFUNDED"])
    def test_a_reversal_that_the_api_does_not_know_of_is_waited_for(self, name: str, kind: str) -> None:
        with pytest.raises(NotYet, match=f"PayPal says that the payment is completed, though the event says {kind}"):
            on().interpret(kind, RECORDED[name], FETCHED[name])

    @pytest.mark.parametrize("kind", ["PAYMENT.SALE.REVERSED", "PAYMENT.CAPTURE.REFUNDED"])
    def test_a_part_that_went_back_is_what_its_refunds_come_to(self, name: str, kind: str) -> None:
        def part(*refunds: dict[str, Any]) -> list[Fact]:
            told = self.state(name, "partially_refunded") | {"update_time": "2026-11-03T11:00:00Z", "refunds": refunds}
            return on().interpret(kind, RECORDED[name], changed(FETCHED[name], **told))

        def refund(amount: str, state: str = "COMPLETED", currency: str = "USD") -> dict[str, Any]:
            return {"status": state, "amount": {"value": amount, "currency_code": currency}}

        paid, back = part(refund("20.00"), refund("30.00", "FAILED"), refund("10.50"))
        assert paid == meaning(name)[0]
        assert back == Reversed(paid.payment, at("2026-11-03T11:00:00"), "refund", 3050, "USD", running_total=True)
        with pytest.raises(NotYet, match="a refund of the payment is pending"):
            part(refund("20.00"), refund("1.00", "PENDING"))
        for unknown in ((), (refund("20.00", "CANCELLED"),), (refund("20.00", currency="EUR"),)):
            assert part(*unknown) == [paid, Noted(paid.payment, back.occurred_at, PART_GONE)]

    @pytest.mark.parametrize("reference", [None, "", "a name with blanks", 7, ["I-1"], "x" * 256])
    def test_a_single_sale_is_its_payers(self, name: str, reference: object) -> None:
        own = (
            {"billing_agreement_id": ..., "custom": reference} if name.startswith("sale") else {"custom_id": reference}
        )
        with pytest.raises(Ignored, match="names nobody"):
            meaning(name, **own)
        for payer in ({"payer_id": "PAYERGYM"}, {"payer_info": {"payer_id": "PAYERGYM"}}):
            (paid,) = meaning(name, **own, order={"payer": payer})
            assert isinstance(paid, Paid)
            assert (paid.billing_references, paid.payer) == ((), ("PAYERGYM",))


class TestMoney:
    @pytest.mark.parametrize("name", MONEY)
    @pytest.mark.parametrize(
        "amount", ["89.001", "1e3", "--89", "89,00", "", " 89", 89, 89.0, None, True, [], {}, "9" * 14, ...]
    )
    def test_what_is_no_amount(self, name: str, amount: object) -> None:
        with pytest.raises(Unusable, match="amount"):
            meaning(name, **{MONEY[name][0]: amount})

    @pytest.mark.parametrize("name", ["sale_completed", "capture_completed", "dispute_created"])
    def test_below_nothing(self, name: str) -> None:
        with pytest.raises(Unusable, match="amount"):
            meaning(name, **{MONEY[name][0]: "-89.00"})

    @pytest.mark.parametrize("name", MONEY)
    @pytest.mark.parametrize("currency", [None, "", "US", "DOLLARS", "U$D", 840, ["USD"], ...])
    def test_what_is_no_currency(self, name: str, currency: object) -> None:
        with pytest.raises(Unusable, match="currency"):
            meaning(name, **{MONEY[name][1]: currency})

    @pytest.mark.parametrize(
        ("amount", "currency", "minor"),
        [("8900", "JPY", 8900), ("8900.00", "jpy", 8900), ("28.500", "KWD", 28500), ("0.01", "EUR", 1)],
    )
    def test_minor_units(self, amount: str, currency: str, minor: int) -> None:
        for name in ("sale_completed", "capture_completed", "sale_refunded"):
            fact = meaning(name, **dict(zip(MONEY[name], (amount, currency), strict=True)))[0]
            assert isinstance(fact, Paid | Reversed)
            assert (fact.amount_minor, fact.currency) == (minor, currency.upper())

    @pytest.mark.parametrize("name", MONEY)
    def test_zero(self, name: str) -> None:
        with pytest.raises(Ignored, match=r"zero amount|no money moved"):
            meaning(name, **{MONEY[name][0]: "0.00"})

    def test_a_refund_as_what_it_does_to_the_balance(self) -> None:
        assert meaning("sale_refunded", amount__total="-20.00") == meaning("sale_refunded")


class TestRefund:
    @pytest.mark.parametrize(("name", "key"), [("sale_refunded", "state"), ("capture_refunded", "status")])
    def test_states(self, name: str, key: str) -> None:
        (back,) = meaning(name)
        assert isinstance(back, Reversed)
        for state in ("failed", "CANCELLED"):
            later = {"update_time": "2026-11-04T10:00:00Z"}
            assert meaning(name, **{key: state}, **later) == [
                Restored(back.payment, at("2026-11-04T10:00:00"), back.cause, 2000, "USD")
            ]
        with pytest.raises(NotYet, match="PayPal says that the refund is pending"):
            meaning(name, **{key: "PENDING"})
        for unknown in (None, "", "settled", 7):
            with pytest.raises(Unusable, match="do not know"):
                meaning(name, **{key: unknown})

    def test_the_payment_it_is_of(self) -> None:
        assert meaning("sale_refunded", sale_id=..., capture_id="GYM2")[0].payment == "GYM2"
        for name, changes in (("sale_refunded", {"sale_id": None}), ("capture_refunded", {"links__1__rel": "x"})):
            with pytest.raises(Unusable, match="names no payment"):
                meaning(name, **changes)


@pytest.mark.parametrize("name", FETCHED)
class TestFetched:
    def test_any_value_anywhere_is_facts_or_ignored_or_unusable(self, name: str) -> None:
        (part,) = on().parse(RECORDED[name], {})
        for _, first, put in _places_to_change(FETCHED[name]):
            for new in (*KINDS, {"id": first}, [first]):
                why = "facts"
                try:
                    for fact in on().interpret(part.type, part.body, put(new)):
                        _well_formed(fact)
                except (Ignored, NotYet, Unusable) as error:
                    why = str(error)
                assert len(why) < 1_000
                assert why.isprintable()

    def test_of_the_other_mode(self, name: str) -> None:
        live = endpoint("paypal", WEBHOOK, mode="live")
        (part,) = on().parse(RECORDED[name], {})
        with pytest.raises(Unusable, match="live mode"):
            live.interpret(part.type, part.body, FETCHED[name])
        with pytest.raises(Unusable, match="live mode"):
            live.fetch(part.type, part.body)
        there = FETCHED[name].replace(b"api.sandbox.paypal.com", b"api-m.paypal.com")
        expected: object = None
        try:
            expected = meaning(name)
        except Ignored:
            return
        assert live.interpret(part.type, part.body, there) == expected

    def test_without_what_was_fetched(self, name: str) -> None:
        with pytest.raises(Unusable, match="not fetched"):
            on().interpret("PAYMENT.SALE.COMPLETED", RECORDED[name])


@pytest.mark.parametrize("name", ["capture_completed", "dispute_lost"])
def test_of_another_merchant(name: str) -> None:
    assert meaning(name, on(account="MERCHANTGYM")) == meaning(name)
    with pytest.raises(Unusable, match="belongs to merchant 'MERCHANTGYM'"):
        meaning(name, on(account="MERCHANTX"))


@pytest.mark.parametrize("path", ["create_time", "update_time"])
@pytest.mark.parametrize("time", ["2026-11-01", "2026-11-01T09:00:05", "yesterday", 1793523605, True])
def test_what_is_no_time(path: str, time: object) -> None:
    for name in ("sale_completed", "sale_refunded", "dispute_lost"):
        if path == "create_time" and name == "dispute_lost":
            continue
        changes = {path: time} | ({"state": "failed" if "refund" in name else "refunded"} if path[0] == "u" else {})
        with pytest.raises(Unusable, match=path):
            meaning(name, **changes)


@pytest.mark.parametrize(
    ("type", "why"),
    [
        ("CHECKOUT.ORDER.COMPLETED", "same money"),
        ("BILLING.SUBSCRIPTION.CREATED", "nothing about dues"),
        ("payment.sale.completed", "nothing about dues"),
        ("X" * 255, "nothing about dues"),
    ],
)
def test_types_without_effect(type: str, why: str) -> None:
    (part,) = on().parse(changed(RECORDED["sale_completed"], event_type=type), {})
    assert not part.thin
    with pytest.raises(Ignored, match=why):
        on().interpret(part.type, part.body)


def test_an_event() -> None:
    body = RECORDED["capture_refunded"]
    assert on().parse(body, {}) == [("WH-GYM000104-EVENT", "PAYMENT.CAPTURE.REFUNDED", body, "2.0", None, True)]
    for key in ("id", "event_type"):
        (part,) = on().parse(changed(body, **{key: None}), {})
        assert part.event_id.startswith("sha256:")
        assert not part.thin


def test_the_events_own_links_may_name_another_host() -> None:
    body = RECORDED["sale_completed"]
    one, other = (changed(body, links=[{"rel": "self", "href": host}]) for host in ("https://a", "https://b"))
    assert on().same_content(one, other)
    assert on().same_content(body, one)
    assert not on().same_content(body, changed(body, resource__links=[]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("amount", [8900, 1])
def test_samples(name: str, amount: int) -> None:
    facts: list[Fact] = []
    now = datetime.fromtimestamp(NOW, UTC)
    deliveries = sample("paypal", name, reference="I-1", number="7", now=now, amount_minor=amount, currency="EUR")
    for one in deliveries:
        delivery = on().sign(one.content, NOW)
        assert on().verify(delivery.body, received(delivery.headers), NOW) is None
        (part,) = on().parse(delivery.body, received(delivery.headers))
        ((_, told),) = one.api.items()
        facts += on().interpret(part.type, part.body, json.dumps(told).encode())
    paid = facts[0]
    assert isinstance(paid, Paid)
    assert (paid.billing_references, paid.amount_minor, paid.currency) == (("I-1",), amount, "EUR")
    assert abs(paid.occurred_at - now) < timedelta(minutes=1)
    (owed,) = entitlement(facts, [Terms(1, 8, 30)])
    assert owed.reversed == (0 if name == "paid" else 8)
    assert len({json.loads(one.content)["id"] for one in deliveries}) == len(deliveries)


class TestSubscription:
    AT = at("2026-11-05T09:00:05")

    @pytest.mark.parametrize(
        ("status", "what"),
        [("CANCELLED", Change.ENDS), ("EXPIRED", Change.ENDS)],
    )
    def test_it_ended(self, status: str, what: Change) -> None:
        assert meaning("subscription_cancelled", status=status) == [Announced("I-GYM0001", self.AT, what, self.AT)]

    def test_an_end_that_the_api_does_not_know_yet_is_waited_for(self) -> None:
        with pytest.raises(NotYet, match="ACTIVE"):
            meaning("subscription_cancelled", status="ACTIVE")

    @pytest.mark.parametrize(("status", "what"), [("SUSPENDED", Change.PAUSED), ("ACTIVE", Change.RESUMED)])
    def test_it_rests_or_goes_on(self, status: str, what: Change) -> None:
        body = changed(RECORDED["subscription_cancelled"], event_type="BILLING.SUBSCRIPTION.SUSPENDED")
        (part,) = on().parse(body, {})
        assert part.thin
        found = changed(FETCHED["subscription_cancelled"], status=status)
        assert on().interpret(part.type, part.body, found) == [Announced("I-GYM0001", self.AT, what)]
