"""What Authorize.Net's API lists of settled batches, as events of our own."""

import json
from itertools import permutations
from typing import Any

import pytest

from models.payments.facts import Fact, Paid, Restored, Reversed
from tests.models.payments.entitled import Terms, entitlement
from tests.webhooks.deliveries import changed, endpoint
from tests.webhooks.processors.test_authorize_net import CHARGEBACK, CHARGED_IN_PLACE, KEY, MEMBER, TEST, at, meaning
from webhooks.processors import Ignored, NotYet, Processor, Unusable


def history(status: str, details: dict[str, Any] | None = None, on: Processor = TEST, **changes: object) -> list[Fact]:
    """What a transaction of that status means that the API lists in a batch, changed; or by these details."""
    payload = {
        "id": "60020980001",
        "submitTimeUTC": "2026-11-01T10:00:09Z",
        "settleAmount": "89.00",
        "subscription": {"id": 4415473, "payNum": 3},
        "profile": {"customerProfileId": "1811467160"},
    }
    kind = f"transaction_listed.{status}"
    event = {"eventType": kind, "eventDate": "2026-11-08T04:10:00Z", "payload": payload}
    fetched = None if details is None else json.dumps({"transId": "60020980001"} | details).encode()
    return on.interpret(kind, changed(json.dumps(event).encode(), **changes), fetched)


SETTLED_AT = at(8, "04:10:00")
REFERRING = {"refTransId": "60020980000", "settleAmount": "89.00"}
IN_PLACE = {"settleAmount": "89.00"}


