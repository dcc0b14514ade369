import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from local.samples import sample
from models.payments.facts import Announced, Change, Claimed, DuesFailed, Fact, Line, Paid, Restored, Reversed
from tests.models.payments.entitled import Terms, entitlement
from tests.webhooks.coded import CODE
from tests.webhooks.deliveries import NOW, PAYLOADS, endpoint, received
from webhooks.processors import Ignored, Processor, Unusable

KEY, OTHER_KEY = "public_1:private_1", "public_2:private_2"
ON = endpoint("braintree", KEY)
RECORDED = {file.stem: file.read_bytes() for file in sorted((PAYLOADS / "braintree").glob("*.xml"))}
PAID, LISTED = RECORDED["subscription_charged_successfully"], RECORDED["transaction_listed"]
DECLINED, REFUND = RECORDED["transaction_settlement_declined"], RECORDED["transaction_settled_refund"]
REFUND_FAILED, OPENED, WON = RECORDED["refund_failed"], RECORDED["dispute_opened"], RECORDED["dispute_won"]
CHARGE = "subject/subscription/transactions/transaction"
BEFORE = "subject/subscription/transactions/transaction[2]"


def edited(xml: bytes, changes: dict[str, Any]) -> bytes:
    """The XML with other texts; None empties an element, `...` takes it away, and one that is not there is made."""
    root = ET.fromstring(xml)
    for path, new in changes.items():
        holder, _, name = path.rpartition("/")
        parent = root.find(holder) if holder else root
        assert parent is not None, path
        found = parent.find(name)
        if new is ...:
            assert found is not None, path
            parent.remove(found)
        else:
            found = ET.SubElement(parent, name) if found is None else found
            found.text = new
    return bytes(ET.tostring(root, "utf-8"))


def with_text(text: str) -> Callable[[ET.Element], None]:
    return lambda element: setattr(element, "text", text)


def as_list(element: ET.Element) -> None:
    element.set("type", "array")


def with_child(element: ET.Element) -> None:
    element.text = None
    ET.SubElement(element, "id").text = "inner"


TEXTS = ["", " ", "text", "a b", "é", "0", "-1", "1e3", "1" * 400, "x" * 5_000, "credit", "settled"]
TEXTS += ["2026-11-01", "9999-12-31T23:59:59-23:59"]
Edit = Callable[[ET.Element], None] | str
EDITS: list[Edit] = [*map(with_text, TEXTS), as_list, with_child, ET.Element.clear, "drop", "double"]


def places(root: ET.Element) -> Iterator[tuple[ET.Element, int]]:
    """Every element, as its parent and its place there."""
    for parent in list(root.iter()):
        for place in range(len(parent)):
            yield parent, place


def mutations(xml: bytes) -> Iterator[bytes]:
    """The XML with every element once changed in each way, taken away, and doubled."""
    count = len(list(places(ET.fromstring(xml))))
    for number in range(count):
        for edit in EDITS:
            root = ET.fromstring(xml)
            change(*list(places(root))[number], edit)
            yield ET.tostring(root, "utf-8")


def change(parent: ET.Element, place: int, edit: Edit) -> None:
    if edit == "drop":
        parent.remove(parent[place])
    elif edit == "double":
        parent.insert(place, copy.deepcopy(parent[place]))
    elif not isinstance(edit, str):
        edit(parent[place])


def split(xml: bytes, on: Processor = ON) -> list[Any]:
    delivery = on.sign(xml, NOW)
    assert on.verify(delivery.body, received(delivery.headers), NOW) is None
    return on.parse(delivery.body, received(delivery.headers))


def meaning(xml: bytes, changes: dict[str, Any] | None = None, on: Processor = ON) -> list[Fact]:
    (part,) = split(edited(xml, changes) if changes else xml)
    assert part.quarantine_reason is None
    return on.interpret(part.type, part.body)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


