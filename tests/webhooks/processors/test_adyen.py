import base64
import itertools
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local import samples
from models.payments.entitlement import Terms, entitlement
from models.payments.facts import Fact, Linked, Paid, Restored, Reversed
from runtime.settings import SettingsError
from tests.webhooks.contract import HEADER, HOSTILE, EventContract
from tests.webhooks.deliveries import NOW, changed, endpoint, received, recorded
from webhooks.processors import Delivery, Ignored, Processor, Unusable, strict
from webhooks.processors.adyen import Adyen
from webhooks.signatures import Invalid, Verdict

KEY, OTHER_KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056", "ab" * 32
TEST, LIVE = (endpoint("adyen", KEY, mode=mode) for mode in ("test", "live"))
MANUAL = endpoint("adyen", KEY, capture="manual")
RECORDED = recorded("adyen")
PAID, BATCH = RECORDED["authorisation"], RECORDED["batch"]
PAYMENT = "PGYM0001PAY00001"
ITEM = "notificationItems__0__NotificationRequestItem__"
SIGNED = (
    *("pspReference", "originalReference", "merchantAccountCode", "merchantReference"),
    *("amount__value", "amount__currency", "eventCode", "success"),
)
NO_IDS = [None, "", "P 1", "P_\n1", "x" * 256, "é", 7, True, ["P1"], {"id": 7}, ...]


class TestContract(EventContract):
    processor = "adyen"
    key = KEY.encode()
    varies: ClassVar[frozenset[str]] = frozenset({
        *("additionalData", "hmacSignature", "reason", "paymentMethod", "eventDate"),
        *("authCode", "cardSummary", "expiryDate", "shopperReference", "modification.action"),
        *("recurring.shopperReference", "recurring.recurringDetailReference"),
        *("chargebackReasonCode", "chargebackSchemeCode", "disputeStatus"),
    })  # fmt: skip

    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_authentic_but_unreadable(self, hostile: str) -> None:
        # The signatures stand in what cannot be read: where they cannot be found, it is not authentic.
        good = TEST.sign(PAID, NOW).body
        body = HOSTILE[hostile](good.removeprefix(b"{").removesuffix(b"}"))
        (part,) = TEST.parse(body, {})
        assert part.body == body
        assert strict.is_name(part.event_id)
        if TEST.verify(body, {}, NOW) is None:
            assert part.event_id == TEST.parse(good, {})[0].event_id
            with pytest.raises(Unusable, match="unparsable"):
                TEST.interpret(part.type, part.body)
        else:
            assert part.quarantine_reason


def of_item(changes: dict[str, Any], place: int = 0) -> dict[str, Any]:
    return {ITEM.replace("0", str(place)) + path: value for path, value in changes.items()}


def meaning(body: bytes, on: Processor = TEST, **changes: Any) -> list[Fact]:
    """Of the one item of this delivery, with other values in it."""
    (part,) = TEST.parse(changed(body, **of_item(changes)), {})
    assert part.quarantine_reason is None
    return on.interpret(part.type, part.body)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + "T08:00:00+00:00")


PAID_FACT = Paid(PAYMENT, at("2026-11-01"), 8900, "USD", ("membership-Gym0001", "shopper-Gym0001"))
CAPTURE = f"capture:PGYM0001CAP00001 of {PAYMENT}"
CAPTURED = Restored(PAYMENT, at("2026-11-02"), CAPTURE, 8900, "USD")
CAPTURE_PAID = Paid(PAYMENT, at("2026-11-02"), 8900, "USD", ("membership-Gym0001",))
CANCELLED_AT = datetime(2026, 11, 1, 11, tzinfo=UTC)
CANCELLED = Reversed(PAYMENT, CANCELLED_AT, f"cancellation:{PAYMENT}")
EXPIRED = Reversed(PAYMENT, at("2026-11-29"), f"cancellation:{PAYMENT}")
DISPUTE = "dispute:PGYM0001DIS00001"
MEANINGS: dict[str, list[Fact]] = {
    "capture_failed": [Reversed(PAYMENT, at("2026-11-05"), CAPTURE, 8900, "USD")],
    "settled_reversed": [Reversed(PAYMENT, at("2026-12-05"), f"settlement:PGYM0001CAP00001 of {PAYMENT}", 8900, "USD")],
    "cancel_or_refund": [Reversed(PAYMENT, at("2026-11-03"), "refund:PGYM0001REV00001")],
    "refund": [Reversed(PAYMENT, at("2026-11-03"), "refund:PGYM0001REF00001", 3000, "USD")],
    "refund_with_data": [Reversed(PAYMENT, at("2026-11-03"), "refund:PGYM0001REF00002", 3000, "USD")],
    "refund_failed": [Restored(PAYMENT, at("2026-11-08"), "refund:PGYM0001REF00001", 3000, "USD")],
    "refunded_reversed": [Restored(PAYMENT, at("2026-11-09"), "refund:PGYM0001REF00001", 3000, "USD")],
    "chargeback": [Reversed(PAYMENT, at("2026-11-22"), DISPUTE, 8900, "USD")],
    "chargeback_reversed": [Restored(PAYMENT, at("2026-12-01"), DISPUTE, 8900, "USD")],
    "second_chargeback": [Reversed(PAYMENT, at("2026-12-20"), f"{DISPUTE}:second", 8900, "USD")],
    "prearbitration_won": [
        Restored(PAYMENT, at("2026-12-22"), cause, 8900, "USD") for cause in (DISPUTE, f"{DISPUTE}:second")
    ],
    "prearbitration_lost": [Reversed(PAYMENT, at("2026-12-22"), f"{DISPUTE}:second", 8900, "USD")],
}
BY_CAPTURE: dict[str, tuple[list[Fact], list[Fact] | None]] = {
    "authorisation": ([PAID_FACT], None),
    "capture": ([CAPTURED], [CAPTURE_PAID, CAPTURED]),
    "cancellation": ([CANCELLED], None),
    "technical_cancel": ([CANCELLED], None),
    "expire": ([EXPIRED], None),
}
"""What it means with automatic and with manual capture."""
WITH_ORIGINAL = [name for name in (*MEANINGS, *BY_CAPTURE) if name not in {"authorisation", "expire"}]
REQUESTS = [
    *("authorisation", "capture", "cancellation", "technical_cancel"),
    *("refund", "refund_with_data", "cancel_or_refund"),
]
CREDITS = [(PAID, TEST), (RECORDED["capture"], MANUAL)]


