import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from local import samples
from models.payments.facts import Fact, Linked, Paid, Restored, Reversed
from tests.models.payments.entitled import Terms, entitlement
from tests.webhooks.coded import CODE, Coded
from tests.webhooks.contract import HOSTILE, EventContract
from tests.webhooks.deliveries import NOW, changed, endpoint, received, recorded
from webhooks.processors import Ignored, Processor, Unusable, strict
from webhooks.processors.adyen import Adyen

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
    codes = (
        Coded("authorisation", f"{ITEM}additionalData__shopperReference", CODE),
        Coded("authorisation", f"{ITEM}merchantReference", CODE, f"{CODE}-2026-11"),
    )
    key = KEY.encode()
    varies: ClassVar[frozenset[str]] = frozenset(
        {
            *("additionalData", "hmacSignature", "reason", "paymentMethod", "eventDate"),
            *(
                "recurringProcessingModel",
                "authCode",
                "cardSummary",
                "expiryDate",
                "shopperReference",
                "modification.action",
            ),
            *("recurringProcessingModel", "recurring.shopperReference", "recurring.recurringDetailReference"),
            *("chargebackReasonCode", "chargebackSchemeCode", "disputeStatus"),
            *("order-pspReference", "order-merchantReference"),
            *(
                f"order-{n}-{of}"
                for n in (1, 2)
                for of in ("pspReference", "paymentAmount", "paymentMethod", "success")
            ),
        }
    )

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


PAID_FACT = Paid(PAYMENT, at("2026-11-01"), 8900, "USD", payer=("membership-Gym0001", "shopper-Gym0001"), part=PAYMENT)
CAPTURE = f"capture:PGYM0001CAP00001 of {PAYMENT}"
CAPTURED = Restored(PAYMENT, at("2026-11-02"), CAPTURE, 8900, "USD")
CAPTURE_PAID = Paid(PAYMENT, at("2026-11-02"), 8900, "USD", payer=("membership-Gym0001",), part="PGYM0001CAP00001")
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
        assert {name.upper() for name in (*MEANINGS, *BY_CAPTURE, "order_closed")} == Adyen.meanings.keys()

    @pytest.mark.parametrize(
        ("code", "why"),
        [
            *((code, "no money moved") for code in ("NOTIFICATION_OF_CHARGEBACK", "REQUEST_FOR_INFORMATION")),
            *((code, "no money moved") for code in ("NOTIFICATION_OF_FRAUD", "DISPUTE_DEFENSE_PERIOD_ENDED")),
            *(
                (code, "payout")
                for code in ("PAIDOUT_REVERSED", "PAYOUT_DECLINE", "PAYOUT_EXPIRE", "PAYOUT_THIRDPARTY")
            ),
            ("AUTORESCUE", "same money"),
            ("ORDER_OPENED", "its own AUTHORISATION"),
            ("RECURRING_CONTRACT", "nothing was paid"),
            ("REPORT_AVAILABLE", "a report"),
            ("VOID_PENDING_REFUND", "before it was made"),
            ("POSTPONED_REFUND", "no money went back yet"),
            ("REFUND_NOT_CLEARED", "no change"),
            ("DONATION", "no dues"),
            ("PROCESS_RETRY", "no money moved yet"),
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
            ("m-1", {"merchantOrderReference": "o-1", "shopperReference": "s-1"}, ("m-1", "o-1", "s-1")),
            ("m-1", {"order-merchantReference": "o-1"}, ("m-1", "o-1")),
        ],
    )
    def test_it_names_its_payer_and_no_subscription(
        self, reference: object, data: object, found: tuple[str, ...]
    ) -> None:
        for body, on in CREDITS:
            with_key = changed(body, **of_item({"additionalData": None}))
            paid = meaning(with_key, on, merchantReference=reference, additionalData=data)[0]
            assert isinstance(paid, Paid)
            assert (paid.billing_references, paid.payer) == ((), found)

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
            payer=("sub_1", "shopper-0001"),
            part="PAY0001",
        )
        assert all(isinstance(change, Reversed) for change in changes)
        (owed,) = entitlement([paid, *changes], [Terms(1, 10, 0)])
        assert owed.reversed == (0 if name == "paid" else 10)
