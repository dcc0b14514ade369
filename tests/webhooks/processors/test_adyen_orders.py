"""Adyen's payments that come in parts: orders paid by several means, and several captures."""

import itertools
from typing import Any

import pytest

from models.payments.facts import Fact, Linked, Paid, Restored, Reversed
from tests.models.payments.entitled import Terms, entitlement
from tests.webhooks.deliveries import changed
from tests.webhooks.processors.test_adyen import (
    CAPTURE,
    CREDITS,
    MANUAL,
    PAID,
    PAYMENT,
    RECORDED,
    TEST,
    at,
    meaning,
    of_item,
)
from webhooks.processors import Ignored, Processor, Unusable
from webhooks.processors.adyen_meaning import MOST_PARTS
from webhooks.processors.events import Payer

GIFT, CLOSED = RECORDED["authorisation_of_order"], RECORDED["order_closed"]
ORDER, GIFT_CARD, CARD = "PGYM0001ORD00001", "PGYM0001GIFT0001", "PGYM0001CARD0001"
WHO = ("membership-Gym0001", "shopper-Gym0001")
CLOSED_AT = at("2026-11-01").replace(minute=1)
LINKS = [Linked(ORDER, CLOSED_AT, GIFT_CARD), Linked(ORDER, CLOSED_AT, CARD)]


class TestOrder:
    def test_each_payment_of_it_is_a_part_of_the_order(self) -> None:
        assert meaning(GIFT) == [
            Paid(GIFT_CARD, at("2026-11-01"), 2000, "USD", payer=WHO, part=GIFT_CARD),
            Linked(GIFT_CARD, at("2026-11-01"), ORDER),
        ]
        card, link = meaning(GIFT, pspReference=CARD, amount__value=6900)
        assert isinstance(card, Paid)
        assert (card.part, card.amount_minor) == (CARD, 6900)
        assert link == Linked(CARD, at("2026-11-01"), ORDER)

    @pytest.mark.parametrize("on", [TEST, MANUAL])
    def test_closed_it_names_its_payments(self, on: Processor) -> None:
        assert meaning(CLOSED, on) == LINKS

    @pytest.mark.parametrize("on", [TEST, MANUAL])
    def test_one_that_was_not_paid_in_full_gives_all_back(self, on: Processor) -> None:
        back = Reversed(ORDER, CLOSED_AT, f"cancellation:{ORDER}")
        assert meaning(CLOSED, on, success="false") == [*LINKS, back]
        assert meaning(CLOSED, on, success="false", additionalData={}) == [back]

    def test_a_payment_that_lists_the_others_is_one_with_them(self) -> None:
        data = {"order-1-pspReference": GIFT_CARD, "order-2-pspReference": PAYMENT, "order-2-paymentMethod": "visa"}
        assert meaning(PAID, additionalData=data)[1:] == [Linked(PAYMENT, at("2026-11-01"), GIFT_CARD)]

    def test_closed_without_a_list_it_says_nothing_new(self) -> None:
        for data in (None, {}, {"order-1-paymentMethod": "givex"}, {"order-x-pspReference": "P1"}):
            with pytest.raises(Ignored, match="the same money as the AUTHORISATION of each"):
                meaning(CLOSED, additionalData=data)

    @pytest.mark.parametrize("success", ["True", "yes", "", None])
    def test_neither_paid_nor_unpaid(self, success: object) -> None:
        if success:
            with pytest.raises(Unusable, match="success is"):
                meaning(CLOSED, success=success)
        else:
            assert TEST.parse(changed(CLOSED, **of_item({"success": success})), {})[0].quarantine_reason

    @pytest.mark.parametrize("name", ["P 1", 7, ["P1"], "x" * 256])
    def test_what_is_no_payment(self, name: object) -> None:
        for body in (GIFT, CLOSED):
            with pytest.raises(Unusable, match="pspReference is not an identifier"):
                meaning(body, additionalData={"order-pspReference": name})

    def test_more_payments_than_an_order_has(self) -> None:
        def listed(number: int) -> dict[str, Any]:
            return {f"order-{place}-pspReference": f"P{place}" for place in range(number)}

        assert len(meaning(CLOSED, additionalData=listed(MOST_PARTS))) == MOST_PARTS
        with pytest.raises(Unusable, match="more than 100 payments"):
            meaning(CLOSED, additionalData=listed(MOST_PARTS + 1))

    def test_a_repeat_at_another_time_is_the_same(self) -> None:
        again = changed(CLOSED, **of_item({"eventDate": "2026-11-02T09:00:00+01:00"}))
        assert TEST.same_content(CLOSED, again)
        assert TEST.parse(CLOSED, {})[0].event_id == TEST.parse(again, {})[0].event_id

    def test_with_manual_capture_the_authorisation_only_names_the_order(self) -> None:
        assert meaning(GIFT, MANUAL) == [Linked(GIFT_CARD, at("2026-11-01"), ORDER)]
        with pytest.raises(Ignored, match="with capture=manual CAPTURE follows"):
            meaning(PAID, MANUAL)