class TestMeaning:
    @pytest.mark.parametrize("on", [TEST, MANUAL])
    @pytest.mark.parametrize("name", MEANINGS)
    def test_whoever_captures(self, name: str, on: Processor) -> None:
        assert meaning(RECORDED[name], on) == MEANINGS[name]

    @pytest.mark.parametrize("name", BY_CAPTURE)
    def test_automatic_and_manual_capture(self, name: str) -> None:
        automatic, manual = BY_CAPTURE[name]
        assert meaning(RECORDED[name], endpoint("adyen", KEY, capture="auto")) == meaning(RECORDED[name]) == automatic
        if manual is not None:
            assert meaning(RECORDED[name], MANUAL) == manual
            return
        with pytest.raises(Ignored, match="no money moved: with capture=manual"):
            meaning(RECORDED[name], MANUAL)

    def test_every_type_that_means_something_is_recorded(self) -> None:
        assert {name.upper() for name in (*MEANINGS, *BY_CAPTURE)} == Adyen.meanings.keys()

    @pytest.mark.parametrize(
        ("code", "why"),
        [
            *((code, "no money moved") for code in ("NOTIFICATION_OF_CHARGEBACK", "REQUEST_FOR_INFORMATION")),
            *((code, "no money moved") for code in ("NOTIFICATION_OF_FRAUD", "DISPUTE_DEFENSE_PERIOD_ENDED")),
            *(
                (code, "payout")
                for code in ("PAIDOUT_REVERSED", "PAYOUT_DECLINE", "PAYOUT_EXPIRE", "PAYOUT_THIRDPARTY")
            ),
            *((code, "same money") for code in ("AUTORESCUE", "ORDER_CLOSED")),
            ("RECURRING_CONTRACT", "nothing was paid"),
            ("REPORT_AVAILABLE", "a report"),
            ("VOID_PENDING_REFUND", "before it was made"),
            ("POSTPONED_REFUND", "no money went back yet"),
            ("REFUND_NOT_CLEARED", "no change"),
            *((code, "nothing about dues") for code in ("NEW_IN_2030", "authorisation", "AUTHORISATION.")),
        ],
    )
    @pytest.mark.parametrize("success", ["true", "false"])
    def test_types_without_effect(self, code: str, why: str, success: str) -> None:
        for name in ("authorisation", "chargeback"):
            with pytest.raises(Ignored, match=why):
                meaning(RECORDED[name], eventCode=code, success=success)

    def test_no_type_both_counts_and_does_not(self) -> None:
        only_with_manual_capture = {"AUTHORISATION", "CANCELLATION", "TECHNICAL_CANCEL", "EXPIRE"}
        assert Adyen.meanings.keys() & Adyen.reasons.keys() == only_with_manual_capture

    @pytest.mark.parametrize("name", REQUESTS)
    def test_a_request_that_failed(self, name: str) -> None:
        with pytest.raises(Ignored, match="failed attempt"):
            meaning(RECORDED[name], success="false")

    @pytest.mark.parametrize("name", [*MEANINGS, *BY_CAPTURE])
    def test_neither_success_nor_failure(self, name: str) -> None:
        successes = ("True", "TRUE", "1", "yes", "x" * 200)
        for success in successes if name in REQUESTS else (*successes, "false"):
            with pytest.raises(Unusable, match="success is"):
                meaning(RECORDED[name], success=success)

    def test_tried_in_the_customer_area(self) -> None:
        for name, on in itertools.product(("authorisation", "refund", "unknown_type"), (TEST, LIVE)):
            with pytest.raises(Ignored, match="Customer Area"):
                meaning(RECORDED[name], on, pspReference="test_AUTHORISATION_1")

    @pytest.mark.parametrize(("body", "on"), CREDITS)
    def test_zero_amount(self, body: bytes, on: Processor) -> None:
        with pytest.raises(Ignored, match="zero"):
            meaning(body, on, amount__value=0)

    @pytest.mark.parametrize("value", [89.0, 8900.5, "8900", True, -1, -8900, None, [8900], 10**13, ...])
    def test_what_is_no_amount(self, value: object) -> None:
        bodies = [body for name, body in RECORDED.items() if name in {"authorisation", "refund", "refund_failed"}]
        for body, on in [*CREDITS, *((body, TEST) for body in bodies), (RECORDED["capture"], TEST)]:
            with pytest.raises(Unusable, match="value"):
                meaning(body, on, amount__value=value)

    def test_an_amount_in_exponent_notation(self) -> None:
        body = PAID.replace(b'"value": 8900', b'"value": 1e3')
        assert body != PAID
        with pytest.raises(Unusable, match="value"):
            TEST.interpret("AUTHORISATION", body)

    @pytest.mark.parametrize(("currency", "value"), [("JPY", 8900), ("KWD", 28500), ("HUF", 1)])
    def test_amounts_are_minor_units_whatever_the_exponent(self, currency: str, value: int) -> None:
        (paid,) = meaning(PAID, amount={"value": value, "currency": currency})
        assert isinstance(paid, Paid)
        assert (paid.amount_minor, paid.currency) == (value, currency)

    @pytest.mark.parametrize(
        ("currency", "value", "minor"),
        [("CLP", 890000, 8900), ("ISK", 890000, 8900), ("IDR", 8900, 890000), ("CVE", 8900, 890000)],
    )
    def test_amounts_become_isos_minor_units_where_adyen_counts_in_others(
        self, currency: str, value: int, minor: int
    ) -> None:
        amount = {"value": value, "currency": currency}
        told = [*meaning(PAID, amount=amount), *meaning(RECORDED["refund"], amount=amount)]
        told += meaning(RECORDED["capture"], MANUAL, amount=amount)
        sums = [(fact.amount_minor, fact.currency) for fact in told if not isinstance(fact, Linked)]
        assert len(sums) >= 3
        assert set(sums) == {(minor, currency)}

    def test_a_fraction_of_what_has_no_minor_unit_is_unusable(self) -> None:
        with pytest.raises(Unusable, match="value is not an amount in CLP, whose minor unit has 0 digits"):
            meaning(PAID, amount={"value": 890050, "currency": "CLP"})

    @pytest.mark.parametrize("currency", ["", "US", "USDD", "US1", "ÜSD", "XAU", "XXX", "ZZZ", 840, None, ["USD"], ...])
    def test_what_is_no_currency(self, currency: object) -> None:
        for name in ("authorisation", "chargeback", "refund_failed"):
            with pytest.raises(Unusable, match="currency"):
                meaning(RECORDED[name], amount__currency=currency)

    @pytest.mark.parametrize("time", ["2026-11-01T09:00:00", "2026-11-01", "yesterday", "", 1793527205, None, ...])
    @pytest.mark.parametrize("name", [*MEANINGS, *BY_CAPTURE])
    def test_what_is_no_time(self, name: str, time: object) -> None:
        with pytest.raises(Unusable, match="eventDate"):
            meaning(RECORDED[name], eventDate=time)

    @pytest.mark.parametrize("original", NO_IDS)
    @pytest.mark.parametrize("name", WITH_ORIGINAL)
    def test_of_no_payment(self, name: str, original: object) -> None:
        with pytest.raises(Unusable, match="originalReference"):
            meaning(RECORDED[name], originalReference=original)

    def test_expired_by_either_name_of_the_payment(self) -> None:
        (expired,) = meaning(RECORDED["expire"], originalReference=PAYMENT, pspReference="PGYM0001EXP00001")
        assert expired == EXPIRED

    def test_disputes_of_no_payment_say_what_to_do(self) -> None:
        # So Adyen's own examples are, unless the webhook is told otherwise.
        for name in ("chargeback_reversed", "second_chargeback", "prearbitration_won", "prearbitration_lost"):
            with pytest.raises(Unusable, match="turn on 'Include the originalReference"):
                meaning(RECORDED[name], originalReference=...)

    @pytest.mark.parametrize("path", ["amount", "additionalData"])
    @pytest.mark.parametrize("value", ["text", 7, [1], True])
    def test_what_should_be_an_object_is_none(self, path: str, value: object) -> None:
        for body, on in CREDITS:
            with pytest.raises(Unusable):
                meaning(body, on, **{path: value})

    @pytest.mark.parametrize(
        ("reference", "data", "found"),
        [
            ("m-1", {"shopperReference": "s-1"}, ("m-1", "s-1")),
            ("m-1", {"recurring.shopperReference": "s-1"}, ("m-1", "s-1")),
            ("m-1", {"tokenization.shopperReference": "s-1"}, ("m-1", "s-1")),
            ("m-1", {"shopperReference": "s-1", "recurring.shopperReference": "s-1"}, ("m-1", "s-1")),
            ("m-1", {"shopperReference": "m-1"}, ("m-1",)),
            ("m-1", {"shopperReference": None}, ("m-1",)),
            ("m:1:2026-11", {}, ("m:1:2026-11",)),
            ("Dues of November", {"shopperReference": "s-1"}, ("s-1",)),
            ("", {"shopperReference": "Ann Ä."}, ()),
            (None, None, ()),
            (..., ..., ()),
        ],
    )
    def test_billing_references(self, reference: object, data: object, found: tuple[str, ...]) -> None:
        for body, on in CREDITS:
            with_key = changed(body, **of_item({"additionalData": None}))
            paid = meaning(with_key, on, merchantReference=reference, additionalData=data)[0]
            assert isinstance(paid, Paid)
            assert paid.billing_references == found

    @pytest.mark.parametrize("reference", [7, True, ["m-1"], {"id": "m-1"}])
    def test_a_reference_that_is_no_text_is_not_left_out_in_silence(self, reference: object) -> None:
        for body, on in CREDITS:
            for changes in ({"merchantReference": reference}, {"additionalData": {"shopperReference": reference}}):
                with pytest.raises(Unusable, match="not text"):
                    meaning(body, on, **changes)