class TestPaid:
    COVERS = at("2026-11-01T00:00:00Z"), at("2026-12-01T00:00:00Z")
    FACT = Paid("tx_Gym0001", at("2026-11-01T09:00:05Z"), 8900, "USD", ("sub_Gym0001",), ("cus_Gym0001",), COVERS)

    def test_the_newest_charge_of_the_subscription(self) -> None:
        assert meaning(PAID) == [self.FACT]
        swapped = edited(PAID, {f"{CHARGE}/created-at": "2026-10-01T09:00:05Z"})
        swapped = edited(swapped, {f"{BEFORE}/created-at": "2026-11-01T09:00:05Z"})
        assert meaning(swapped)[0].payment == "tx_Gym0000"

    def test_as_the_api_lists_it(self) -> None:
        assert meaning(LISTED) == [self.FACT]

    @pytest.mark.parametrize("change", [{"status": "failed"}, {"status": "voided"}, {"type": "credit"}])
    def test_what_did_not_go_through_is_passed_over(self, change: dict[str, str]) -> None:
        (paid,) = meaning(PAID, {f"{CHARGE}/{name}": text for name, text in change.items()})
        assert (paid.payment, paid.occurred_at) == ("tx_Gym0000", at("2026-10-01T09:00:05Z"))

    def test_nothing_went_through(self) -> None:
        gone = {"subject/subscription/transactions": ...}
        for changes in ({f"{CHARGE}/status": "failed", f"{BEFORE}/status": "authorized"}, gone):
            with pytest.raises(Ignored, match="no charge that went through"):
                meaning(PAID, changes)

    @pytest.mark.parametrize("status", ["submitted_for_settlement", "settlement_pending", "settling", "settled"])
    def test_statuses_of_a_charge_that_went_through(self, status: str) -> None:
        assert meaning(PAID, {f"{CHARGE}/status": status}) == [self.FACT]
        assert meaning(LISTED, {"subject/transaction/status": status}) == [self.FACT]

    @pytest.mark.parametrize("status", ["authorized", "authorizing", "failed", "processor_declined", None, "SETTLED"])
    def test_a_listed_charge_that_took_nothing(self, status: str | None) -> None:
        with pytest.raises(Ignored, match="no money was taken"):
            meaning(LISTED, {"subject/transaction/status": status})

    def test_a_second_charge_in_one_period_is_a_proration(self) -> None:
        same_period = {
            f"{CHARGE}/subscription/billing-period-start-date": "2026-10-01",
            f"{CHARGE}/amount": "10.00",
        }
        line = Line(("sub_Gym0001",), 1000, proration=True)
        proration = replace(self.FACT, amount_minor=1000, covers=None, lines=(line,))
        assert meaning(PAID, same_period) == [proration]
        (dues,) = meaning(PAID, {**same_period, f"{BEFORE}/status": "processor_declined"})
        assert isinstance(dues, Paid)
        assert not dues.lines
        listed = {"subject/transaction/paid-before": "tx_Gym0000", "subject/transaction/amount": "10.00"}
        assert meaning(LISTED, listed) == [proration]

    def test_without_a_subscription_it_is_the_customers(self) -> None:
        plain = replace(self.FACT, billing_references=())
        for nothing in (None, ""):
            assert meaning(LISTED, {"subject/transaction/subscription-id": nothing}) == [plain]
            nobodys = {"subject/transaction/subscription-id": nothing, "subject/transaction/customer": ...}
            with pytest.raises(Ignored, match="names nobody"):
                meaning(LISTED, nobodys)

    @pytest.mark.parametrize(("customer", "payer"), [("cus_1", ("cus_1",)), (None, ())])
    def test_it_names_its_subscription_and_its_payer(self, customer: str | None, payer: tuple[str, ...]) -> None:
        (paid,) = meaning(PAID, {f"{CHARGE}/customer/id": customer})
        assert isinstance(paid, Paid)
        assert (paid.billing_references, paid.payer) == (("sub_Gym0001",), payer)

    def test_zero_amount(self) -> None:
        for amount in ("0", "0.00"):
            with pytest.raises(Ignored, match="zero"):
                meaning(PAID, {f"{CHARGE}/amount": amount})

    @pytest.mark.parametrize(
        ("currency", "amount", "minor"),
        [
            ("JPY", "8900", 8900),
            ("jpy", "8900.00", 8900),
            ("KWD", "28.500", 28500),
            ("EUR", "0.01", 1),
            ("USD", "5", 500),
        ],
    )
    def test_amounts_in_minor_units(self, currency: str, amount: str, minor: int) -> None:
        (paid,) = meaning(PAID, {f"{CHARGE}/amount": amount, f"{CHARGE}/currency-iso-code": currency})
        assert isinstance(paid, Paid)
        assert (paid.amount_minor, paid.currency) == (minor, currency.upper())

    @pytest.mark.parametrize(
        "amount", [None, "", "1e3", "-89.00", "+89", "89,00", "89.001", " 89", "0x10", "NaN", "9" * 14, "٨٩", ...]
    )
    def test_what_is_no_amount(self, amount: Any) -> None:
        for xml, path in ((PAID, CHARGE), (REFUND, "subject/transaction"), (OPENED, "subject/dispute")):
            changes = {f"{path}/amount": amount}
            if xml is OPENED:
                changes |= {f"{path}/amount-disputed": amount or "x"}
            with pytest.raises(Unusable, match="amount"):
                meaning(xml, changes)

    @pytest.mark.parametrize("currency", [None, "", "us", "usdd", "us1", "ÜSD", ...])
    def test_what_is_no_currency(self, currency: Any) -> None:
        for xml, path in ((PAID, CHARGE), (REFUND, "subject/transaction"), (OPENED, "subject/dispute")):
            with pytest.raises(Unusable, match="currency"):
                meaning(xml, {f"{path}/currency-iso-code": currency})

    @pytest.mark.parametrize("id", [None, "tx 1", "tx_é", "x" * 256, ...])
    def test_what_is_no_id(self, id: Any) -> None:
        for path in (f"{CHARGE}/id", f"{CHARGE}/customer/id", "subject/subscription/id"):
            if path == f"{CHARGE}/id" or (id is not None and id is not ...):
                with pytest.raises(Unusable, match="id is"):
                    meaning(PAID, {path: id})
        with pytest.raises(Unusable, match="id is"):
            meaning(OPENED, {"subject/dispute/transaction/id": id})

    @pytest.mark.parametrize(
        "time", ["2026-11-01", "2026-11-01T09:00:05", "now", "1793527205", "0001-01-01T00:00:00+14:00"]
    )
    def test_what_is_no_time(self, time: str) -> None:
        for path in ("timestamp", f"{CHARGE}/created-at"):
            with pytest.raises(Unusable, match="RFC 3339"):
                meaning(PAID, {path: time})

    def test_paid_when_told_where_the_charge_does_not_say(self) -> None:
        assert meaning(PAID, {BEFORE: ..., f"{CHARGE}/created-at": ...})[0].occurred_at == at("2026-11-01T09:00:07Z")

    @pytest.mark.parametrize(
        "path", ["subject/subscription", "subject/subscription/transactions", f"{CHARGE}/customer"]
    )
    def test_what_should_have_elements_is_a_text(self, path: str) -> None:
        root = ET.fromstring(PAID)
        found = root.find("./" + path)
        assert found is not None
        found.clear()
        found.text = "text"
        with pytest.raises(Unusable):
            meaning(ET.tostring(root))


