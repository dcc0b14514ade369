"""What Adyen's events mean: the tables of event codes, and how each code's item is read.

A merchantReference is free text that a merchant gives to each payment: it names no subscription, and often differs
from payment to payment. So it is a payer's reference, the first one because it is signed, and the shopper's follow. A
membership may be registered by any of them. A membership's code comes back in the shopper's reference, or begins the
merchant's (up to 80 characters, with a hyphen after it: /online-payments, `reference`; `shopperReference`: at least 3).

Every payment is a part that is named by its own pspReference (with manual capture, each capture by its own), so that
parts add up as soon as they are known to be one payment: several captures name the authorisation, and the payments of
an order (gift card and card) name the order, or ORDER_CLOSED lists them. That is unsigned: it joins payments, and
never makes one.
"""

import re
from datetime import datetime
from typing import ClassVar

from models.payments.facts import DuesFailed, Fact, Linked, Paid, Restored, Reversed
from webhooks.processors import claiming, payers, strict
from webhooks.processors.adyen_items import only_item, read
from webhooks.processors.base import Object, Processor
from webhooks.processors.events import Ignored, Payer, Unusable

PAYER = (
    "order-merchantReference", "merchantOrderReference",
    "shopperReference", "recurring.shopperReference", "tokenization.shopperReference",
)  # fmt: skip
"""Where additionalData has the merchant's reference of the order, and the shopper's: it depends on the webhook's
settings."""
ORDER = re.compile("order-(?:[0-9]{1,3}-)?pspReference")
"""Where additionalData names the order of a payment, or the payments of an order."""
MOST_PARTS = 100
"""Of one order."""
DISPUTE, SECOND_STAGE = "dispute:{}", "dispute:{}:second"
"""Causes, with the pspReference filled in. What undid the first stage of a dispute does not undo the second."""

WITHOUT_SHOPPER = {"Subscription", "UnscheduledCardOnFile"}
"""Values of `recurringProcessingModel`: the merchant charges a stored card while the shopper is not there."""

_Change = type[Reversed | Restored]


