"""What a sale, capture, refund or dispute means, as PayPal's API has it: the table at the head of paypal.py."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import ClassVar

from models.payments.facts import Fact, Restored, Reversed
from webhooks.processors import strict
from webhooks.processors.base import Object, Processor, dues
from webhooks.processors.events import Ignored, NotYet, Unusable

DOMAINS = {"live": "paypal.com", "test": "sandbox.paypal.com"}

FETCHED = ("PAYMENT.SALE.", "PAYMENT.CAPTURE.", "PAYMENT.REFUND.", "CUSTOMER.DISPUTE.")
"""Beginnings of the types whose resource is fetched; the resource then has the meaning, whatever the type says."""
WENT_BACK = (".REFUNDED", ".REVERSED")
"""Endings of the types that say that money went back."""

NEVER = {"denied", "declined", "failed", "voided", "expired"}
"""States of a payment that never moves money."""
PARTLY = "partially_refunded"
GONE = {"refunded", "reversed"}
"""States of a payment of which nothing is left."""

LOST = {"RESOLVED_BUYER_FAVOUR", "ACCEPTED"}
WON = {"RESOLVED_SELLER_FAVOUR", "CANCELED_BY_BUYER", "DENIED"}
"""Outcomes that count for a dispute without money movements; all others, such as PayPal's own payout, cost us nothing.
"""

PARENTS = ("/v2/checkout/orders", "/v1/payments/payment")
"""The places of a payment's order or parent payment, which lists its refunds."""


class Meaning(Processor):
    """The meaning of PayPal's events, and nothing of how they come."""

    readings: ClassVar = {
        "/v1/payments/sale /v1/payments/capture /v2/payments/captures": "payment",
        "/v1/payments/refund /v2/payments/refunds": "refund",
        "/v1/customer/disputes": "dispute",
    }
    """The place of a resource in the API -> what it means."""
    ignored: ClassVar = {
        "the same money as PAYMENT.SALE.COMPLETED, which credits": "PAYMENTS.PAYMENT.CREATED",
        "the same money as PAYMENT.CAPTURE.COMPLETED, which credits": "CHECKOUT.ORDER.COMPLETED",
        "no money moved yet: PAYMENT.CAPTURE.COMPLETED follows when it does": "CHECKOUT.ORDER.APPROVED",
        "no money moved yet: PAYMENT.SALE.COMPLETED follows when it does": "BILLING.SUBSCRIPTION.ACTIVATED",
        "a failed attempt: no money moved": "BILLING.SUBSCRIPTION.PAYMENT.FAILED",
        "the same dispute as CUSTOMER.DISPUTE.CREATED": "RISK.DISPUTE.CREATED",
    }

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """The event itself only says what to fetch: all meaning is the fetched resource's."""
        strict.loads(body)
        if not type.startswith(FETCHED):
            self.reading(type)
        if resource is None:
            raise Unusable("its resource was not fetched")
        found = strict.loads(resource)
        place = self.place_of(found, "self")
        if place is None:
            raise Unusable(f"what PayPal answers does not say that it is of {self.endpoint.mode} mode")
        return self.reading(place.rpartition("/")[0])(found, type)

    def payment(self, payment: Object, type: str) -> list[Fact]:
        """The dues; of a payment that went back, also what went back, as a running total beside its refunds."""
        self._check_merchant(strict.mapping(payment, "payee"))
        reference, state = strict.name(payment, "id"), state_of(payment)
        if state in NEVER:
            raise Ignored(f"the payment is {state}: no money moved")
        if state == "pending" and type.endswith(".PENDING"):
            raise Ignored("the payment is pending: another event follows when it is not")
        if state == "pending" or (state == "completed" and type.endswith(WENT_BACK)):
            raise NotYet(f"PayPal says that the payment is {state}, though the event says {type}")
        if state not in {"completed", PARTLY, *GONE}:
            raise Unusable(f"the payment is in a state that we do not know: {state[:60]}")
        amount, currency = _money(payment)
        billing = (payment.get("billing_agreement_id"), payment.get("custom_id"), payment.get("custom"))
        references = (str(each) for each in billing if strict.is_name(each))
        paid = dues(reference, strict.iso_time(payment, "create_time"), amount, currency, *references)
        if not paid.billing_references:
            raise Ignored("a single sale: it names no subscription and no custom id")
        if state == PARTLY and type.endswith(WENT_BACK):
            amount = _gone_of(payment, currency)
        elif state not in GONE:
            return [paid]
        return [paid, Reversed(reference, _updated(payment), "refund", amount, currency, running_total=True)]

    def refund(self, refund: Object, type: str) -> list[Fact]:
        """A refund that went through, or came to nothing."""
        state, own = state_of(refund), strict.name(refund, "id")
        up = self.place_of(refund, "up") or ""
        payment = (
            strict.optional_name(refund, "sale_id")
            or strict.optional_name(refund, "capture_id")
            or (up.rpartition("/")[2] if up.startswith("/v2/payments/captures/") else None)
        )
        if payment is None:
            raise Unusable("the refund names no payment")
        amount, currency = _money(refund, signed=True)  # in version 1 it may be negative
        if amount == 0:
            raise Ignored("zero amount: nothing went back")
        cause = f"refund:reversal {own} of {payment}" if type.endswith(".REVERSED") else f"refund:{own}"
        if state == "completed":
            return [Reversed(payment, strict.iso_time(refund, "create_time"), cause, amount, currency)]
        if state in {"failed", "cancelled"}:
            return [Restored(payment, _updated(refund), cause, amount, currency)]
        if state == "pending":
            raise NotYet("PayPal says that the refund is pending")
        raise Unusable(f"the refund is in a state that we do not know: {state[:60]}")

    def dispute(self, dispute: Object, type: str) -> list[Fact]:
        """What a dispute took from the seller, and what it gave back."""
        disputed = dispute.get("disputed_transactions")
        if not isinstance(disputed, list) or len(disputed) != 1 or not isinstance(disputed[0], dict):
            raise Unusable("the dispute is not about exactly one payment: adjust its sessions by hand")
        self._check_merchant(strict.mapping(disputed[0], "seller"))
        payment, at = strict.name(disputed[0], "seller_transaction_id"), _updated(dispute)
        status = str(dispute.get("status"))[:60]
        if type.endswith(".RESOLVED") and status != "RESOLVED":
            raise NotYet(f"PayPal says that the dispute is {status}, though the event says {type}")
        amount, currency = _money(dispute, "dispute_amount")
        taken, credited = _movements(dispute, amount, currency)
        if not taken and not credited:
            outcome = str(strict.mapping(dispute, "dispute_outcome").get("outcome_code"))
            taken, credited = amount * (outcome in LOST), amount * (outcome in WON)
        # Of one group with the payment's reversals, which are the same money.
        cause, facts = f"refund:dispute {strict.name(dispute, 'dispute_id')} of {payment}", list[Fact]()
        if taken:
            facts.append(Reversed(payment, at, cause, taken, currency, running_total=True))
        if credited:
            facts.append(Restored(payment, at, cause, credited, currency))
        if not facts:
            raise Ignored(f"the dispute is {status}: no money moved; another event follows when it does")
        return facts

    def _check_merchant(self, party: Object) -> None:
        theirs, ours = strict.optional_name(party, "merchant_id"), self.endpoint.account
        if ours and theirs and theirs != ours:
            raise Unusable(f"it belongs to merchant {theirs!r}, but the endpoint's is {ours!r}")

    def place_of(self, resource: Object, rel: str, places: Iterable[str] = ()) -> str | None:
        """The path in this mode's API that the resource links to, such as "/v1/payments/sale/ID".

        None for a link to anywhere but the places, those of `readings` by default. Only the path is taken: a link
        must not decide which host is asked.
        """
        known = "|".join(places or self.meanings)
        pattern = rf"https://api(?:-m)?\.{re.escape(DOMAINS[self.endpoint.mode])}((?:{known})/[A-Za-z0-9-]{{1,64}})"
        found = (re.fullmatch(pattern, href, re.ASCII) for href in links_of(resource, rel))
        return next((match[1] for match in found if match), None)


