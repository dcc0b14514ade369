"""What each processor says of dues that could not be collected, and of a bill that is owed no more."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from models.payments.facts import DuesFailed, Fact
from tests.webhooks.deliveries import PAYLOADS, changed, endpoint, received, recorded
from tests.webhooks.processors.test_paypal import on as paypal
from webhooks.processors import Ignored, NotYet, Processor, Unusable

SECRETS = {
    "authorize_net": ["AB" * 64],
    "adyen": ["AB" * 32, "user:password"],
    "braintree": ["public_1:private_1"],
    "square": ["secret"],
    "gocardless": ["secret"],
    "stripe": ["secret"],
    "standard_webhooks": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
}
OPTIONS = {"square": {"url": "https://gym.example/webhooks/square"}}
MONEY = (8900, "USD")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def on(processor: str, **options: str) -> Processor:
    if processor == "paypal":
        return paypal()
    return endpoint(processor, *SECRETS[processor], **OPTIONS.get(processor, {}), **options)


def body_of(processor: str, name: str) -> bytes:
    (file,) = (PAYLOADS / processor).glob(f"{name}.*")
    return file.read_bytes()


def said(
    processor: str, name: str, resource: bytes | None = None, adapter: Processor | None = None, **changes: Any
) -> list[Fact]:
    """What the recorded delivery means, with other values in it."""
    adapter = adapter or on(processor)
    content = body_of(processor, name)
    content = changed(content, **changes) if changes else content
    if processor == "gocardless":
        content = json.dumps(json.loads(content)["events"][0]).encode()
        kind = "payments.failed"
    elif processor == "adyen":
        kind = "AUTHORISATION"
    elif processor == "braintree":
        kind = content.partition(b"<kind>")[2].partition(b"<")[0].decode()
    else:
        (part,) = adapter.parse(content, received({"webhook-id": "msg_1"}))
        kind = part.type
    return adapter.interpret(kind, content, resource)


def fetched(processor: str, name: str, **changes: Any) -> bytes:
    return changed((PAYLOADS / processor / "resources" / f"{name}.json").read_bytes(), **changes)


STRIPE = DuesFailed("in_Gym0001", datetime.fromtimestamp(1793527200, UTC), ("sub_Gym0001",), ("cus_Gym0001",), *MONEY)
SQUARE = DuesFailed("orderGym0001", at("2026-11-01T09:00:05"), ("0d5f7c2e-Gym0001",), ("CUSTGym0001",), *MONEY)
STANDARD = DuesFailed(
    "pay_0001", at("2026-11-01T09:00:00"), ("sub_Gym0001",), ("cus_Gym0001",), *MONEY, is_one_try=True
)
BRAINTREE = DuesFailed("sub_Gym0001", at("2026-11-01T09:00:07"), ("sub_Gym0001",), ("cus_Gym0001",), is_one_try=True)
ADYEN = DuesFailed(
    "PGYM0001PAY00003", at("2026-11-01T08:00:00"), (), ("membership-Gym0001", "shopper-Gym0001"), *MONEY,
    is_one_try=True,
)  # fmt: skip
AUTHORIZE_NET = DuesFailed(
    "subscription:4415473", at("2026-11-01T10:25:01"), ("4415473",), ("1811467160",), is_one_try=True
)
PAYPAL = DuesFailed(
    "I-GYM0001", at("2026-11-01T09:00:02"), ("I-GYM0001", "member-Gym0001"), ("PAYERGYM0001",), *MONEY, is_one_try=True
)


@pytest.mark.parametrize(
    ("processor", "name", "expected"),
    [
        ("stripe", "invoice_payment_failed", STRIPE),
        ("stripe", "invoice_voided", replace(STRIPE, occurred_at=datetime.fromtimestamp(1794391200, UTC), closed=True)),
        ("square", "invoice_scheduled_charge_failed", SQUARE),
        ("square", "invoice_canceled", replace(SQUARE, occurred_at=at("2026-11-09T09:00:00"), closed=True)),
        ("standard_webhooks", "payment_failed", STANDARD),
        (
            "standard_webhooks",
            "payment_closed",
            DuesFailed("pay_0001", at("2026-11-09T09:00:00"), ("sub_Gym0001",), closed=True),
        ),
        ("braintree", "subscription_charged_unsuccessfully", BRAINTREE),
        ("adyen", "authorisation_refused_recurring", ADYEN),
        ("authorize_net", "subscription_failed", AUTHORIZE_NET),
    ],
)
def test_dues_could_not_be_collected(processor: str, name: str, expected: DuesFailed) -> None:
    assert said(processor, name) == [expected]


def test_paypal_says_it_of_the_subscription_that_is_fetched() -> None:
    resource = fetched("paypal", "subscription_payment_failed")
    assert said("paypal", "subscription_payment_failed", resource) == [PAYPAL]
    with pytest.raises(Ignored, match="no payment of the subscription failed"):
        said("paypal", "subscription_payment_failed", changed(resource, billing_info__last_failed_payment=...))
    denied = fetched("paypal", "sale_completed", state="denied")
    (owed,) = said("paypal", "sale_completed", denied)
    assert owed == DuesFailed(
        "GYM0001SALE", at("2026-11-01T09:00:05"), ("I-GYM0001", "member-Gym0001"), (), *MONEY, is_one_try=True
    )


def test_gocardless_says_it_of_the_payment_that_is_fetched() -> None:
    payment = fetched("gocardless", "payment", links__customer="CUGym0001")
    back, owed = said("gocardless", "payment_failed", payment)
    assert owed == DuesFailed(
        "PMGym0001", at("2026-11-05T09:00:00"), ("SBGym0001", "MDGym0001"), ("CUGym0001",), *MONEY
    )
    assert said("gocardless", "payment_failed") == [back], "an event of before it was fetched still takes back"
    nobody = changed(payment, links={"creditor": "CRGym0001"})
    assert said("gocardless", "payment_failed", nobody) == [back]


@pytest.mark.parametrize("will_attempt_retry", [True, False])
def test_a_retry_that_follows_makes_no_difference(will_attempt_retry: bool) -> None:
    payment = fetched("gocardless", "payment")
    told = said("gocardless", "payment_failed", payment, events__0__details__will_attempt_retry=will_attempt_retry)
    assert told == said("gocardless", "payment_failed", payment)


def test_a_debit_that_came_back_is_owed_by_its_subscription() -> None:
    back, owed = said("braintree", "transaction_settlement_declined")
    assert owed == DuesFailed("sub_Gym0001", back.occurred_at, ("sub_Gym0001",), ("cus_Gym0001",), is_one_try=True)


def test_an_invoice_of_nobody_is_ignored() -> None:
    nobody = {"data__object__customer": None, "data__object__parent": None, "data__object__lines__data": []}
    with pytest.raises(Ignored, match="names nobody"):
        said("stripe", "invoice_payment_failed", **nobody)
    with pytest.raises(Ignored, match="zero amount"):
        said("stripe", "invoice_payment_failed", data__object__amount_due=0)
    manual = said("stripe", "invoice_payment_failed", data__object__parent=None, data__object__lines__data=[])
    assert manual == [replace(STRIPE, billing_references=())]


def test_square_without_an_order_is_the_customers() -> None:
    back, owed = said("square", "payment_failed_without_order")
    assert owed == DuesFailed("payGym0001f", back.occurred_at, (), ("CUSTGym0001",), *MONEY, is_one_try=True)
    assert len(said("square", "payment_failed")) == 1, "what an order is for is not known"
    assert len(said("square", "payment_failed_without_order", data__object__payment__status="CANCELED")) == 1


ITEM = "notificationItems__0__NotificationRequestItem"


def test_adyen_counts_only_what_is_charged_without_the_shopper() -> None:
    model = f"{ITEM}__additionalData__recurringProcessingModel"
    for other in ("CardOnFile", None, 1):
        with pytest.raises(Ignored, match="failed attempt"):
            said("adyen", "authorisation_refused_recurring", **{model: other})
    manual = on("adyen", capture="manual")
    assert said("adyen", "authorisation_refused_recurring", adapter=manual) == [ADYEN]
    with pytest.raises(Ignored, match="zero amount"):
        said("adyen", "authorisation_refused_recurring", **{f"{ITEM}__amount__value": 0})


def test_what_is_unreadable_is_quarantined() -> None:
    with pytest.raises(Unusable, match="one_try"):
        said("standard_webhooks", "payment_failed", data__one_try="yes")
    with pytest.raises(Unusable, match="too long"):
        said("authorize_net", "subscription_failed", payload__id="1" * 250)


def test_nothing_pending_is_a_failure() -> None:
    pending = fetched("paypal", "sale_completed", state="pending")
    with pytest.raises(NotYet):
        said("paypal", "sale_completed", pending)
    for kind in ("payments.submitted", "payments.created", "payments.resubmission_requested"):
        event = json.dumps(json.loads(recorded("gocardless")["payment_failed"])["events"][0]).encode()
        with pytest.raises(Ignored):
            on("gocardless").interpret(kind, event)