class TestWhatItComesTo:
    """Of ten sessions, how many are taken back, whatever arrives first."""

    @pytest.mark.parametrize(
        ("names", "taken"),
        [
            (["capture"], 0),
            (["capture_failed"], 10),
            (["capture", "capture_failed"], 10),
            (["refund"], 3),
            (["refund", "refund_failed"], 0),
            (["refund", "refunded_reversed", "refund_failed"], 0),
            (["refund", "refund_with_data"], 6),
            (["cancellation", "technical_cancel", "expire"], 10),
            (["refund", "cancel_or_refund"], 10),
            (["chargeback"], 10),
            (["chargeback", "chargeback_reversed"], 0),
            (["chargeback", "chargeback_reversed", "second_chargeback"], 10),
            (["chargeback", "chargeback_reversed", "second_chargeback", "prearbitration_won"], 0),
            (["chargeback", "chargeback_reversed", "prearbitration_lost"], 10),
            (["refund", "chargeback"], 10),
        ],
    )
    def test_automatic_capture(self, names: Sequence[str], taken: int) -> None:
        told = [meaning(RECORDED[name]) for name in ("authorisation", *names)]
        for order in itertools.permutations(told):
            assert self.taken_back([*itertools.chain(*order), *told[-1]]) == taken

    @pytest.mark.parametrize("last", ["second_chargeback", "prearbitration_lost"])
    def test_what_follows_a_reversed_chargeback_in_the_same_second_is_final(self, last: str) -> None:
        at_once = {"eventDate": "2026-12-20T09:00:00+01:00"}
        bodies = (RECORDED[name] for name in ("authorisation", "chargeback", "chargeback_reversed", last))
        told = [meaning(changed(body, **of_item(at_once))) for body in bodies]
        for order in itertools.permutations(told):
            assert self.taken_back(itertools.chain(*order)) == 10

    def test_captured_again_after_a_failure(self) -> None:
        again = changed(RECORDED["capture"], **of_item({"eventDate": "2026-11-07T09:00:00+01:00"}))
        for on, first in ((TEST, PAID), (MANUAL, RECORDED["capture"])):
            told = [meaning(body, on) for body in (first, RECORDED["capture_failed"], again)]
            for order in itertools.permutations(told):
                assert self.taken_back(itertools.chain(*order)) == 0

    @pytest.mark.parametrize("psp", ["PGYM0001CAP00001", "PGYM0001CAP00009"])
    def test_each_capture_that_failed_adds_up(self, psp: str) -> None:
        def capture(event: str, psp: str, value: int, day: int) -> list[Fact]:
            of = {"pspReference": psp, "amount": {"value": value, "currency": "USD"}}
            return meaning(changed(RECORDED[event], **of_item(of | {"eventDate": f"2026-11-{day:02}T09:00:00+01:00"})))

        paid = meaning(PAID)
        failed = capture("capture_failed", "PGYM0001CAP00001", 2670, 5), capture("capture_failed", "PCAP2", 6230, 6)
        again = capture("capture", psp, 2670, 7)
        for order in itertools.permutations([paid, *failed]):
            assert self.taken_back(itertools.chain(*order)) == 10
        for order in itertools.permutations([paid, *failed, again]):
            assert self.taken_back(itertools.chain(*order)) == 7, (
                "whether the retry has the failed capture's id or its own"
            )

    def taken_back(self, facts: Any) -> int:
        (owed,) = entitlement(list(facts), [Terms(item_id=1, quantity=10, days_to_expire=0)])
        return owed.reversed