class Meaning(Processor):
    """The meaning of Adyen's items, and nothing of how they come."""

    readings: ClassVar = {
        "AUTHORISATION": "authorised",
        "CAPTURE": ("part", Restored, "capture"),
        "CAPTURE_FAILED": ("part", Reversed, "capture"),
        "SETTLED_REVERSED": ("part", Reversed, "settlement"),
        "CANCELLATION TECHNICAL_CANCEL": "cancelled",
        "EXPIRE": "expired",
        "ORDER_CLOSED": "order_closed",
        "CANCEL_OR_REFUND": "cancelled_or_refunded",
        "REFUND REFUND_WITH_DATA": ("change", Reversed, "refund:{}"),
        "REFUND_FAILED REFUNDED_REVERSED": ("change", Restored, "refund:{}"),
        "CHARGEBACK": ("change", Reversed, DISPUTE),
        "CHARGEBACK_REVERSED": ("change", Restored, DISPUTE),
        "SECOND_CHARGEBACK PREARBITRATION_LOST": ("change", Reversed, SECOND_STAGE),
        "PREARBITRATION_WON": "dispute_won",
    }
    ignored_with_manual_capture: ClassVar = {"AUTHORISATION", "CANCELLATION", "TECHNICAL_CANCEL", "EXPIRE"}
    """Nothing was credited before CAPTURE, so there is nothing to take back."""
    requests: ClassVar = {
        "AUTHORISATION", "CAPTURE", "CANCELLATION", "TECHNICAL_CANCEL", "CANCEL_OR_REFUND", "REFUND",
        "REFUND_WITH_DATA",
    }  # fmt: skip
    """Events of a request, which can fail; of all others `success` is true."""
    ignored: ClassVar = {
        "no money moved: with capture=manual CAPTURE follows when it does": " ".join(ignored_with_manual_capture),
        "no money moved: only what is reserved changed": "AUTHORISATION_ADJUSTMENT",
        "the same money as the AUTHORISATION of the attempt that succeeded": "AUTORESCUE",
        "no money moved: no further attempt will be made": "CANCEL_AUTORESCUE",
        "no money moved: CHARGEBACK, SECOND_CHARGEBACK or CHARGEBACK_REVERSED follows when it does": """
            DISPUTE_DEFENSE_PERIOD_ENDED INFORMATION_SUPPLIED ISSUER_COMMENTS ISSUER_RESPONSE_TIMEFRAME_EXPIRED
            NOTIFICATION_OF_CHARGEBACK NOTIFICATION_OF_FRAUD PREARBITRATION_ACCEPTED PREARBITRATION_DECLINED
            PREARBITRATION_ISSUER_WITHDRAWN PREARBITRATION_OPEN REQUEST_FOR_INFORMATION SCHEME_ARBITRATION
            SCHEME_ARBITRATION_LOST SCHEME_ARBITRATION_WON""",
        "no money moved: a risk review": "MANUAL_REVIEW_ACCEPT",
        "no money moved: a risk review; a cancellation follows where it has an effect": "MANUAL_REVIEW_REJECT",
        "a failed attempt: no money moved": "OFFER_CLOSED",
        "no money moved yet: AUTHORISATION follows when it does": "AUTORESCUE_NEXT_ATTEMPT PENDING PROCESS_RETRY",
        "a gift to a charity: no dues": "DONATION",
        "a check of the shopper: no money moved": "AUTHENTICATION FRAUD_ONLY",
        "no money moved: each of its parts has its own AUTHORISATION": "ORDER_OPENED",
        "a payout, no payment of dues": "PAIDOUT_REVERSED PAYOUT_DECLINE PAYOUT_EXPIRE PAYOUT_THIRDPARTY",
        "no money went back yet: REFUND follows when it does": "POSTPONED_REFUND",
        "a stored card or bank account: nothing was paid": "DISABLE_RECURRING RECURRING_CONTRACT",
        "the member has the money of the refund: no change": "REFUND_NOT_CLEARED",
        "a report, no payment of dues": "REPORT_AVAILABLE",
        "a refund was called off before it was made: no money moved": "VOID_PENDING_REFUND",
    }
    about_money = ("",)

    def details(self, type: str, event: Object, resource: bytes | None) -> tuple[Object, datetime]:
        """The item and its date. Raises Ignored for a request that failed."""
        item = only_item(event)
        success = item.get("success")
        failed = type in self.requests or self.is_unknown(type)
        if success == "false" and failed and not (type == "AUTHORISATION" and _is_recurring(item)):
            raise Ignored("a failed attempt: no money moved")
        if success != "true" and not (success == "false" and type in {"ORDER_CLOSED", "AUTHORISATION"}):
            raise Unusable(f"success is {success!r:.60}, which {type} cannot have")
        return item, strict.iso_time(item, "eventDate")

    def named_payment(self, item: Object, at: datetime) -> tuple[str | None, datetime]:
        """The payment that the item refers to; whatever has a new name may be about money."""
        return strict.optional_name(item, "originalReference"), at

    def authorised(self, item: Object, at: datetime) -> list[Fact]:
        """A payment, with automatic capture; or dues that could not be charged."""
        if item["success"] == "false":
            return [self._owed(item, at)]
        payment = strict.name(item, "pspReference")
        return [self._paid(item, payment, at), *_links(item, payment, at)]

    def reserved(self, item: Object, at: datetime) -> list[Fact]:
        """Of a payment with manual capture, only the order that it belongs to. Raises Ignored where there is none.

        Dues that could not be charged are owed all the same.
        """
        if item["success"] == "false":
            return [self._owed(item, at)]
        if not (links := _links(item, strict.name(item, "pspReference"), at)):
            raise Ignored(self.reasons["AUTHORISATION"])
        return links

    def captured(self, item: Object, at: datetime) -> list[Fact]:
        """A payment with manual capture, or a part of one. The same capture after a failure succeeded after all."""
        payment = _payment(item)
        paid = self._paid(item, payment, at)
        return [paid, *self.part(Restored, "capture", item, at), *_links(item, payment, at)]

    def order_closed(self, item: Object, at: datetime) -> list[Fact]:
        """The payments that the order is made of; of an order that was not paid in full, Adyen gives all back.

        Source: Adyen/adyen-magento2 pull 1772.
        """
        order = strict.name(item, "pspReference")
        facts = _links(item, order, at)
        if item["success"] == "false":
            facts.append(Reversed(order, at, f"cancellation:{order}"))
        if not facts:
            raise Ignored("the same money as the AUTHORISATION of each of its parts")
        return facts

    def change(self, fact: _Change, cause: str, item: Object, at: datetime) -> list[Fact]:
        """Money that went or came back for a refund or dispute, which the pspReference identifies."""
        return [fact(_payment(item), at, cause.format(strict.name(item, "pspReference")), *self._amount(item))]

    def part(self, fact: _Change, family: str, item: Object, at: datetime) -> list[Fact]:
        """A capture that failed, or succeeded after all, perhaps under another pspReference than before."""
        payment = _payment(item)
        cause = f"{family}:{strict.name(item, 'pspReference')} of {payment}"
        return [fact(payment, at, cause, *self._amount(item))]

    def cancelled(self, item: Object, at: datetime) -> list[Fact]:
        """All of the payment went back."""
        payment = _payment(item)
        return [Reversed(payment, at, f"cancellation:{payment}")]

    def expired(self, item: Object, at: datetime) -> list[Fact]:
        """All of the payment, named as its own pspReference, whatever amount was authorised."""
        payment = strict.optional_name(item, "originalReference") or strict.name(item, "pspReference")
        return [Reversed(payment, at, f"cancellation:{payment}")]

    def cancelled_or_refunded(self, item: Object, at: datetime) -> list[Fact]:
        """All of the payment, whichever of the two it was: only additionalData says, unsigned."""
        return [Reversed(_payment(item), at, f"refund:{strict.name(item, 'pspReference')}")]

    def dispute_won(self, item: Object, at: datetime) -> list[Fact]:
        """All that the dispute took, in whichever stage, came back."""
        return [fact for cause in (DISPUTE, SECOND_STAGE) for fact in self.change(Restored, cause, item, at)]

    def _paid(self, item: Object, payment: str, at: datetime) -> Paid:
        part = strict.name(item, "pspReference")
        return payers.known(Paid(payment, at, *self._amount(item), payer=_payer(item), part=part))

    def _owed(self, item: Object, at: datetime) -> DuesFailed:
        """Dues that could not be charged. Another try is another payment."""
        amount, currency = self._amount(item)
        return payers.owing(
            DuesFailed(strict.name(item, "pspReference"), at, (), _payer(item), amount, currency, is_one_try=True)
        )

    def _amount(self, item: Object) -> tuple[int, str]:
        return strict.money(strict.mapping(item, "amount"), "value", theirs=self.digits)

    # Beside the facts

    def payer_details(self, type: str, body: bytes, resource: bytes | None = None) -> Payer | None:
        """The name on the card, the shopper's e-mail address, and the merchant's reference of the payment."""
        item = only_item(read(body))
        data = item.get("additionalData")
        details = data if isinstance(data, dict) else {}
        return payers.details(details.get("cardHolderName"), details.get("shopperEmail"), item.get("merchantReference"))


