"""Stripe's thin events: what they name is fetched over real HTTP, and means what the snapshot event would."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.standin import StandIn
from models.payments.facts import Fact, Reversed
from tests.webhooks.deliveries import changed, endpoint, part_of, recorded
from webhooks.processors import Ignored, Processor, Unavailable, Unusable

RECORDED = recorded("stripe")
THIN = RECORDED["thin_invoice_paid"]
AT = datetime(2026, 11, 1, 9, 20, 10, 246_000, UTC)
PLACES = {
    "invoice_paid": "invoices",
    "invoice_payment_paid": "invoice_payments",
    "checkout_session_completed": "checkout/sessions",
    "refund_created": "refunds",
    "refund_failed": "refunds",
    "charge_refunded": "charges",
    "credit_note_created": "credit_notes",
    "dispute_funds_withdrawn": "disputes",
    "dispute_funds_reinstated": "disputes",
    "dispute_closed": "disputes",
}


@pytest.fixture
def stripe(tmp_path: Path) -> Iterator[StandIn]:
    """The API, which knows nothing."""
    with StandIn("stripe", tmp_path) as standin:
        yield standin


def on(stripe: StandIn, *key: str, account: str | None = None) -> Processor:
    return endpoint("stripe", "whsec_test", api=stripe.url, api_key=key or ("sk_test_1",), account=account)


def thin(snapshot: bytes, place: str) -> bytes:
    """The thin event beside a snapshot event."""
    event = json.loads(snapshot)
    found = event["data"]["object"]
    related = {"id": found["id"], "type": found["object"], "url": f"/v1/{place}/{found['id']}"}
    return changed(THIN, type=f"v1.{event['type']}", related_object=related)


def fetched(adapter: Processor, body: bytes) -> list[Fact]:
    part = part_of(adapter, body)
    assert part.thin
    return adapter.interpret(part.type, part.body, adapter.fetch(part.type, part.body))


def put(stripe: StandIn, name: str, **changes: Any) -> None:
    """What the recorded event is about, as the API has it now."""
    found = json.loads(RECORDED[name])["data"]["object"] | changes
    stripe.objects.put(PLACES[name].rpartition("/")[2], found["id"], found)


@pytest.mark.parametrize("name", PLACES)
def test_it_means_what_its_snapshot_means(stripe: StandIn, name: str) -> None:
    adapter, snapshot = on(stripe), RECORDED[name]
    put(stripe, name)
    (part,) = adapter.parse(snapshot, {})
    made = datetime.fromtimestamp(json.loads(snapshot)["created"], UTC)
    expected = [
        replace(fact, occurred_at=AT if fact.occurred_at == made else fact.occurred_at)
        for fact in adapter.interpret(part.type, part.body)
    ]
    assert fetched(adapter, thin(snapshot, PLACES[name])) == expected


def test_it_is_read_as_it_is_now(stripe: StandIn) -> None:
    put(stripe, "charge_refunded", amount_refunded=8900)
    facts = fetched(on(stripe), thin(RECORDED["charge_refunded"], "charges"))
    assert [fact.amount_minor for fact in facts if isinstance(fact, Reversed)] == [8900]


def test_who_paid_is_known(stripe: StandIn) -> None:
    put(stripe, "invoice_paid")
    adapter = on(stripe)
    details = adapter.payer_details("v1.invoice.paid", THIN, adapter.fetch("v1.invoice.paid", THIN))
    assert details == adapter.payer_details("invoice.paid", RECORDED["invoice_paid"]) is not None


@pytest.mark.parametrize("type", ["v1.customer.created", "v1.invoice.created", "v1.charge.succeeded", "v2.core.x"])
def test_what_is_not_about_dues_is_not_fetched(stripe: StandIn, type: str) -> None:
    part = part_of(on(stripe), changed(THIN, type=type))
    assert not part.thin
    with pytest.raises(Ignored):
        on(stripe).interpret(part.type, part.body)


def test_of_a_connected_account(stripe: StandIn) -> None:
    put(stripe, "invoice_paid")
    ours, theirs = (changed(THIN, context=context) for context in ("acct_1", "acct_2"))
    assert fetched(on(stripe, account="acct_1"), ours)
    for body, account in ((theirs, "acct_1"), (THIN, "acct_1"), (ours, None)):
        with pytest.raises(Unusable, match="context is"):
            fetched(on(stripe, account=account), body)
    assert len(stripe.asked) == 1


def test_without_a_key_it_waits() -> None:
    adapter = endpoint("stripe", "whsec_test")
    with pytest.raises(Unavailable, match=r"there is no API key: put a secret or restricted key .* SPP_API_KEY_STRIPE"):
        adapter.fetch("v1.invoice.paid", THIN)


def test_with_a_key_of_the_other_mode_it_waits(stripe: StandIn) -> None:
    with pytest.raises(Unavailable, match="SPP_API_KEY_STRIPE is not a test-mode key"):
        fetched(on(stripe, "sk_live_1"), THIN)
    assert not stripe.asked


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_stripe_refuses(stripe: StandIn, status: int) -> None:
    stripe.fail(status, body=b'{"error": {"message": "No such key"}}')
    with pytest.raises(Unavailable, match=f"status {status}.*SPP_API_KEY_STRIPE"):
        fetched(on(stripe), THIN)


def test_what_the_api_has_not(stripe: StandIn) -> None:
    with pytest.raises(LookupError, match="GET /v1/invoices/in_Gym0001"):
        fetched(on(stripe), THIN)


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[]", b"{}", b'{"id": "in_2"}', b'{"id": 1, "id": 2}'])
def test_an_answer_about_something_else_is_none(stripe: StandIn, body: bytes) -> None:
    stripe.fail(200, body=body)
    with pytest.raises(Unavailable):
        fetched(on(stripe), THIN)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/v1/invoices/in_Gym0001", "//example.com/v1/invoices/in_Gym0001", "/v1/invoices/in_2",
        "/v1/invoices/../in_Gym0001", "/v1/invoices/in_Gym0001?expand[]=customer", "/v1/invoices/in_Gym0001/", "",
        None, 7,
    ],
)  # fmt: skip
def test_only_a_place_of_that_object_is_asked(stripe: StandIn, url: object) -> None:
    put(stripe, "invoice_paid")
    with pytest.raises(Unusable, match="related_object"):
        fetched(on(stripe), changed(THIN, related_object__url=url))
    assert not stripe.asked


def test_another_object_than_it_names_is_not_read(stripe: StandIn) -> None:
    put(stripe, "invoice_paid")
    adapter = on(stripe)
    resource = adapter.fetch("v1.invoice.paid", THIN)
    with pytest.raises(Unusable, match="another object"):
        adapter.interpret("v1.invoice.paid", changed(THIN, related_object__id="in_2"), resource)
    with pytest.raises(Unusable, match="not fetched"):
        adapter.interpret("v1.invoice.paid", THIN)