@pytest.mark.parametrize("body", [body for name, body in RECORDED.items() if name != "batch"])
class TestModeAndAccount:
    def test_the_other_mode(self, body: bytes) -> None:
        with pytest.raises(Unusable, match="mode"):
            meaning(body, LIVE)
        others: list[object] = ["true", None, False, "False", "", 0, [], "x" * 100_000, ...]
        for live in others:
            with pytest.raises(Unusable, match="mode") as refused:
                TEST.interpret(*self.event(changed(body, live=live)))
            assert len(str(refused.value)) < 1_000

    def test_another_account(self, body: bytes) -> None:
        on = endpoint("adyen", KEY, account="Gym0001")
        for theirs in ("Gym0002", "gym0001", "", None, ..., ["x" * 100_000]):
            with pytest.raises(Unusable, match="account") as refused:
                on.interpret("CAPTURE", changed(body, **of_item({"merchantAccountCode": theirs})))
            assert len(str(refused.value)) < 1_000

    def test_its_own(self, body: bytes) -> None:
        for on, live in ((endpoint("adyen", KEY, account="Gym0001"), "false"), (LIVE, "true")):
            assert self.outcome(on, changed(body, live=live)) == self.outcome(TEST, body)

    def event(self, body: bytes) -> tuple[str, bytes]:
        (part,) = TEST.parse(body, {})
        return part.type, part.body

    def outcome(self, on: Processor, body: bytes) -> object:
        try:
            return on.interpret(*self.event(body))
        except Ignored as why:
            return str(why)


