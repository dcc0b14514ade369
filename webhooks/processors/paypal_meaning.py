"""What a sale, capture, refund or dispute means, as PayPal's API has it: the table at the head of paypal.py."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

from models.payments.facts import Announced, Change, Claimed, DuesFailed, Fact, Noted, Paid, Restored, Reversed
from webhooks.processors import announcing, claiming, payers, paypal_orders, strict
from webhooks.processors.base import Object, Processor
from webhooks.processors.events import Ignored, NotYet, Payer, Unusable
from webhooks.processors.paypal_orders import links_of, money, state_of

DOMAINS = {"live": "paypal.com", "test": "sandbox.paypal.com"}

UNPAID = "BILLING.SUBSCRIPTION.PAYMENT.FAILED"
ANNOUNCING = tuple(f"BILLING.SUBSCRIPTION.{what}" for what in ("CANCELLED", "EXPIRED", "SUSPENDED", "ACTIVATED"))
FETCHED = (
    "PAYMENT.SALE.", "PAYMENT.CAPTURE.", "PAYMENT.REFUND.", "CUSTOMER.DISPUTE.", UNPAID, *ANNOUNCING,
)  # fmt: skip
"""Beginnings of the types whose resource is fetched; the resource then has the meaning, whatever the type says."""
WENT_BACK = (".REFUNDED", ".REVERSED")
"""Endings of the types that say that money went back."""

NEVER = {"denied", "declined", "failed", "voided", "expired"}
"""States of a payment that never moves money."""
REFUSED = {"denied", "declined", "failed"}
"""Those in which the payer's bank or PayPal refused it."""
PARTLY = "partially_refunded"
GONE = {"refunded", "reversed"}
"""States of a payment of which nothing is left."""

PART_GONE = (
    "PayPal says that a part of the payment went back, but not how much: look it up there, and take its sessions back "
    "by hand."
)

LOST = {"RESOLVED_BUYER_FAVOUR", "ACCEPTED"}
WON = {"RESOLVED_SELLER_FAVOUR", "CANCELED_BY_BUYER", "DENIED"}
"""Outcomes that count for a dispute without money movements; all others, such as PayPal's own payout, cost us nothing.
"""

SUBSCRIPTIONS = "/v1/billing/subscriptions"
PARENTS = ("/v2/checkout/orders", "/v1/payments/payment")
"""The places of a payment's order or parent payment, which says who paid and what for, and lists its refunds."""
ENDED = {"CANCELLED", "EXPIRED"}
"""Statuses of a subscription that is over."""
KEPT_OF_SUBSCRIPTIONS = ("id", "custom_id", "status", "status_update_time", "update_time", "links")
"""All that is needed of one that is announced."""


