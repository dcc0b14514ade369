"""Valid, unique, signed Stripe deliveries: the same ones for every peer.

Delivery N is an `invoice.paid` event for a subscription renewal, paid now, laid
out as API version 2025-03-31 (Basil) and later lay it out. Everything that
differs between two deliveries follows from N, so that processes agree on them
without talking to each other.
"""

import hmac
import json
import time

ENDPOINT = "stripe-bench"
PATH = f"/webhooks/{ENDPOINT}"
SECRET = "whsec_bench_0123456789abcdefghijklmnopqrstuv"
API_VERSION = "2025-06-30.basil"
AMOUNT_CENTS = 8900
CURRENCY = "usd"

_EVENT = {
    "id": "evt_bench%(n)012d",
    "object": "event",
    "api_version": API_VERSION,
    "created": "%(at)d",
    "data": {
        "object": {
            "id": "in_bench%(n)012d",
            "object": "invoice",
            "amount_due": AMOUNT_CENTS,
            "amount_overpaid": 0,
            "amount_paid": AMOUNT_CENTS,
            "amount_remaining": 0,
            "attempt_count": 1,
            "attempted": True,
            "auto_advance": False,
            "billing_reason": "subscription_cycle",
            "collection_method": "charge_automatically",
            "created": "%(at)d",
            "currency": CURRENCY,
            "customer": "cus_bench%(m)09d",
            "customer_email": "member%(m)d@example.com",
            "customer_name": "Member %(m)d",
            "hosted_invoice_url": "https://invoice.example.com/i/bench/%(n)012d",
            "lines": {
                "object": "list",
                "data": [
                    {
                        "id": "il_bench%(n)012d",
                        "object": "line_item",
                        "amount": AMOUNT_CENTS,
                        "currency": CURRENCY,
                        "description": "1 x Gold membership (at $89.00 / month)",
                        "invoice": "in_bench%(n)012d",
                        "livemode": False,
                        "parent": {
                            "type": "subscription_item_details",
                            "subscription_item_details": {
                                "proration": False,
                                "subscription": "sub_bench%(m)09d",
                                "subscription_item": "si_bench%(m)09d",
                            },
                        },
                        "period": {"start": "%(at)d", "end": "%(end)d"},
                        "pricing": {
                            "type": "price_details",
                            "price_details": {"price": "price_gold", "product": "prod_gold"},
                            "unit_amount_decimal": str(AMOUNT_CENTS),
                        },
                        "quantity": 1,
                    }
                ],
                "has_more": False,
                "url": "/v1/invoices/in_bench%(n)012d/lines",
            },
            "livemode": False,
            "metadata": {},
            "number": "BENCH-%(n)012d",
            "parent": {
                "type": "subscription_details",
                "subscription_details": {"metadata": {}, "subscription": "sub_bench%(m)09d"},
            },
            "period_end": "%(at)d",
            "period_start": "%(at)d",
            "status": "paid",
            "status_transitions": {"finalized_at": "%(at)d", "paid_at": "%(at)d", "voided_at": None},
            "subtotal": AMOUNT_CENTS,
            "total": AMOUNT_CENTS,
        }
    },
    "livemode": False,
    "pending_webhooks": 1,
    "request": {"id": None, "idempotency_key": None},
    "type": "invoice.paid",
}


def _template() -> bytes:
    # Stripe indents its bodies by two spaces. Times are quoted above so that
    # they can be placeholders; here they become numbers again.
    text = json.dumps(_EVENT, indent=2)
    for name in ("at", "end"):
        text = text.replace(f'"%({name})d"', f"%({name})d")
    return text.encode()


_TEMPLATE = _template()
_MONTH_S = 30 * 24 * 3600


def event_id(n: int) -> str:
    """The id of event N."""
    return f"evt_bench{n:012d}"


def invoice_id(n: int) -> str:
    """The id of the invoice that event N reports as paid."""
    return f"in_bench{n:012d}"


def subscription_id(m: int) -> str:
    """The id of member M's subscription; event N pays for member N modulo the number of memberships."""
    return f"sub_bench{m:09d}"


def body(n: int, memberships: int, at: int) -> bytes:
    """The body of delivery N, about 2.5 kB, created and paid `at` (Unix seconds)."""
    return _TEMPLATE % {b"n": n, b"m": n % memberships, b"at": at, b"end": at + _MONTH_S}


def signature(content: bytes, at: int) -> str:
    """The Stripe-Signature header for a body sent `at` (Unix seconds)."""
    digest = hmac.digest(SECRET.encode(), b"%d." % at + content, "sha256")
    return f"t={at},v1={digest.hex()}"


def request(n: int, memberships: int, at: int | None = None) -> bytes:
    """Delivery N as the bytes of one HTTP/1.1 request, signed and paid `at` (default: now)."""
    at = int(time.time()) if at is None else at
    content = body(n, memberships, at)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"
        f"Accept: */*\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {len(content)}\r\n"
        f"Stripe-Signature: {signature(content, at)}\r\n\r\n"
    )
    return head.encode() + content
