"""What a sale, capture, refund or dispute means, as PayPal's API tells it: the table at the head of paypal.py."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from models.payments.facts import Fact, Paid, Restored, Reversed
from runtime.settings import Endpoint
from webhooks.processors import Ignored, NotYet, Unusable, strict

Object = dict[str, Any]

DOMAINS = {"live": "paypal.com", "test": "sandbox.paypal.com"}


def _payment(payment: Object, type: str, endpoint: Endpoint) -> list[Fact]:
    _check_account(strict.mapping(payment, "payee"), endpoint)
    reference, state = strict.name(payment, "id"), state_of(payment)
    if state in _NEVER:
        raise Ignored(f"the payment is {state}: no money moved")
    if state == "pending" and type.endswith(".PENDING"):
        raise Ignored("the payment is pending: another event tells what comes of it")
    if state == "pending" or (state == "completed" and type.endswith(WENT_BACK)):
        raise NotYet(f"PayPal says that the payment is {state}, though the event says {type}")
    if state not in {"completed", PARTLY, *GONE}:
        raise Unusable(f"the payment is in a state that we do not know: {state[:60]}")
    amount, currency = _money(payment)
    if amount == 0:
        raise Ignored("zero amount: nothing was paid")
    billing = (payment.get("billing_agreement_id"), payment.get("custom_id"), payment.get("custom"))
    references = tuple(dict.fromkeys(str(name) for name in billing if strict.is_name(name)))
    if not references:
        raise Ignored("a single sale: it names no subscription and no custom id")
    facts: list[Fact] = [Paid(reference, strict.iso_time(payment, "create_time"), amount, currency, references)]
    if state == PARTLY and type.endswith(WENT_BACK):
        amount = _gone_of(payment, currency)
    elif state not in GONE:
        return facts
    return [*facts, Reversed(reference, _updated(payment), "refund", amount, currency, running_total=True)]


_NEVER = {"denied", "declined", "failed", "voided", "expired"}
"""States of a payment that never moves money."""
PARTLY = "partially_refunded"
GONE = {"refunded", "reversed"}
"""States of a payment of which nothing is left."""
WENT_BACK = (".REFUNDED", ".REVERSED")


def _gone_of(payment: Object, currency: str) -> int:
    """What of a payment went back, by its refunds."""
    refunds = payment.get("refunds")
    if not isinstance(refunds, list) or not all(isinstance(refund, dict) for refund in refunds):
        refunds = []
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


def listed_refunds(parent: Object, payment: str) -> list[Object]:
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
    value = holder.get(key)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _refund(refund: Object, type: str, endpoint: Endpoint) -> list[Fact]:
    state, own = state_of(refund), strict.name(refund, "id")
    up = place_of(refund, "up", endpoint.mode) or ""
    payment = (
        strict.optional_name(refund, "sale_id")
        or strict.optional_name(refund, "capture_id")
        or (up.rpartition("/")[2] if up.startswith("/v2/payments/captures/") else None)
    )
    if payment is None:
        raise Unusable("the refund names no payment")
    amount, currency = _money(refund, signed=True)  # version 1 may tell what it does to the balance
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


def _dispute(dispute: Object, type: str, endpoint: Endpoint) -> list[Fact]:
    disputed = dispute.get("disputed_transactions")
    if not isinstance(disputed, list) or len(disputed) != 1 or not isinstance(disputed[0], dict):
        raise Unusable("the dispute is not about exactly one payment: see to its sessions by hand")
    _check_account(strict.mapping(disputed[0], "seller"), endpoint)
    payment, at = strict.name(disputed[0], "seller_transaction_id"), _updated(dispute)
    status = str(dispute.get("status"))[:60]
    if type.endswith(".RESOLVED") and status != "RESOLVED":
        raise NotYet(f"PayPal says that the dispute is {status}, though the event says {type}")
    amount, currency = _money(dispute, "dispute_amount")
    taken, credited = _movements(dispute, amount, currency)
    if not taken and not credited:
        outcome = str(strict.mapping(dispute, "dispute_outcome").get("outcome_code"))
        taken, credited = amount * (outcome in _LOST), amount * (outcome in _WON)
    # Of one group with the payment's reversals, which are the same money.
    cause, facts = f"refund:dispute {strict.name(dispute, 'dispute_id')} of {payment}", list[Fact]()
    if taken:
        facts.append(Reversed(payment, at, cause, taken, currency, running_total=True))
    if credited:
        facts.append(Restored(payment, at, cause, credited, currency))
    if not facts:
        raise Ignored(f"the dispute is {status}: no money moved; another event tells when it does")
    return facts


_LOST = {"RESOLVED_BUYER_FAVOUR", "ACCEPTED"}
_WON = {"RESOLVED_SELLER_FAVOUR", "CANCELED_BY_BUYER", "DENIED"}
"""How disputes end, for those that tell of no money moved; all others, such as PayPal's own payout, cost us nothing."""


