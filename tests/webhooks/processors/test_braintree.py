import base64
import copy
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.samples import sample
from models.payments.entitlement import Terms, entitlement
from models.payments.facts import Fact, Paid, Restored, Reversed
from runtime.settings import SettingsError
from tests.webhooks.contract import EventContract
from tests.webhooks.deliveries import NOW, PAYLOADS, endpoint, received
from webhooks.processors import Ignored, Processor, Unusable
from webhooks.signatures import Invalid

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


def laughs(xml: bytes) -> bytes:
    """A billion of them."""
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY l0 "ha">{entities}]>'.encode() + xml.replace(b"sale", b"&l9;")


def inside(more: bytes) -> Callable[[bytes], bytes]:
    return lambda xml: xml.replace(b"</notification>", more + b"</notification>")


# Each takes XML that would otherwise count, and spoils it.
HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "JSON": lambda _: b'{"kind": "check"}',
    "a megabyte of nothing": lambda _: b"x" * 2**20,
    "another root": lambda xml: xml.replace(b"notification", b"notice"),
    "a root of text": lambda _: b"<notification>text</notification>",
    "a root that is a list": lambda xml: xml.replace(b"<notification>", b'<notification type="array">'),
    "truncated": lambda xml: xml[:-9],
    "something behind it": lambda xml: xml + b"<x/>",
    "text beside elements": inside(b"text"),
    "text in a list": inside(b'<x type="array">text</x>'),
    "100,000 deep": inside(b"<x>" * 100_000 + b"</x>" * 100_000),
    "100,000 deep and not closed": inside(b"<x>" * 100_000),
    "invalid UTF-8": inside(b"<x>\xff</x>"),
    "half a character": inside(b"<x>\xc3</x>"),
    "a surrogate in UTF-8": inside(b"<x>\xed\xa0\x80</x>"),
    "UTF-16": lambda xml: xml.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    "a NUL": inside(b"<x>\x00</x>"),
    "a NUL escaped": inside(b"<x>&#0;</x>"),
    "a control character": inside(b"<x>&#7;</x>"),
    "a lone surrogate": inside(b"<x>&#xD800;</x>"),
    "an unknown entity": inside(b"<x>&laugh;</x>"),
    "a document type": lambda xml: b"<!DOCTYPE notification>" + xml[xml.index(b"<notification") :],
    "an entity of its own": lambda xml: b'<!DOCTYPE x [<!ENTITY a "sale">]>' + xml[xml.index(b"<notification") :],
    "a file from outside": lambda xml: (
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
        + xml[xml.index(b"<notification") :].replace(b"sale", b"&a;")
    ),
    "a billion laughs": lambda xml: laughs(xml[xml.index(b"<notification") :]),
    "an attribute twice": inside(b'<x a="1" a="2"/>'),
    "no kind": lambda xml: edited(xml, {"kind": ...}),
    "two kinds": inside(b"<kind>check</kind>"),
    "a kind with a blank": lambda xml: edited(xml, {"kind": "a b"}),
    "no timestamp": lambda xml: edited(xml, {"timestamp": None}),
}


class TestContract(EventContract):
    processor = "braintree"
    key = KEY.encode()

    def _bodies(self) -> list[bytes]:
        return list(RECORDED.values())

    def _body(self) -> bytes:
        return PAID

    def test_unknown_type_is_ignored(self) -> None:
        assert "nothing about dues" in str(self._meaning(RECORDED["unknown_type"]))

    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_authentic_but_unreadable(self, hostile: str) -> None:
        body = HOSTILE[hostile](PAID)
        assert body != PAID
        delivery = self._deliver(body)
        assert self.adapter().verify(delivery.body, received(delivery.headers), NOW) is None
        (part,) = self._parts(body)
        assert (part.body, part.type) == (body, "unparsable")
        assert re.fullmatch("sha256:[0-9a-f]{64}", part.event_id)
        assert re.fullmatch("unparsable: .{3,110}", str(part.quarantine_reason))
        assert not self.adapter().same_content(body, PAID)
        assert not self.adapter().same_content(PAID, body)

    def test_any_value_anywhere_is_facts_or_ignored_or_unusable(self) -> None:
        for body in self._bodies():
            for mutated in mutations(body):
                self._check_meaning(mutated)

    @given(st.data())
    def test_mutated_bodies_are_facts_or_ignored_or_unusable(self, data: st.DataObject) -> None:
        root = ET.fromstring(data.draw(st.sampled_from(self._bodies())))
        for _ in range(data.draw(st.integers(2, 4))):
            edit = data.draw(st.sampled_from(EDITS) | st.text(max_size=9).map(with_text))
            if found := list(places(root)):
                change(*data.draw(st.sampled_from(found)), edit)
        self._check_meaning(ET.tostring(root, "utf-8"))

    def test_another_value_anywhere_is_other_content(self) -> None:
        for body in self._bodies():
            for number in range(len(list(places(ET.fromstring(body))))):
                edits: list[Edit] = ["drop", "double", with_text("zz")]
                for edit in edits:
                    root = ET.fromstring(body)
                    change(*list(places(root))[number], edit)
                    assert not self.adapter().same_content(body, ET.tostring(root))

    def test_bodies_as_deep_as_can_be_read(self) -> None:
        for depth, readable in ((1, True), (63, True), (64, False), (65, False)):
            body = inside(b"<x>" * depth + b"</x>" * depth)(PAID)
            assert (self._parts(body)[0].quarantine_reason is None) is readable
            assert self.adapter().same_content(body, body + b" ") is readable
            self._check_meaning(body)

    def test_same_content_of_hostile_bodies(self) -> None:
        for spoil in HOSTILE.values():
            assert self.adapter().same_content(spoil(PAID), spoil(PAID))


