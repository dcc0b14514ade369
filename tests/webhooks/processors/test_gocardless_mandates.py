"""Mandates that are replaced, and billing requests: whose a GoCardless payment is where it does not say so itself."""

from itertools import permutations

import pytest

from models.payments.facts import Paid, Replaced
from models.payments.money_back import payment_of
from tests.webhooks.processors.test_gocardless import CONFIRMED, RECORDED, at, meaning
from webhooks.processors import Ignored, NotYet, Unusable

REPLACED, FULFILLED = RECORDED["mandate_replaced"], RECORDED["billing_request_fulfilled"]


class TestReplaced:
    def test_the_new_mandate_stands_for_the_old(self) -> None:
        assert meaning(REPLACED) == [Replaced("MDGym0001", at("2026-11-14T06:00:00"), "MDGym0002")]

    @pytest.mark.parametrize("link", ["mandate", "new_mandate"])
    @pytest.mark.parametrize("value", [None, "", "MD 1", 7, ["MD1"], ...])
    def test_of_no_mandate(self, link: str, value: object) -> None:
        with pytest.raises(Unusable, match="mandate"):
            meaning(REPLACED, **{f"links__{link}": value})


class TestBillingRequest:
    MADE = at("2026-11-01T08:59:40")

    def test_its_payment_is_of_what_it_made(self) -> None:
        assert meaning(FULFILLED) == [Paid("PMGym0001", self.MADE, 8900, "GBP", ("MDGym0001",), ("CUGym0001",))]

    def test_the_subscription_is_the_closest(self) -> None:
        (paid,) = meaning(
            FULFILLED, {"links__subscription_request_subscription": "SB2", "payment__links__mandate": "MDInstant"}
        )
        assert isinstance(paid, Paid)
        assert paid.billing_references == ("SB2", "MDGym0001", "MDInstant")

    def test_it_counts_and_not_the_confirmation_that_names_nobody(self) -> None:
        confirmed = meaning(CONFIRMED, {"links": {"creditor": "CRGym0001"}, "currency": "GBP"})
        for facts in permutations([*meaning(FULFILLED), *confirmed]):
            paid = payment_of(facts)
            assert paid is not None
            assert paid.payer == ("CUGym0001",)

    def test_a_payment_that_names_its_mandate_counts_by_its_own_events(self) -> None:
        with pytest.raises(Ignored, match="same money"):
            meaning(FULFILLED, {"payment__links__mandate": "MDGym0001"})

    @pytest.mark.parametrize("payment", [None, {}, ...])
    def test_of_no_payment(self, payment: object) -> None:
        with pytest.raises(Ignored, match="for no payment"):
            meaning(FULFILLED, {"payment": payment})

    @pytest.mark.parametrize("status", ["pending_submission", "submitted", "", None])
    def test_not_collected_yet(self, status: object) -> None:
        with pytest.raises(NotYet, match="GoCardless says that the payment is"):
            meaning(FULFILLED, {"payment__status": status})

    @pytest.mark.parametrize("status", ["failed", "cancelled", "customer_approval_denied"])
    def test_never_collected(self, status: str) -> None:
        with pytest.raises(Ignored, match="nothing was collected"):
            meaning(FULFILLED, {"payment__status": status})

    @pytest.mark.parametrize("status", ["paid_out", "charged_back"])
    def test_collected_before(self, status: str) -> None:
        assert meaning(FULFILLED, {"payment__status": status}) == meaning(FULFILLED)