def _is_recurring(item: Object) -> bool:
    data = strict.mapping(item, "additionalData")
    how = str(data.get("recurringProcessingModel"))
    return how in WITHOUT_SHOPPER or data.get("shopperInteraction") == "ContAuth"


def _payer(item: Object) -> tuple[str, ...]:
    """Who pays. References are free text: one that could be no billing reference is left out."""
    data = strict.mapping(item, "additionalData")
    references = [item.get("merchantReference"), *map(data.get, PAYER)]
    if not all(isinstance(reference, str | None) for reference in references):
        raise Unusable("merchantReference or shopperReference is not text")
    named = [str(reference) for reference in references if strict.is_name(reference)]
    # Where each payment has a reference of its own that begins with a code, the code is what they have in common.
    return tuple(dict.fromkeys([*named, *filter(None, map(claiming.begins, named))]))


def _links(item: Object, payment: str, at: datetime) -> list[Fact]:
    """The payment is one with each payment or order that additionalData names."""
    data = strict.mapping(item, "additionalData")
    named = [strict.optional_name(data, key) for key in data if ORDER.fullmatch(key)]
    if len(named) > MOST_PARTS:
        raise Unusable(f"an order of more than {MOST_PARTS} payments")
    return [Linked(payment, at, other) for other in dict.fromkeys(named) if other not in {None, payment}]


def _payment(item: Object) -> str:
    payment = strict.optional_name(item, "originalReference")
    if payment is None:
        raise Unusable(
            "originalReference is missing, so it is not known of which payment; for disputes turn on 'Include the "
            "originalReference for CHARGEBACK_REVERSED events' in the webhook's additional settings, under Risk"
        )
    return payment