def _movements(dispute: Object, amount: int, currency: str) -> tuple[int, int]:
    """What the dispute took from the seller, and what it gave back; its fees apart."""
    movements = dispute.get("fund_movements") or dispute.get("money_movements") or []
    if not isinstance(movements, list) or not all(isinstance(movement, dict) for movement in movements):
        raise Unusable("the dispute's money movements are not a list of objects")
    moved = {"DEBIT": 0, "CREDIT": 0}
    for movement in movements:
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
    """What version 1 calls state, and version 2 status."""
    return str(holder.get("state") or holder.get("status")).lower()


def _updated(holder: Object) -> datetime:
    return strict.iso_time(holder, "update_time" if holder.get("update_time") else "create_time")


def _check_account(party: Object, endpoint: Endpoint) -> None:
    theirs = strict.optional_name(party, "merchant_id")
    if endpoint.account and theirs and theirs != endpoint.account:
        raise Unusable(f"it belongs to merchant {theirs!r}, but the endpoint's is {endpoint.account!r}")


READINGS: dict[str, Callable[[Object, str, Endpoint], list[Fact]]] = {
    "/v1/payments/sale": _payment,
    "/v1/payments/capture": _payment,
    "/v2/payments/captures": _payment,
    "/v1/payments/refund": _refund,
    "/v2/payments/refunds": _refund,
    "/v1/customer/disputes": _dispute,
}
"""Where a resource stands in the API -> what it means."""

FETCHED = ("PAYMENT.SALE.", "PAYMENT.CAPTURE.", "PAYMENT.REFUND.", "CUSTOMER.DISPUTE.")
"""Beginnings of the types of which the resource is fetched; what it then tells is no matter of the type."""

WHY_IGNORED = {
    "PAYMENTS.PAYMENT.CREATED": "the same money as PAYMENT.SALE.COMPLETED, which credits",
    "CHECKOUT.ORDER.COMPLETED": "the same money as PAYMENT.CAPTURE.COMPLETED, which credits",
    "CHECKOUT.ORDER.APPROVED": "no money moved yet: PAYMENT.CAPTURE.COMPLETED tells when it does",
    "BILLING.SUBSCRIPTION.ACTIVATED": "no money moved yet: PAYMENT.SALE.COMPLETED tells when it does",
    "BILLING.SUBSCRIPTION.PAYMENT.FAILED": "a failed attempt: no money moved",
    "RISK.DISPUTE.CREATED": "the same dispute as CUSTOMER.DISPUTE.CREATED",
}

PARENTS = ("/v2/checkout/orders", "/v1/payments/payment")
"""Where a payment's order or parent payment stands, which lists its refunds."""


def links_of(holder: Object, rel: str) -> Iterator[str]:
    links = holder.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == rel and isinstance(link.get("href"), str):
            yield link["href"]


def place_of(resource: Object, rel: str, mode: str, places: Iterable[str] = READINGS) -> str | None:
    """Where in that mode's API its link leads to, such as "/v1/payments/sale/ID"; None where it is none of the places.

    No more than the path is taken from a link: whom to ask is not its to say.
    """
    known = rf"https://api(?:-m)?\.{re.escape(DOMAINS[mode])}((?:{'|'.join(places)})/[A-Za-z0-9-]{{1,64}})"
    found = (re.fullmatch(known, href, re.ASCII) for href in links_of(resource, rel))
    return next((match[1] for match in found if match), None)
