"""Stripe: where the code of a membership comes back.

Metadata is set by the gym's server or by us, in `subscription_data[metadata]` of a Checkout session: it stays with the
subscription, and each invoice carries a copy of it (`parent.subscription_details.metadata`; before 2025-03-31
`subscription_details.metadata`). `client_reference_id` is set by whoever opens a payment link: anyone could edit it.
A session that makes a subscription claims that, any other one its customer. A sale by Checkout is looked up by its
session where a code came with it, so that one customer can pay for several memberships.

Sources: docs.stripe.com/metadata, docs.stripe.com/api/checkout/sessions, docs.stripe.com/api/invoices,
docs.stripe.com/payment-links/url-parameters (letters, digits, dashes and underscores, at most 200).
"""

from collections.abc import Mapping
from datetime import datetime

from models import currencies
from models.catalogue.terms import Interval
from models.payments.facts import Claimed, Fact
from webhooks.processors import claiming, strict
from webhooks.processors.base import Object
from webhooks.processors.claiming import KEY, Checkout
from webhooks.processors.events import Ignored
from webhooks.processors.stripe_subscriptions import Subscriptions


class Codes(Subscriptions):
    """The codes in Stripe's events."""

    def claims(self, facts: list[Fact], holder: Object, at: datetime) -> list[Fact]:
        """Of a subscription, a Checkout session, or a payment or failed attempt of an invoice."""
        match holder.get("object"):
            case "subscription":
                return claiming.of(strict.name(holder, "id"), at, claiming.in_metadata(holder))
            case "invoice":
                details = strict.mapping(holder, "parent").get("subscription_details")
                code = claiming.in_metadata(details, holder.get("subscription_details"), holder)
                return claiming.closest(facts, code)
            case "checkout.session":
                return self._of_session(holder, at)
        return []

    def _of_session(self, session: Object, at: datetime) -> list[Fact]:
        trusted, code = claiming.in_metadata(session), code_of(session)
        named = strict.optional_name(session, "subscription") or sale_of(session)
        named = named or strict.optional_name(session, "customer")
        if code is None or named is None:
            return []
        if trusted:
            return claiming.of(named, at, trusted)
        due, currency = (
            strict.money(session, "amount_subtotal", theirs=self.digits)
            if session.get("amount_subtotal")
            else (None, None)
        )
        return [Claimed(named, at, code, True, due, currency)]

    def subscription_made(self, subscription: Object, at: datetime) -> list[Fact]:
        """A new subscription: nothing was paid yet."""
        raise Ignored("a new subscription: invoice.paid follows when it is paid")


def code_of(session: Object) -> str | None:
    """The code that came with a Checkout session."""
    return claiming.in_metadata(session) or claiming.begins(session.get("client_reference_id"))


def sale_of(session: Object) -> str | None:
    """The id of a Checkout session that is a sale without an invoice, where a code came with it."""
    invoiced = session.get("invoice") or strict.mapping(session, "invoice_creation").get("enabled") is True
    is_sale = session.get("mode") == "payment" and not invoiced and code_of(session)
    return strict.optional_name(session, "id") if is_sale else None


def checkout(wanted: Checkout, digits: Mapping[str, int], success_url: str) -> dict[str, object]:
    """The parameters of a Checkout session. `digits` are those in which Stripe departs from ISO 4217."""
    known = currencies.digits(wanted.currency)
    amount = wanted.dues_minor * 10 ** digits.get(wanted.currency, known) // 10**known
    price: dict[str, object] = {
        "currency": wanted.currency.lower(), "unit_amount": amount, "product_data": {"name": wanted.what}
    }  # fmt: skip
    recurs = wanted.interval != Interval.ONCE
    if recurs:
        price["recurring"] = {"interval": wanted.interval, "interval_count": wanted.interval_count}
    coded = {"metadata": {KEY: wanted.code}}
    params: dict[str, object] = {
        "mode": "subscription" if recurs else "payment",
        "line_items": [{"quantity": 1, "price_data": price}],
        "client_reference_id": wanted.code,
        "customer_email": wanted.email,
        "success_url": success_url,
        **coded,
    }
    return params | ({"subscription_data": coded} if recurs else {})