class TestSplit:
    def test_one_item_is_kept_as_it_came(self) -> None:
        event_id = "Gym0001:PGYM0001PAY00001:AUTHORISATION:true"
        assert TEST.parse(PAID, {}) == [(event_id, "AUTHORISATION", PAID, None, None, False)]

    def test_a_batch_is_the_same_as_its_items_one_by_one(self) -> None:
        items = json.loads(BATCH)["notificationItems"]
        alone = [TEST.parse(changed(BATCH, notificationItems=[item]), {}) for item in items]
        together = TEST.parse(BATCH, {})
        assert [[part._replace(body=b"")] for part in together] == [[part._replace(body=b"")] for (part,) in alone]
        for part, (single,) in zip(together, alone, strict=True):
            assert json.loads(part.body) == json.loads(single.body)
            assert TEST.same_content(part.body, single.body)

    @pytest.mark.parametrize("garbage", [None, 7, "x", [], {}, {"NotificationRequestItem": 7}, {"id": "x"}])
    def test_an_item_that_is_none_harms_no_other(self, garbage: object) -> None:
        good, bad = TEST.parse(changed(BATCH, notificationItems__1=garbage), {})
        assert TEST.interpret(good.type, good.body)
        assert str(bad.quarantine_reason).startswith("unparsable")

    @pytest.mark.parametrize("unsigned", [r"\u0000", r"\ud800", "\xff"])
    @pytest.mark.parametrize("at_first", [True, False])
    def test_garbage_beside_what_is_signed_harms_no_other(self, unsigned: str, at_first: bool) -> None:
        signed = TEST.sign(BATCH, NOW).body
        place = b'"cardSummary": "1111' if at_first else b'"disputeStatus": "Undefended'
        body = signed.replace(place, place + unsigned.encode("latin-1"))
        assert body != signed
        assert TEST.verify(body, {}, NOW) is None
        parts = TEST.parse(body, {})
        assert [part.event_id for part in parts] == [part.event_id for part in TEST.parse(signed, {})]
        spoilt, good = parts if at_first else parts[::-1]
        assert TEST.interpret(good.type, good.body)
        with pytest.raises(Unusable, match="unparsable"):
            TEST.interpret(spoilt.type, spoilt.body)

    @pytest.mark.parametrize("path", ["pspReference", "eventCode", "success"])
    @pytest.mark.parametrize("value", NO_IDS)
    def test_without_an_id_it_is_kept_under_its_hash(self, path: str, value: object) -> None:
        body = changed(PAID, **of_item({path: value}))
        (part,) = TEST.parse(body, {})
        assert part == strict.unreadable(body, str(part.quarantine_reason))
        assert str(part.quarantine_reason).startswith("unparsable")

    def test_a_colon_where_it_would_be_ambiguous(self) -> None:
        # Both are signed as one text: ...:Gym0001:membership:8900:USD:AUTHORISATION:100:USD:AUTHORISATION:true
        real = {"merchantReference": "membership:8900:USD:AUTHORISATION", "amount__value": 100}
        forged = {
            "merchantReference": "membership",
            "amount__value": 8900,
            "eventCode": "AUTHORISATION:100:USD:AUTHORISATION",
        }
        one, other = (TEST.sign(changed(PAID, **of_item(changes)), NOW).body for changes in (real, forged))
        signatures = [json.loads(body)["notificationItems"][0] for body in (one, other)]
        assert len({item["NotificationRequestItem"]["additionalData"]["hmacSignature"] for item in signatures}) == 1
        assert [part.quarantine_reason for part in TEST.parse(one, {})] == [None]
        for path in SIGNED:
            (part,) = TEST.parse(changed(PAID, **of_item({path: "a:b"})), {})
            assert ("colon" in str(part.quarantine_reason)) == (path != "merchantReference"), path
        assert "colon" in str(TEST.parse(other, {})[0].quarantine_reason)

    def test_a_batch_as_deep_as_can_be_read(self) -> None:
        # Writing takes a little more of the stack than reading.
        for depth in range(850, 1_000):
            deep = b'"reason": ' + b"[" * depth + b"]" * depth
            body = BATCH.replace(b'"reason": ""', deep)
            assert all(part.quarantine_reason or part.body != body for part in TEST.parse(body, {}))

    def test_what_is_more_than_one_item_means_nothing(self) -> None:
        for body in (BATCH, changed(BATCH, notificationItems=[]), changed(BATCH, notificationItems=[7])):
            with pytest.raises(Unusable, match="not one item"):
                TEST.interpret("AUTHORISATION", body)
            assert not TEST.same_content(body, body)

    def test_what_has_no_items(self) -> None:
        for body in (b"{}", b'{"notificationItems": []}', b'{"notificationItems": {}}', b"[]", b"\xff", b""):
            assert TEST.parse(body, {}) == [strict.unreadable(body, "unparsable: no notificationItems")]
            assert isinstance(TEST.verify(body, {}, NOW), Invalid)