class TestCaptures:
    def test_each_is_a_part_of_the_authorisation(self) -> None:
        def capture(psp: str, value: int) -> list[Fact]:
            return meaning(RECORDED["capture"], MANUAL, pspReference=psp, amount__value=value)

        for psp, value in (("C1", 4000), ("C2", 4900)):
            paid, again = capture(psp, value)
            assert paid == Paid(PAYMENT, at("2026-11-02"), value, "USD", payer=WHO[:1], part=psp)
            assert again == Restored(PAYMENT, at("2026-11-02"), f"capture:{psp} of {PAYMENT}", value, "USD")

    def test_one_that_failed_names_its_part(self) -> None:
        (failed,) = meaning(RECORDED["capture_failed"], MANUAL)
        paid = meaning(RECORDED["capture"], MANUAL)[0]
        assert isinstance(failed, Reversed)
        assert isinstance(paid, Paid)
        assert failed.cause == CAPTURE == f"capture:{paid.part} of {PAYMENT}"

    def test_it_can_name_its_order(self) -> None:
        facts = meaning(RECORDED["capture"], MANUAL, additionalData={"order-pspReference": ORDER})
        assert facts[-1] == Linked(PAYMENT, at("2026-11-02"), ORDER)


def test_a_second_chargeback_is_final_whatever_the_times() -> None:
    times = {"authorisation": "08:00:00", "chargeback": "08:50:00", "chargeback_reversed": "08:49:57"}
    told = [
        meaning(RECORDED[name], eventDate=f"2026-11-22T{time}Z")
        for name, time in (times | {"second_chargeback": "08:49:55"}).items()
    ]
    for order in itertools.permutations(told):
        (owed,) = entitlement(list(itertools.chain(*order)), [Terms(1, 8, 0)])
        assert owed.reversed == 8


class TestPayer:
    @pytest.mark.parametrize(
        ("reference", "data"),
        [("", {"shopperReference": "Ann Ä."}), ("Dues of November", {}), (None, None), (..., ...)],
    )
    def test_it_names_nobody(self, reference: object, data: object) -> None:
        for body, on in CREDITS:
            with_key = changed(body, **of_item({"additionalData": None}))
            with pytest.raises(Ignored, match="names nobody"):
                meaning(with_key, on, merchantReference=reference, additionalData=data)

    def test_as_staff_see_it(self) -> None:
        data = {"cardHolderName": " Zoë Doe ", "shopperEmail": "zoe@example.com"}
        body = changed(PAID, **of_item({"additionalData": data}))
        expected = Payer("Zoë Doe", "zoe@example.com", "membership-Gym0001")
        assert TEST.payer_details("AUTHORISATION", body, None) == expected

    @pytest.mark.parametrize("data", [None, "text", 7, {"cardHolderName": 7, "shopperEmail": " "}])
    def test_where_nothing_is_said(self, data: object) -> None:
        body = changed(PAID, **of_item({"additionalData": data, "merchantReference": None}))
        assert TEST.payer_details("AUTHORISATION", body, None) is None

    @pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"{", b"[" * 100_000, b'{"notificationItems": [7]}'])
    def test_it_never_raises(self, body: bytes) -> None:
        assert TEST.payer_details("AUTHORISATION", body, None) is None