class TestReversal:
    def test_a_bank_debit_came_back(self) -> None:
        expected = [Reversed("tx_Gym0001", at("2026-11-06T02:00:00Z"), "settlement:tx_Gym0001")]
        assert meaning(DECLINED)[:1] == expected
        assert meaning(DECLINED, {"subject/transaction/subscription-id": ...}) == expected

    @pytest.mark.parametrize(
        ("status", "cause"),
        [
            ("voided", "void:tx_Gym0001"),
            ("settlement_declined", "settlement:tx_Gym0001"),
            ("settlement_failed", "settlement:tx_Gym0001"),
        ],
    )
    def test_a_listed_charge_that_came_to_nothing(self, status: str, cause: str) -> None:
        assert meaning(LISTED, {"subject/transaction/status": status}) == [
            Reversed("tx_Gym0001", at("2026-11-01T09:00:06Z"), cause)
        ]

    def test_a_refund(self) -> None:
        told = Reversed("tx_Gym0001", at("2026-11-10T10:00:00Z"), "refund:re_Gym0001", 3000, "USD")
        assert meaning(REFUND) == [told]
        for status in ("submitted_for_settlement", "settlement_pending", "settling", "settled"):
            assert meaning(REFUND, {"kind": "transaction_listed", "subject/transaction/status": status}) == [told]
        for status in ("authorized", "authorizing", "new"):
            with pytest.raises(Ignored, match="no money went back yet"):
                meaning(REFUND, {"kind": "transaction_listed", "subject/transaction/status": status})

    def test_a_refund_that_failed(self) -> None:
        told = Restored("tx_Gym0001", at("2026-11-10T10:05:00Z"), "refund:re_Gym0001", 3000, "USD")
        assert meaning(REFUND_FAILED) == [told]
        assert meaning(RECORDED["transaction_settlement_declined_refund"], {"timestamp": "2026-11-10T10:05:00Z"}) == [
            told
        ]
        for status in ("voided", "failed", "processor_declined", "gateway_rejected", "settlement_declined"):
            assert meaning(REFUND_FAILED, {"kind": "transaction_listed", "subject/transaction/status": status}) == [
                told
            ]

    def test_a_refund_of_what(self) -> None:
        for xml in (REFUND, REFUND_FAILED):
            with pytest.raises(Ignored, match="refunds no charge"):
                meaning(xml, {"subject/transaction/refunded-transaction-id": None})
            with pytest.raises(Unusable, match="refunded_transaction_id is missing"):
                meaning(xml, {"subject/transaction/refunded-transaction-id": ...})

    @pytest.mark.parametrize("kind", ["opened", "lost", "accepted", "auto_accepted", "expired"])
    def test_a_dispute_takes(self, kind: str) -> None:
        for of in ("chargeback", "pre_arbitration"):
            assert meaning(OPENED, {"kind": f"dispute_{kind}", "subject/dispute/kind": of}) == [
                Reversed("tx_Gym0001", at("2026-11-12T08:00:01Z"), "dispute:dp_Gym0001", 8900, "USD")
            ]

    @pytest.mark.parametrize("won", ["89.00", "90.00", "0.00", None, ...])
    def test_a_dispute_that_was_won_gives_back(self, won: Any) -> None:
        assert meaning(WON, {"subject/dispute/amount-won": won}) == [
            Restored("tx_Gym0001", at("2026-12-20T08:00:01Z"), "dispute:dp_Gym0001", 8900, "USD")
        ]

    def test_a_dispute_that_was_won_in_part(self) -> None:
        assert meaning(WON, {"subject/dispute/amount-won": "80.00"}) == [
            Reversed("tx_Gym0001", at("2026-12-20T08:00:01Z"), "dispute:dp_Gym0001", 900, "USD")
        ]

    def test_the_disputed_amount_counts(self) -> None:
        for changes in ({"amount": "99.00", "amount-disputed": "45.50"}, {"amount": "45.50", "amount-disputed": ...}):
            (taken,) = meaning(OPENED, {f"subject/dispute/{name}": text for name, text in changes.items()})
            assert isinstance(taken, Reversed)
            assert taken.amount_minor == 4550

    def test_a_retrieval_takes_nothing(self) -> None:
        for xml in (OPENED, RECORDED["dispute_lost"], WON):
            with pytest.raises(Ignored, match="retrieval"):
                meaning(xml, {"subject/dispute/kind": "retrieval"})

    def test_whatever_the_order_the_last_word_counts(self) -> None:
        paid, opened, won, lost = (meaning(xml)[0] for xml in (PAID, OPENED, WON, RECORDED["dispute_lost"]))
        for facts, left in (([paid, opened], 0), ([paid, opened, lost], 0), ([won, opened, paid], 8)):
            for order in (facts, facts[::-1], facts * 2):
                (owed,) = entitlement(order, [Terms(1, 8, 30)])
                assert owed.quantity - owed.reversed == left


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("check", "own test"),
        ("subscription_went_active", "nothing about dues"),
        ("subscription_trial_ended", "nothing about dues"),
        ("transaction_retried", "subscription_charged_successfully"),
        ("disbursement", "payout"),
        ("dispute_disputed", "no money moved"),
        ("dispute_under_review", "no money moved"),
        ("SUBSCRIPTION_CHARGED_SUCCESSFULLY", "nothing about dues"),
    ],
)
def test_kinds_without_effect(kind: str, why: str) -> None:
    for xml in (PAID, DECLINED):
        with pytest.raises(Ignored, match=why):
            meaning(xml, {"kind": kind})