class TestRedeliveries:
    UNSIGNED: ClassVar[dict[str, Any]] = {
        "reason": "other", "additionalData": {"shopperReference": "s-2"}, "paymentMethod": "mc", "operations": [1],
    }  # fmt: skip

    @pytest.mark.parametrize("body", [PAID, RECORDED["chargeback"]])
    def test_unsigned_values_may_come_later_or_differently(self, body: bytes) -> None:
        assert TEST.same_content(body, changed(body, **of_item(self.UNSIGNED)))
        other_key = endpoint("adyen", OTHER_KEY)
        assert TEST.same_content(TEST.sign(body, NOW).body, other_key.sign(body, NOW).body)

    @pytest.mark.parametrize("path", SIGNED)
    def test_signed_values_may_not(self, path: str) -> None:
        assert not TEST.same_content(PAID, changed(PAID, **of_item({path: "other"})))

    def test_what_cannot_be_read_is_like_nothing_else(self) -> None:
        assert not TEST.same_content(b"{", b"[")

    def test_live_may_not(self) -> None:
        assert not TEST.same_content(PAID, changed(PAID, live="true"))

    @pytest.mark.parametrize("name", RECORDED)
    def test_told_again_at_another_time(self, name: str) -> None:
        body = TEST.parse(RECORDED[name], {})[-1].body
        later = changed(body, **of_item({"eventDate": "2027-01-01T09:00:00+01:00"}))
        latest_word_counts = name.upper() in Adyen.meanings.keys() - {"AUTHORISATION"} or name == "batch"
        assert TEST.same_content(body, later) is not latest_word_counts