class TestListed:
    """What no notification told is found in the lists of settled batches."""

    def test_a_payment_is_the_one_that_the_notification_told(self) -> None:
        (paid,) = history("settledSuccessfully")
        assert paid == Paid("60020980001", at(1, "10:00:09"), 8900, "USD", *MEMBER)
        (told,) = meaning("authcapture_created")
        for order in permutations([paid, told]):
            (owed,) = entitlement(order, [Terms(1, 8, 0)])
            assert (owed.quantity, owed.reversed) == (8, 0)

    @pytest.mark.parametrize(
        ("status", "details", "fact"),
        [
            ("failedReview", None, Reversed("60020980001", SETTLED_AT, "void:60020980001")),
            ("voided", IN_PLACE, Reversed("60020980001", SETTLED_AT, "void:60020980001")),
            (
                "voided",
                REFERRING | {"transactionType": "refundTransaction"},
                Restored("60020980000", SETTLED_AT, "refund:60020980001"),
            ),
            (
                "refundSettledSuccessfully",
                REFERRING | {"settleAmount": "30.00"},
                Reversed("60020980000", SETTLED_AT, "refund:60020980001", 3000, "USD"),
            ),
            ("returnedItem", REFERRING, Reversed("60020980000", SETTLED_AT, "return:60020980001", 8900, "USD")),
            (
                "returnedItem",
                {"refTransId": "60020980000"},
                Reversed("60020980000", SETTLED_AT, "return:60020980001", None, "USD"),
            ),
            ("chargeback", REFERRING, Reversed("60020980000", SETTLED_AT, CHARGEBACK, 8900, "USD")),
            ("chargeback", IN_PLACE, Reversed("60020980001", SETTLED_AT, CHARGED_IN_PLACE, 8900, "USD")),
            ("chargebackReversal", REFERRING, Restored("60020980000", SETTLED_AT, CHARGEBACK, 8900, "USD")),
            ("chargebackReversal", IN_PLACE, Restored("60020980001", SETTLED_AT, CHARGED_IN_PLACE, 8900, "USD")),
        ],
    )
    def test_what_takes_back_or_restores(self, status: str, details: dict[str, Any] | None, fact: Fact) -> None:
        assert history(status, details) == [fact]

    @pytest.mark.parametrize(
        "status",
        [
            *("declined", "expired", "generalError", "communicationError", "settlementError", "underReview", "None"),
            *("authorizedPendingCapture", "capturedPendingSettlement", "FDSPendingReview", "new"),
        ],
    )
    def test_other_statuses_say_nothing(self, status: str) -> None:
        with pytest.raises(Ignored, match="nothing about dues"):
            history(status)

    def test_a_failed_batch_takes_nothing_back(self) -> None:
        with pytest.raises(Ignored, match=r"failed to settle: have Authorize\.Net reset it"):
            TEST.interpret("batch_failed", b'{"payload": {"id": "1"}}')

    @pytest.mark.parametrize(
        ("notified", "told", "reversed_"),
        [
            ("refund_created", ("refundSettledSuccessfully", REFERRING | {"settleAmount": "30.00"}), 2),
            ("void_created", ("voided", IN_PLACE), 8),
        ],
    )
    def test_what_was_notified_as_well_counts_once(
        self, notified: str, told: tuple[str, dict[str, Any]], reversed_: int
    ) -> None:
        (first,) = meaning(notified)
        assert isinstance(first, Reversed)
        details = told[1] | {"transId": first.cause.partition(":")[2], "refTransId": "60020980001"}
        again = history(told[0], details, payload__id=details["transId"])
        (owed,) = entitlement([*meaning("authcapture_created"), first, *again], [Terms(1, 8, 0)])
        assert owed.reversed == reversed_

    def test_chargebacks_add_up_and_a_reversal_undoes_as_much_as_came_back(self) -> None:
        def told(status: str, number: int, amount: str) -> list[Fact]:
            details = {"refTransId": "60020980001", "transId": str(number), "settleAmount": amount}
            return history(status, details, payload__id=str(number))

        paid = meaning("authcapture_created")
        both = told("chargeback", 11, "44.50"), told("chargeback", 12, "22.25")
        undone = told("chargebackReversal", 13, "22.25")
        for facts, reversed_ in (([*paid, *both[0], *both[1]], 6), ([*undone, *both[0], *both[1], *paid], 4)):
            (owed,) = entitlement(facts, [Terms(1, 8, 0)])
            assert owed.reversed == reversed_

    def test_a_capture_that_the_api_does_not_tell_of_yet_is_waited_for(self) -> None:
        with pytest.raises(NotYet, match="still to be captured"):
            meaning("prior_auth_capture_created", details={"transactionStatus": "authorizedPendingCapture"})

    def test_a_refund_that_was_voided_is_restored_after_it_was_notified(self) -> None:
        details = {"transactionType": "refundTransaction", "refTransId": "60020980001", "transId": "60020980006"}
        voided = history("voided", details, payload__id="60020980006")
        paid, refunded = meaning("authcapture_created"), meaning("refund_created")
        (owed,) = entitlement([*paid, *refunded, *voided], [Terms(1, 8, 0)])
        assert owed.reversed == 0

    @pytest.mark.parametrize("payment", [None, "", "0"])
    @pytest.mark.parametrize("status", ["refundSettledSuccessfully", "returnedItem"])
    def test_what_refers_to_no_payment(self, status: str, payment: object) -> None:
        with pytest.raises(Unusable, match="names no payment"):
            history(status, {"refTransId": payment, "settleAmount": "89.00"})

    @pytest.mark.parametrize("status", ["voided", "refundSettledSuccessfully", "returnedItem", "chargeback"])
    def test_without_its_details(self, status: str) -> None:
        with pytest.raises(Unusable, match="not this transaction's"):
            history(status)

    @pytest.mark.parametrize("amount", ["1e3", -89.0, True, None, "", 89.005, ...])
    def test_what_is_no_amount(self, amount: object) -> None:
        with pytest.raises(Unusable, match="settleAmount"):
            history("settledSuccessfully", payload__settleAmount=amount)

    @pytest.mark.parametrize("time", [None, "", "2026-11-01T10:00:09", 1793527205, ...])
    def test_what_is_no_time(self, time: object) -> None:
        with pytest.raises(Unusable, match="submitTimeUTC"):
            history("settledSuccessfully", payload__submitTimeUTC=time)
        with pytest.raises(Unusable, match="eventDate"):
            history("failedReview", eventDate=time)

    def test_what_is_no_dues(self) -> None:
        with pytest.raises(Ignored, match="zero amount"):
            history("settledSuccessfully", payload__settleAmount="0.00")
        with pytest.raises(Ignored, match="names nobody"):
            history("settledSuccessfully", payload__subscription=None, payload__profile=None)

    def test_in_the_endpoints_currency(self) -> None:
        (paid,) = history("settledSuccessfully", on=endpoint("authorize_net", KEY, currency="CAD"))
        assert isinstance(paid, Paid)
        assert paid.currency == "CAD"