class Meaning(Processor):
    """The meaning of PayPal's events, and nothing of how they come."""

    readings: ClassVar = {
        "/v1/payments/sale /v1/payments/capture /v2/payments/captures": "payment",
        "/v1/payments/refund /v2/payments/refunds": "refund",
        "/v1/customer/disputes": "dispute",
        SUBSCRIPTIONS: "subscription",
    }
    """The place of a resource in the API -> what it means."""
    ignored: ClassVar = {
        "the same money as PAYMENT.SALE.COMPLETED, which credits": "PAYMENTS.PAYMENT.CREATED",
        "the same money as PAYMENT.CAPTURE.COMPLETED, which credits": "CHECKOUT.ORDER.COMPLETED",
        "no money moved yet: PAYMENT.CAPTURE.COMPLETED follows when it does": "CHECKOUT.ORDER.APPROVED",
        "the same dispute as CUSTOMER.DISPUTE.CREATED": "RISK.DISPUTE.CREATED",
        "no money moved: only what is reserved changed": """
            PAYMENT.AUTHORIZATION.CREATED PAYMENT.AUTHORIZATION.VOIDED PAYMENT.ORDER.CREATED PAYMENT.ORDER.CANCELLED""",
        "no money moved: it says nothing about dues": """
            CHECKOUT.CHECKOUT.BUYER-APPROVED CHECKOUT.ORDER.DECLINED CHECKOUT.ORDER.SAVED CHECKOUT.ORDER.VOIDED
            CHECKOUT.PAYMENT-APPROVAL.REVERSED INVOICING.INVOICE.CANCELLED INVOICING.INVOICE.CREATED
            INVOICING.INVOICE.SCHEDULED INVOICING.INVOICE.UPDATED""",
        "a payout, no payment of dues": """
            PAYMENT.PAYOUTSBATCH.DENIED PAYMENT.PAYOUTSBATCH.PROCESSING PAYMENT.PAYOUTSBATCH.SUCCESS
            PAYMENT.PAYOUTS-ITEM.BLOCKED PAYMENT.PAYOUTS-ITEM.CANCELED PAYMENT.PAYOUTS-ITEM.DENIED
            PAYMENT.PAYOUTS-ITEM.FAILED PAYMENT.PAYOUTS-ITEM.HELD PAYMENT.PAYOUTS-ITEM.REFUNDED
            PAYMENT.PAYOUTS-ITEM.RETURNED PAYMENT.PAYOUTS-ITEM.SUCCEEDED PAYMENT.PAYOUTS-ITEM.UNCLAIMED
            PAYMENT.REFERENCED-PAYOUT-ITEM.COMPLETED PAYMENT.REFERENCED-PAYOUT-ITEM.FAILED""",
    }
    about_money = (
        "PAYMENT.", "PAYMENTS.", "CHECKOUT.", "INVOICING.INVOICE.", "BILLING.SUBSCRIPTION.PAYMENT.", "RISK.DISPUTE.",
    )  # fmt: skip

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """The event itself only says what to fetch: all meaning is the fetched resource's."""
        event = strict.loads(body)
        if not type.startswith(FETCHED):
            if self.is_unknown(type):
                return self.unknown(type, event, resource)
            self.reading(type)
        if resource is None:
            raise Unusable("its resource was not fetched")
        found = strict.loads(resource)
        place = self.place_of(found, "self")
        if place is None:
            raise Unusable(f"what PayPal answers does not say that it is of {self.endpoint.mode} mode")
        try:
            facts = self.reading(place.rpartition("/")[0])(found, type)
        except Ignored:
            if not (claimed := self.claims([], found)):
                raise
            return claimed
        return [*facts, *self.claims(facts, found)]

    def claims(self, facts: list[Fact], found: Object) -> list[Fact]:
        """Of a payment's subscription or custom id, or of a subscription itself.

        Buttons set `custom_id` in the payer's browser, so it counts like a link. Source:
        developer.paypal.com/subscriptions/integrate; custom_id, up to 127 characters: api/subscriptions/v1.
        """
        order = strict.mapping(found, "order")
        unit = paypal_orders.unit_of(order, found.get("id"))
        for holder in (found, strict.mapping(found, "subscription"), unit):
            if code := claiming.begins(holder.get("custom_id")) or claiming.begins(holder.get("custom")):
                if claimed := claiming.closest(facts, code, from_link=True):
                    return claimed
                is_subscription = (self.place_of(found, "self") or "").startswith(SUBSCRIPTIONS)
                at = found.get("status_update_time") and strict.iso_time(found, "status_update_time")
                return [Claimed(strict.name(found, "id"), at, code, True)] if is_subscription and at else []
        return []

    def named_payment(self, event: Object) -> tuple[str | None, datetime]:
        """None: what a body says is not signed, so it names nothing that can be believed."""
        raise Unusable("a body is not signed")

    def payment(self, payment: Object, type: str) -> list[Fact]:
        """The dues; of a payment that went back, also what went back, as a running total beside its refunds."""
        self._check_merchant(strict.mapping(payment, "payee"))
        reference, state = strict.name(payment, "id"), state_of(payment)
        if state in NEVER:
            return [self._refused(payment, reference, state)]
        if state == "pending" and type.endswith(".PENDING"):
            raise Ignored("the payment is pending: another event follows when it is not")
        if state == "pending" or (state == "completed" and type.endswith(WENT_BACK)):
            raise NotYet(f"PayPal says that the payment is {state}, though the event says {type}")
        if state not in {"completed", PARTLY, *GONE}:
            raise Unusable(f"the payment is in a state that we do not know: {state[:60]}")
        paid = self._paid(payment, reference)
        if state == PARTLY and type.endswith(WENT_BACK):
            back = _gone_of(payment, paid.currency)
            if back is None:
                return [paid, Noted(reference, _updated(payment), PART_GONE)]
        elif state in GONE:
            back = paid.amount_minor
        else:
            return [paid]
        return [paid, Reversed(reference, _updated(payment), "refund", back, paid.currency, running_total=True)]

    def _refused(self, payment: Object, reference: str, state: str) -> DuesFailed:
        """Dues that PayPal could not take. Another try is another payment. Raises Ignored for what are none."""
        billing = _billing(payment.get("billing_agreement_id"), payment)
        if state not in REFUSED or not billing:
            raise Ignored(f"the payment is {state}: no money moved")
        return DuesFailed(
            reference, strict.iso_time(payment, "create_time"), billing, (), *money(payment), is_one_try=True
        )

    def unpaid(self, subscription: Object) -> list[Fact]:
        """The last failed payment of a subscription. Another try is another payment, so it is the subscription's."""
        info, reference = strict.mapping(subscription, "billing_info"), strict.name(subscription, "id")
        last = strict.mapping(info, "last_failed_payment")
        if not last:
            raise Ignored("no payment of the subscription failed")
        at = strict.iso_time(last, "time")
        payer = paypal_orders.payer_of(subscription, {})
        return [DuesFailed(reference, at, _billing(reference, subscription), payer, *money(last), is_one_try=True)]

    def _paid(self, payment: Object, reference: str) -> Paid:
        """The payment, with what its subscription or order says of it. Raises Ignored where it names nobody."""
        amount, currency = money(payment)
        subscription, order = strict.mapping(payment, "subscription"), strict.mapping(payment, "order")
        agreement, unit = payment.get("billing_agreement_id"), paypal_orders.unit_of(order, reference)
        billing = _billing(agreement, payment, subscription, unit)
        plan = paypal_orders.lines_of_plan(subscription, amount, currency) if strict.is_name(agreement) else ()
        return payers.known(
            Paid(
                reference,
                strict.iso_time(payment, "create_time"),
                amount,
                currency,
                billing,
                paypal_orders.payer_of(subscription, order),
                due_minor=paypal_orders.before_discount(unit, amount, currency),
                lines=plan or paypal_orders.lines_of_order(unit, billing, currency),
            )
        )

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
        amount, currency = money(refund, signed=True)  # in version 1 it may be negative
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
        amount, currency = money(dispute, "dispute_amount")
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

    def subscription(self, subscription: Object, type: str) -> list[Fact]:
        """What it owes, or how it stands. An active one may have been suspended before; that it is new says nothing."""
        if type.startswith(UNPAID):
            return self.unpaid(subscription)
        reference, status = strict.name(subscription, "id"), str(subscription.get("status"))
        key = "status_update_time" if subscription.get("status_update_time") else "update_time"
        at = strict.iso_time(subscription, key)
        if status in ENDED:
            return [announcing.ends(reference, at, at)]
        if type.endswith(tuple(ENDED)):
            raise NotYet(f"PayPal says that the subscription is {status[:60]}, though the event says {type}")
        what = {"SUSPENDED": Change.PAUSED, "ACTIVE": Change.RESUMED}.get(status)
        if what is None:
            raise Ignored(f"the subscription is {status[:60]}")
        return [Announced(reference, at, what)]

    def payer_details(self, type: str, body: bytes, resource: bytes | None = None) -> Payer | None:
        """Who made the subscription or order, and the name of the plan or the description of the order."""
        found = payers.loaded(resource)
        subscriber, payer = payers.inside(found, "subscription", "subscriber"), payers.inside(found, "order", "payer")
        name, info = payers.inside(subscriber or payer, "name"), payers.inside(payer, "payer_info")
        unit = paypal_orders.unit_of(payers.inside(found, "order"), payers.inside(found, "id"))
        return payers.details(
            payers.full_name(payers.inside(name, "given_name"), payers.inside(name, "surname"))
            or payers.full_name(payers.inside(info, "first_name"), payers.inside(info, "last_name")),
            payers.inside(subscriber or payer, "email_address") or payers.inside(info, "email"),
            payers.inside(found, "subscription", "plan", "name") or unit.get("description"),
        )

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


def _billing(agreement: object, *holders: Object) -> tuple[str, ...]:
    """The subscription, then the custom ids that stand in these."""
    custom = (each.get(key) for each in holders for key in ("custom_id", "custom"))
    return tuple(dict.fromkeys(str(each) for each in (agreement, *custom) if strict.is_name(each)))


def _gone_of(payment: Object, currency: str) -> int | None:
    """How much of a payment went back, by its refunds; None where they do not say."""
    refunds = strict.objects(payment, "refunds")
    states = [state_of(refund) for refund in refunds]
    if "pending" in states:
        raise NotYet("PayPal says that a refund of the payment is pending")
    back = [money(refund, signed=True) for refund, state in zip(refunds, states, strict=True) if state == "completed"]
    if not back or any(theirs != currency for _, theirs in back):
        return None
    return sum(amount for amount, _ in back)


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
        value, theirs = money(movement)
        # In another currency than the member paid in, it is the whole disputed amount.
        moved[kind] += value if theirs == currency else amount
    return moved["DEBIT"], moved["CREDIT"]


def _updated(holder: Object) -> datetime:
    return strict.iso_time(holder, "update_time" if holder.get("update_time") else "create_time")