class TestSignature:
    def verdict(self, body: bytes, headers: dict[str, str] | None = None, *secrets: str) -> Verdict:
        return endpoint("adyen", *(secrets or [KEY])).verify(body, received(headers or {}), NOW)

    def refused(self, body: bytes, headers: dict[str, str] | None = None, *secrets: str) -> None:
        assert isinstance(self.verdict(body, headers, *secrets), Invalid), body[:500]

    @pytest.mark.parametrize("name", RECORDED)
    def test_good(self, name: str) -> None:
        body, headers = TEST.sign(RECORDED[name], NOW)
        assert headers == {}
        assert self.verdict(body) is None
        self.refused(RECORDED[name])

    def test_wrong_secret(self) -> None:
        body = endpoint("adyen", OTHER_KEY).sign(PAID, NOW).body
        assert self.verdict(body, {}, OTHER_KEY) is None
        self.refused(body)

    def test_rotated(self) -> None:
        for key in (KEY, OTHER_KEY):
            assert self.verdict(endpoint("adyen", key).sign(PAID, NOW).body, {}, KEY, OTHER_KEY) is None
            assert self.verdict(endpoint("adyen", key.lower()).sign(PAID, NOW).body, {}, OTHER_KEY, KEY) is None

    def test_nothing_is_dated(self) -> None:
        # A years-old replay is authentic; its id and its age stop it.
        assert TEST.sign(PAID, NOW) == TEST.sign(PAID, 1)

    def test_every_item_of_a_batch_has_to_be_authentic(self) -> None:
        signed = TEST.sign(BATCH, NOW).body
        signatures = [
            item["NotificationRequestItem"]["additionalData"]["hmacSignature"]
            for item in json.loads(signed)["notificationItems"]
        ]
        assert signatures[0] != signatures[1]
        for place in (0, 1):
            for forged in (signatures[1 - place], "", None, 7, ..., [signatures[place]]):
                self.refused(changed(signed, **of_item({"additionalData__hmacSignature": forged}, place)))
            self.refused(changed(signed, **of_item({"amount__value": 1}, place)))
            garbages: list[object] = [None, 7, {}, [], {"NotificationRequestItem": []}]
            for garbage in garbages:
                self.refused(changed(signed, **{f"notificationItems__{place}": garbage}))

    @pytest.mark.parametrize("path", SIGNED)
    @pytest.mark.parametrize("value", ["other", 1, 1.5, True, ["x"], {"x": 1}, 10**400, "\ud800"])
    def test_signed_values_touched(self, path: str, value: object) -> None:
        self.refused(changed(TEST.sign(PAID, NOW).body, **of_item({path: value})))

    @pytest.mark.parametrize("strange", [True, 8900.0, ["x"], {"x": 1}])
    @pytest.mark.parametrize("path", SIGNED)
    def test_a_signature_over_how_python_writes_something(self, path: str, strange: object) -> None:
        signed = TEST.sign(changed(PAID, **of_item({path: str(strange)})), NOW).body
        assert self.verdict(signed) is None
        self.refused(changed(signed, **of_item({path: strange})))

    def test_body_touched(self) -> None:
        body = TEST.sign(PAID, NOW).body
        signed = self.signed_values(body)
        for end in range(len(body)):
            self.refused(body[:end])
        for place in range(len(body)):
            touched = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
            if self.verdict(touched) is None:
                assert self.signed_values(touched) == signed, touched

    def signed_values(self, body: bytes) -> list[object]:
        item = json.loads(body)["notificationItems"][0]["NotificationRequestItem"]
        return [item["amount"], *(item.get(path) for path in SIGNED if "__" not in path)]

    def test_body_serialised_again(self) -> None:
        body = TEST.sign(changed(PAID, **of_item({"merchantReference": "Größe:ñ\\:💪"})), NOW).body
        for again in (json.dumps(json.loads(body), ensure_ascii=False), json.dumps(json.loads(body), indent=4)):
            assert self.verdict(again.encode()) is None

    def test_signature_touched(self) -> None:
        signed = TEST.sign(PAID, NOW).body
        signature = json.loads(signed)["notificationItems"][0]["NotificationRequestItem"]["additionalData"][
            "hmacSignature"
        ]
        for place in range(len(signature)):
            wrong = "A" if signature[place] != "A" else "B"
            for touched in (signature[:place] + wrong + signature[place + 1 :], signature[:place]):
                self.refused(changed(signed, **of_item({"additionalData__hmacSignature": touched})))
        for strange in (signature + " ", signature * 2, f"{signature},{signature}", "é", "\ud800", "ÿ" * 10_000):
            self.refused(changed(signed, **of_item({"additionalData__hmacSignature": strange})))

    def test_hostile_bodies_raise_nothing(self) -> None:
        for spoil in HOSTILE.values():
            inside = PAID.strip().removeprefix(b"{").removesuffix(b"}")
            self.refused(spoil(inside))

    def test_other_webhooks_are_none_of_ours(self) -> None:
        self.refused(b'{"type": "ach.notificationOfChange", "environment": "test", "data": {}}')

    @given(st.binary(max_size=300), HEADER)
    def test_random_deliveries_are_refused_and_raise_nothing(self, body: bytes, header: str) -> None:
        self.refused(body, {"Authorization": header}, KEY, "user:password")
        assert TEST.parse(body, {})

    @pytest.mark.parametrize(
        "content", ["", "{", "[]", "{}", '{"notificationItems": 7}', '{"notificationItems": [7, {"x": 1}]}']
    )
    def test_what_cannot_be_signed_is_delivered_as_it_is(self, content: str) -> None:
        assert TEST.sign(content.encode(), NOW) == Delivery(content.encode(), {})