class TestAccount:
    def test_another_merchant_account(self) -> None:
        ours, other = (endpoint("braintree", KEY, account=account) for account in ("gym_usd", "gym_eur"))
        for name in sorted(RECORDED.keys() - {"check", "unknown_type"}):
            with pytest.raises(
                Unusable, match="merchant account is 'gym_usd', but the endpoint's account is 'gym_eur'"
            ):
                meaning(RECORDED[name], on=other)
        for xml in (PAID, LISTED, DECLINED, REFUND, OPENED, WON):
            assert meaning(xml, on=ours) == meaning(xml)

    def test_one_that_is_not_stated(self) -> None:
        assert meaning(OPENED, {"subject/dispute/merchant-account-id": ...}, endpoint("braintree", KEY, account="x"))


class TestSamples:
    def facts(self, name: str) -> list[Fact]:
        said: list[Fact] = []
        for delivery in sample(
            "braintree", name, reference="sub_1", number="Gym7", now=datetime.fromtimestamp(NOW, UTC), account="gym_1"
        ):
            on = endpoint("braintree", KEY, account="gym_1")
            (part,) = split(delivery.content, on)
            said += on.interpret(part.type, part.body)
        return said

    @pytest.mark.parametrize("name", ["paid", "refunded", "disputed", "late_failure"])
    def test_what_a_local_trial_posts(self, name: str) -> None:
        paid, *others = self.facts(name)
        assert isinstance(paid, Paid)
        assert (paid.amount_minor, paid.currency, paid.billing_references[0]) == (8900, "USD", "sub_1")
        (owed,) = entitlement([paid, *others], [Terms(1, 8, 30)])
        assert owed.reversed == (0 if name == "paid" else 8)
        assert all(other.payment == paid.payment for other in others if not isinstance(other, DuesFailed))