class TestXml:
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (b"\n  ", b"\r\n\t"),
            (b"<id>", b'<id  a="1"\n>'),
            (b"tx_Gym0001", b"tx_&#71;ym0001"),
            (b"tx_Gym0001", b"<![CDATA[tx_Gym0001]]>"),
            (b"tx_Gym0001", b"tx_<!-- -->Gym<?pi?>0001"),
            (b'<order-id nil="true"/>', b"<order-id></order-id>"),
            (b"currency-iso-code", b"currency_iso_code"),
            (b'encoding="UTF-8"', b'encoding="ISO-8859-1"'),
            (b"<?xml", b"\xef\xbb\xbf<?xml"),
        ],
    )
    def test_the_same_xml_spelled_otherwise_says_the_same(self, first: bytes, second: bytes) -> None:
        other = PAID.replace(first, second)
        assert other != PAID
        assert ON.same_content(PAID, other)
        assert meaning(other) == meaning(PAID)
        (part,), (twin,) = split(PAID), split(other)
        assert part.event_id == twin.event_id

    def test_a_wide_one(self) -> None:
        (part,) = split(inside(b"<x/>" * 180_000)(PAID))
        assert part.quarantine_reason is None


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
    FACT = Paid("tx_Gym0001", at("2026-11-01T09:00:05Z"), 8900, "USD", ("sub_Gym0001", "cus_Gym0001"))

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
        with pytest.raises(Ignored, match="a proration: tx_Gym0000 had paid"):
            meaning(PAID, same_period)
        assert meaning(PAID, {**same_period, f"{BEFORE}/status": "processor_declined"}) != []
        with pytest.raises(Ignored, match="a proration: tx_Gym0000 had paid"):
            meaning(LISTED, {"subject/transaction/paid-before": "tx_Gym0000"})

    def test_without_a_subscription_it_is_no_dues(self) -> None:
        for xml in (LISTED, DECLINED):
            for nothing in (None, ""):
                with pytest.raises(Ignored, match="without a subscription"):
                    meaning(xml, {"subject/transaction/subscription-id": nothing})

    @pytest.mark.parametrize(
        ("customer", "references"), [("cus_1", ("sub_Gym0001", "cus_1")), (None, ("sub_Gym0001",))]
    )
    def test_billing_references(self, customer: str | None, references: tuple[str, ...]) -> None:
        (paid,) = meaning(PAID, {f"{CHARGE}/customer/id": customer})
        assert isinstance(paid, Paid)
        assert paid.billing_references == references

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
    def test_what_is_no_id(self, id: Any) -> None:  # noqa: A002 -- the field's name
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
        assert meaning(DECLINED) == expected
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
        ("subscription_charged_unsuccessfully", "failed attempt"),
        ("subscription_went_past_due", "failed attempt"),
        ("subscription_billing_skipped", "nothing was paid"),
        ("subscription_canceled", "nothing about dues"),
        ("subscription_trial_ended", "nothing about dues"),
        ("transaction_settled", "same money"),
        ("transaction_retried", "subscription_charged_successfully"),
        ("transaction_disbursed", "payout"),
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