class TestBasicCredentials:
    SECRETS = (KEY, "user:pass:wörd", "old:one")
    ON = endpoint("adyen", *SECRETS)

    def verdict(self, authorization: str | None) -> Verdict:
        headers = {} if authorization is None else {"Authorization": authorization}
        return self.ON.verify(TEST.sign(PAID, NOW).body, received(headers), NOW)

    def basic(self, credentials: str, scheme: str = "Basic") -> str:
        return f"{scheme} {base64.b64encode(credentials.encode()).decode()}"

    def test_good(self) -> None:
        delivery = self.ON.sign(PAID, NOW)
        assert delivery.headers == {"Authorization": self.basic("user:pass:wörd")}
        assert delivery.body == TEST.sign(PAID, NOW).body
        for header in ("Authorization", "authorization", "AUTHORIZATION"):
            assert self.ON.verify(delivery.body, received({header: delivery.headers["Authorization"]}), NOW) is None
        for given_ in (self.basic("old:one"), self.basic("old:one", "basic")):
            assert self.verdict(given_) is None

    @pytest.mark.parametrize("credentials", ["", ":", "user", "user:", "user:pass", "other:one", "old:one ", "OLD:one"])
    def test_wrong(self, credentials: str) -> None:
        assert isinstance(self.verdict(self.basic(credentials)), Invalid)

    def test_missing_or_strange(self) -> None:
        good = self.basic("old:one")
        for header in (
            None,
            "",
            " ",
            "Basic",
            "Basic ",
            "é",
            good[6:],
            f"{good},{good}",
            good + "=",
            f"Bearer {good[6:]}",
        ):
            assert isinstance(self.verdict(header), Invalid), header

    def test_they_are_not_enough(self) -> None:
        good = {"Authorization": self.basic("old:one")}
        for body in (PAID, endpoint("adyen", OTHER_KEY).sign(PAID, NOW).body):
            assert isinstance(self.ON.verify(body, received(good), NOW), Invalid)

    def test_where_none_are_set_none_are_asked_for(self) -> None:
        body = TEST.sign(PAID, NOW).body
        for headers in ({}, {"Authorization": self.basic("any:one")}):
            assert TEST.verify(body, received(headers), NOW) is None


class TestSettings:
    @pytest.mark.parametrize(
        "secrets",
        [("",), (KEY, ""), ("user:password",), ("not-hex",), (KEY[:-1],), (KEY, "xyz"), ("é" * 4,), ("0x" + KEY,)],
    )
    def test_no_hmac_key(self, secrets: Sequence[str]) -> None:
        with pytest.raises(SettingsError, match=r"put the webhook's HMAC key.*SPP_SECRET_ADYEN"):
            endpoint("adyen", *secrets)

    @pytest.mark.parametrize("credentials", [":", "user:", ":password", "::"])
    def test_no_credentials(self, credentials: str) -> None:
        with pytest.raises(SettingsError, match="user:password"):
            endpoint("adyen", KEY, credentials)

    def test_options(self) -> None:
        for capture in ("Manual", "", "delayed"):
            with pytest.raises(SettingsError, match="set capture=auto or capture=manual"):
                endpoint("adyen", KEY, capture=capture)
        with pytest.raises(SettingsError, match="has the options: capture"):
            endpoint("adyen", KEY, api="http://localhost")


class TestSamples:
    """What a local trial posts."""

    def told(self, name: str, on: Processor) -> list[Fact]:
        facts: list[Fact] = []
        now = datetime.fromtimestamp(NOW, UTC)
        account = on.endpoint.account
        made = samples.sample("adyen", name, reference="sub_1", number="0001", now=now, account=account)
        for content, api in made:
            delivery = on.sign(content, NOW)
            assert on.verify(delivery.body, received(delivery.headers), NOW) is None
            assert not api
            for part in on.parse(delivery.body, received(delivery.headers)):
                assert part.quarantine_reason is None
                try:
                    facts += on.interpret(part.type, part.body)
                except Ignored:
                    continue
        return facts

    @pytest.mark.parametrize("on", [TEST, endpoint("adyen", KEY, "user:password", account="Gym0001")])
    @pytest.mark.parametrize("name", samples.NAMES)
    def test_each(self, name: str, on: Processor) -> None:
        paid, *changes = self.told(name, on)
        place = {"paid": 0, "disputed": 2}.get(name, 1)
        assert paid == Paid(
            "PAY0001",
            datetime.fromtimestamp(NOW, UTC) - timedelta(seconds=place),
            8900,
            "USD",
            ("sub_1", "shopper-0001"),
        )
        assert all(isinstance(change, Reversed) for change in changes)
        (owed,) = entitlement([paid, *changes], [Terms(1, 10, 0)])
        assert owed.reversed == (0 if name == "paid" else 10)
