"""Stripe event bodies as Stripe would write them, in API version 2025-06-30 ("Basil")."""

import json
from typing import Any

API_VERSION = "2025-06-30.basil"


def event(event_id: str, type: str, created: int, body: dict[str, Any]) -> bytes:
    """One event around an object, in test mode; `created` in Unix seconds."""
    envelope = {
        "id": event_id, "object": "event", "api_version": API_VERSION, "created": created, "livemode": False,
        "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None}, "type": type,
        "data": {"object": body},
    }  # fmt: skip
    return json.dumps(envelope).encode()


def invoice(reference: str, subscription: str, paid_at: int, amount_minor: int = 8900) -> dict[str, Any]:
    """A paid subscription invoice; `paid_at` in Unix seconds."""
    return {
        "id": reference, "object": "invoice", "amount_due": amount_minor, "amount_paid": amount_minor,
        "billing_reason": "subscription_cycle", "collection_method": "charge_automatically", "currency": "usd",
        "customer": "cus_" + subscription.removeprefix("sub_"), "livemode": False, "status": "paid",
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": subscription}},
        "status_transitions": {"finalized_at": paid_at, "paid_at": paid_at}, "total": amount_minor,
    }  # fmt: skip


def invoice_payment(invoice_reference: str, intent: str) -> dict[str, Any]:
    """The link between an invoice and the payment intent that paid it."""
    payment = {"type": "payment_intent", "payment_intent": intent}
    return {"object": "invoice_payment", "invoice": invoice_reference, "payment": payment, "status": "paid"}


def refund(reference: str, intent: str, created: int, amount_minor: int, status: str = "succeeded") -> dict[str, Any]:
    """A refund of the payment intent's charge; `created` in Unix seconds."""
    return {
        "id": reference, "object": "refund", "amount": amount_minor, "charge": "ch_" + intent, "created": created,
        "currency": "usd", "payment_intent": intent, "status": status,
    }  # fmt: skip


def dispute(reference: str, intent: str, amount_minor: int, status: str) -> dict[str, Any]:
    """A dispute of the payment intent's charge."""
    return {
        "id": reference, "object": "dispute", "amount": amount_minor, "charge": "ch_" + intent, "currency": "usd",
        "payment_intent": intent, "reason": "fraudulent", "status": status,
    }  # fmt: skip