class TestSplit:
    def test_a_notice(self) -> None:
        (part,) = split(PAID)
        assert re.fullmatch("sha256:[0-9a-f]{64}", part.event_id)
        assert part == (part.event_id, "subscription_charged_successfully", PAID, None, None, False)

    @pytest.mark.parametrize("path", ["kind", "timestamp", "subject/subscription/id", f"{CHARGE}/id"])
    def test_another_event_where_one_of_its_marks_differs(self, path: str) -> None:
        assert split(edited(PAID, {path: "other"}))[0].event_id != split(PAID)[0].event_id

    def test_the_same_event_whatever_else_differs(self) -> None:
        (part,), (twin,) = split(PAID), split(edited(PAID, {f"{CHARGE}/amount": "1.00"}))
        assert part.event_id == twin.event_id
        assert not ON.same_content(part.body, twin.body)

    def test_what_has_no_subject_is_known_by_its_content(self) -> None:
        (part,), (twin,) = (split(inside(more)(RECORDED["check"])) for more in (b"", b"<x/>"))
        assert part.event_id != twin.event_id
        assert part.type == twin.type == "check"

    @pytest.mark.parametrize("payload", ["=", "A", "AAAAA", "AA=A", "===="])
    def test_what_is_not_base64_is_kept_as_it_came(self, payload: str) -> None:
        delivery = deliver(payload)
        assert ON.verify(delivery, {}, NOW) is None
        (part,) = ON.parse(delivery, {})
        assert (part.body, part.quarantine_reason) == (payload.encode(), "unparsable: not base64")


def deliver(payload: str, signature: str | None = None) -> bytes:
    """The form around this payload, rightly signed unless it is said how."""
    if signature is None:
        signature = "public_1|" + signed(payload)
    return urlencode({"bt_signature": signature, "bt_payload": payload}).encode()


def signed(payload: str, key: str = KEY) -> str:
    private_key = hashlib.sha1(key.partition(":")[2].encode()).digest()
    return hmac.digest(private_key, payload.encode(), "sha1").hex()