def test_a_subscription_that_ended_is_announced() -> None:
    told, body = at("2026-11-05T09:00:07+00:00"), RECORDED["subscription_canceled"]
    ended = [Announced("sub_Gym0001", told, Change.ENDS, told)]
    assert meaning(body) == ended
    assert meaning(body.replace(b"subscription_canceled", b"subscription_expired")) == ended


class TestCodes:
    """A subscription's id, which the merchant may choose, begins with the code; or a custom field has it."""

    @pytest.mark.parametrize("name", [CODE, f"{CODE}-2"])
    def test_of_a_chosen_subscription(self, name: str) -> None:
        xml = edited(PAID, {"subject/subscription/id": name, f"{CHARGE}/subscription-id": name})
        assert [fact for fact in meaning(xml) if isinstance(fact, Claimed)] == [
            Claimed(name, at("2026-11-01T09:00:05Z"), CODE)
        ]

    def test_of_a_custom_field(self) -> None:
        field = edited(PAID, {f"{CHARGE}/custom-fields": ""})
        xml = edited(field, {f"{CHARGE}/custom-fields/membership-code": CODE})
        claimed = Claimed("sub_Gym0001", at("2026-11-01T09:00:05Z"), CODE)
        assert [fact for fact in meaning(xml) if isinstance(fact, Claimed)] == [claimed]

    @pytest.mark.parametrize("name", [f"{CODE}x", "m_1", CODE.upper()])
    def test_of_other_ids_claim_nothing(self, name: str) -> None:
        xml = edited(PAID, {"subject/subscription/id": name})
        assert not [fact for fact in meaning(xml) if isinstance(fact, Claimed)]