def _gone_of(payment: Object, currency: str) -> int:
    """How much of a payment went back, by its refunds."""
    refunds = _objects(payment, "refunds")
    states = [state_of(refund) for refund in refunds]
    if "pending" in states:
        raise NotYet("PayPal says that a refund of the payment is pending")
    back = [_money(refund, signed=True) for refund, state in zip(refunds, states, strict=True) if state == "completed"]
    if not back or any(theirs != currency for _, theirs in back):
        raise Unusable(
            "PayPal says that a part of the payment went back, but not how much: look it up there, and take its "
            "sessions back by hand"
        )
    return sum(amount for amount, _ in back)


def refunds_in(parent: Object, payment: str) -> list[Object]:
    """A payment's refunds out of its order (version 2) or its parent payment (version 1)."""
    found = []
    for unit in _objects(parent, "purchase_units"):
        for refund in _objects(strict.mapping(unit, "payments"), "refunds"):
            found += [refund for href in links_of(refund, "up") if href.rpartition("/")[2] == payment]
    for transaction in _objects(parent, "transactions"):
        for related in _objects(transaction, "related_resources"):
            refund = strict.mapping(related, "refund")
            found += [refund] if payment in (refund.get("sale_id"), refund.get("capture_id")) else []
    return found


def _objects(holder: Object, key: str) -> list[Object]:
    """The objects in the list under `key`; whatever else is there is left out."""
    value = holder.get(key)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _movements(dispute: Object, amount: int, currency: str) -> tuple[int, int]:
    """What the dispute took from the seller, and what it gave back; its fees apart."""
    key = "fund_movements" if dispute.get("fund_movements") else "money_movements"
    moved = {"DEBIT": 0, "CREDIT": 0}
    for movement in strict.objects(dispute, key):
        party = movement.get("party") or movement.get("affected_party")
        if party != "SELLER" or str(movement.get("reason")).endswith("FEE"):
            continue
        kind = str(movement.get("type"))
        if kind not in moved:
            raise Unusable(f"a money movement is neither DEBIT nor CREDIT, but {kind[:60]}")
        value, theirs = _money(movement)
        # In another currency than the member paid in, it is the whole disputed amount.
        moved[kind] += value if theirs == currency else amount
    return moved["DEBIT"], moved["CREDIT"]


def _money(holder: Object, key: str = "amount", *, signed: bool = False) -> tuple[int, str]:
    """The amount in minor units and its currency, as version 1 or 2 of the API has them; `signed` may be negative."""
    money = strict.mapping(holder, key)
    amount, code = ("total", "currency") if "currency" in money else ("value", "currency_code")
    currency, text = strict.currency(money, code), money.get(amount)
    if not isinstance(text, str):
        raise Unusable(f"the amount's {amount} is not a text")
    text = text.removeprefix("-") if signed else text
    return strict.decimal_amount({amount: text}, amount, currency), currency


def state_of(holder: Object) -> str:
    """The `state` of version 1, or the `status` of version 2."""
    return str(holder.get("state") or holder.get("status")).lower()


def _updated(holder: Object) -> datetime:
    return strict.iso_time(holder, "update_time" if holder.get("update_time") else "create_time")


def links_of(holder: Object, rel: str) -> Iterator[str]:
    """The addresses of an object's links of that relation."""
    links = holder.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == rel and isinstance(link.get("href"), str):
            yield link["href"]
