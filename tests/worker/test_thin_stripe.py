"""Stripe's thin events through the whole path: delivered, fetched over HTTP, credited, and waiting without a key."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from local import stripe_bodies
from local.standin import StandIn
from runtime.settings import Settings
from tests.worker.scene import NOW, PAID_AT, PER_DUES, Make, arrive, due_now, join, paid, rows, states, usable, value
from webhooks.processors import adapter
from worker.crediting import Crediting
from worker.fetching import Fetching


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn("stripe", tmp_path) as standin:
        yield standin


@pytest.fixture
def keyed(settings: Settings, api: StandIn) -> Settings:
    """The endpoint of Stripe with an API key."""
    key = (SecretStr("sk_test_1"),)
    stripe = settings.endpoints[0].model_copy(update={"api_key": key, "options": {"api": api.url}})
    return settings.model_copy(update={"endpoints": (stripe,)})


def fetch(settings: Settings, make: Make) -> int:
    return Fetching(settings, make, adapter(settings.endpoints[0])).drain()


def credit(settings: Settings, make: Make) -> int:
    return Crediting(settings, make, lambda: NOW).drain()


def happened(make: Make, api: StandIn, kind: str, place: str, found: dict[str, object]) -> None:
    """Stripe tells thinly of an object, which its API has."""
    api.objects.put(place.rpartition("/")[2], str(found["id"]), found)
    related = {"id": found["id"], "type": found["object"], "url": f"/v1/{place}/{found['id']}"}
    event = {
        "id": f"evt_{kind}_{found['id']}", "object": "v2.core.event", "type": f"v1.{kind}", "livemode": False,
        "created": PAID_AT.astimezone(UTC).isoformat(), "context": None, "related_object": related,
    }  # fmt: skip
    arrive(make, json.dumps(event).encode())


def test_what_thin_events_name_is_fetched_and_counts(keyed: Settings, make: Make, api: StandIn) -> None:
    join(make, "sub_1")
    at = int(PAID_AT.timestamp())
    happened(make, api, "invoice.paid", "invoices", stripe_bodies.invoice("in_1", "sub_1", at))
    assert credit(keyed, make) == 0, "nothing is known of it before it is fetched"
    link = {"id": "inpay_1"} | stripe_bodies.invoice_payment("in_1", "pi_1")
    happened(make, api, "invoice_payment.paid", "invoice_payments", link)
    assert (fetch(keyed, make), credit(keyed, make)) == (2, 2)
    assert usable(make, "sub_1") == PER_DUES
    happened(make, api, "refund.created", "refunds", stripe_bodies.refund("re_1", "pi_1", at + 60, 8900))
    assert (fetch(keyed, make), credit(keyed, make)) == (1, 1)
    assert usable(make, "sub_1") == (0, 0)
    assert states(make) == {"processed": 3}


def test_the_snapshot_of_the_same_payment_adds_nothing(keyed: Settings, make: Make, api: StandIn) -> None:
    join(make, "sub_1")
    arrive(make, paid("in_1", "sub_1"))
    invoice = stripe_bodies.invoice("in_1", "sub_1", int(PAID_AT.timestamp()))
    happened(make, api, "invoice.paid", "invoices", invoice)
    fetch(keyed, make)
    credit(keyed, make)
    assert states(make) == {"processed": 2}
    assert usable(make, "sub_1") == PER_DUES


def test_without_an_api_key_it_waits_and_says_so(settings: Settings, keyed: Settings, make: Make, api: StandIn) -> None:
    join(make, "sub_1")
    happened(make, api, "invoice.paid", "invoices", stripe_bodies.invoice("in_1", "sub_1", int(PAID_AT.timestamp())))
    assert fetch(settings, make) == 0
    assert credit(settings, make) == 0
    [(error,)] = rows(make, "SELECT error FROM webhook_events")
    assert error.startswith("waits for stripe: there is no API key: put ")
    assert "SPP_API_KEY_STRIPE" in error
    assert value(make, "SELECT waits_since IS NOT NULL FROM webhook_events")
    due_now(make)
    assert (fetch(keyed, make), credit(keyed, make)) == (1, 1)
    assert usable(make, "sub_1") == PER_DUES


def test_a_snapshot_needs_no_key(settings: Settings, make: Make) -> None:
    join(make, "sub_1")
    arrive(make, paid("in_1", "sub_1", at=datetime(2026, 3, 10, 10, tzinfo=UTC)))
    assert (fetch(settings, make), credit(settings, make)) == (0, 1)
    assert usable(make, "sub_1") == PER_DUES