class TestSignature:
    PAYLOAD = base64.encodebytes(PAID).decode()
    GOOD = ON.sign(PAID, NOW).body

    def refused(self, body: bytes, on: Processor = ON, why: str = "") -> None:
        verdict = on.verify(body, received({}), NOW)
        assert isinstance(verdict, Invalid), body
        assert why in verdict.because

    def test_good(self) -> None:
        for xml in RECORDED.values():
            assert ON.verify(ON.sign(xml, NOW).body, received({}), NOW) is None

    def test_published_by_the_library(self) -> None:
        # Computed by the official library, braintree 4.48.0.
        payload = "PG5vdGlmaWNhdGlvbj48a2luZD5jaGVjazwva2luZD48L25vdGlmaWNhdGlvbj4=\n"
        theirs = endpoint("braintree", "integration_public_key:integration_private_key")
        signature = signed(payload, "integration_public_key:integration_private_key")
        assert signature == "d53eaf7e941a322fd63f23a4c014828169ba83f4"
        assert theirs.verify(deliver(payload, f"integration_public_key|{signature}"), {}, NOW) is None

    def test_wrong_secret(self) -> None:
        for key in (OTHER_KEY, "public_1:private_2", "public_2:private_1"):
            self.refused(ON.sign(PAID, NOW).body, endpoint("braintree", key), "no signature")
        self.refused(self.GOOD, endpoint("braintree"), "no signature")

    @pytest.mark.parametrize("secret", ["", ":", "public", "public:", ":private", "pub lic:private", "públic:private"])
    def test_what_is_no_secret(self, secret: str) -> None:
        with pytest.raises(SettingsError, match=r"PUBLIC_KEY:PRIVATE_KEY.*SPP_SECRET_BRAINTREE"):
            endpoint("braintree", KEY, secret)

    def test_rotated(self) -> None:
        old, new, both = (
            endpoint("braintree", KEY),
            endpoint("braintree", OTHER_KEY),
            endpoint("braintree", KEY, OTHER_KEY),
        )
        for on in (old, new):
            assert both.verify(on.sign(PAID, NOW).body, {}, NOW) is None
        two = f"public_1|{signed(self.PAYLOAD)}&public_2|{signed(self.PAYLOAD, OTHER_KEY)}"
        for on in (old, new, both):
            assert on.verify(deliver(self.PAYLOAD, two), {}, NOW) is None

    def test_nothing_in_it_is_dated(self) -> None:
        # A years-old replay is authentic; its id and its age stop it.
        assert ON.sign(PAID, 1) == ON.sign(PAID, NOW)

    def test_touched_or_cut_off(self) -> None:
        fields = dict(parse_qsl(self.GOOD.decode()))
        for at_place in range(0, len(self.PAYLOAD) - 1, 7):
            wrong = "A" if self.PAYLOAD[at_place] != "A" else "B"
            self.refused(
                deliver(self.PAYLOAD[:at_place] + wrong + self.PAYLOAD[at_place + 1 :], fields["bt_signature"])
            )
            self.refused(deliver(self.PAYLOAD[:at_place], fields["bt_signature"]))
        signature = fields["bt_signature"]
        for at_place in range(len(signature)):
            wrong = "A" if signature[at_place] != "A" else "B"
            self.refused(deliver(self.PAYLOAD, signature[:at_place] + wrong + signature[at_place + 1 :]))
            self.refused(deliver(self.PAYLOAD, signature[:at_place]))
        for end in range(0, len(self.GOOD), 11):
            self.refused(self.GOOD[:end])

    def test_encoded_again(self) -> None:
        # The same XML in one line, or in more: the text is signed, not what it stands for.
        for payload in (base64.b64encode(PAID).decode(), self.PAYLOAD.replace("\n", "\n\n"), self.PAYLOAD + "\n"):
            self.refused(deliver(payload, f"public_1|{signed(self.PAYLOAD)}"))

    def test_a_payload_that_lost_its_last_line_end(self) -> None:
        assert ON.verify(deliver(self.PAYLOAD.rstrip("\n"), f"public_1|{signed(self.PAYLOAD)}"), {}, NOW) is None

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda good: b"",
            lambda good: good + b"&bt_payload=",
            lambda good: good + b"&bt_signature=x",
            lambda good: good + b"&",
            lambda good: good + b"&x",
            lambda good: good + "&x=é".encode(),
            lambda good: good + b"&x=1" * 20,
            lambda good: good.replace(b"bt_payload", b"bt_payloads"),
            lambda good: good.replace(b"%0A", b"%0D%0A"),
            lambda good: good.replace(b"%0A", b"+", 1),
            lambda good: good.replace(b"bt_signature=", b"bt_signature=%00"),
            lambda good: good.replace(b"%7C", b"%7C%7C"),
            lambda good: good.replace(b"%7C", b"%C3%A9"),
            lambda good: good.replace(b"%7C", b"%7C%C3%A9"),
            lambda good: good.replace(b"public_1%7C", b""),
            lambda good: good.replace(b"public_1", b"PUBLIC_1"),
            lambda good: good.replace(b"public_1%7C", b"public_1%7Cx%26public_1%7C"),
            lambda good: b"bt_signature=" + b"public_1%7Cx%26" * 10_000 + b"&bt_payload=",
            lambda good: b"{" * 100_000,
        ],
    )
    def test_what_is_no_such_form(self, spoil: Callable[[bytes], bytes]) -> None:
        self.refused(spoil(self.GOOD))

    def test_more_fields_and_signatures_do_no_harm(self) -> None:
        assert ON.verify(self.GOOD + b"&x=1", {}, NOW) is None
        more = f"x&|&y|z&public_9|{'0' * 40}&public_1|{signed(self.PAYLOAD)}"
        assert ON.verify(deliver(self.PAYLOAD, more), {}, NOW) is None

    @given(st.binary(max_size=300))
    def test_random_deliveries_are_refused_and_raise_nothing(self, body: bytes) -> None:
        self.refused(body)
        assert ON.parse(body, received({}))[0].quarantine_reason


class TestChallenge:
    def test_it_is_answered_with_the_public_key_and_the_signature(self) -> None:
        asked = "20f9f8ed05f77439fe955c977e4c8a53"
        theirs = endpoint("braintree", "integration_public_key:integration_private_key", OTHER_KEY)
        assert (
            theirs.challenge({"bt_challenge": asked})
            == "integration_public_key|d9b899556c966b3f06945ec21311865d35df3ce4"
        )

    @pytest.mark.parametrize(
        "asked", ["", "a" * 19, "a" * 33, "A" * 20, "g" * 20, "a" * 20 + "\n", "\u0660" * 20, "PG5vdGlmaWNhdGlvbj4="]
    )
    def test_what_is_no_challenge(self, asked: str) -> None:
        assert ON.challenge({"bt_challenge": asked}) is None

    def test_nothing_is_asked(self) -> None:
        assert ON.challenge({}) is None
        assert endpoint("braintree").challenge({"bt_challenge": "a" * 20}) is None

    def test_an_answer_signs_no_delivery(self) -> None:
        for asked in ("a" * 20, "0123456789abcdef" * 2):
            answer = ON.challenge({"bt_challenge": asked})
            verdict = ON.verify(deliver(asked, answer), {}, NOW)
            assert verdict == Invalid("bt_payload is not base64 of a notice")


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
        assert all(other.payment == paid.payment for other in others)
