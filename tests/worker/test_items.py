"""An invoice of Square's for dues and a towel: its items are fetched, and one of them is marked as not dues."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from local import sample_gym
from local.standin import StandIn
from models.inbox import storing
from models.inbox.storing import NewEvent
from models.payments import not_dues
from runtime.settings import Endpoint, Settings
from tests.webhooks.deliveries import changed, recorded
from tests.worker.scene import PER_DUES, PICKS, Make, rows, usable
from webhooks.processors import adapter
from worker.crediting import Crediting
from worker.fetching import Fetching

PAID_AT = datetime(2026, 11, 2, 16, tzinfo=UTC)
NOW = PAID_AT + timedelta(minutes=1)
TOTAL = {"amount": 10900, "currency": "USD"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn("square", tmp_path) as standin:
        bought = [("GOLD", 8900), ("TOWEL", 2000)]
        items = [
            {"catalog_object_id": item, "quantity": "1", "total_money": {"amount": amount, "currency": "USD"}}
            for item, amount in bought
        ]
        standin.objects.put("orders", "orderGym0001", {"id": "orderGym0001", "line_items": items})
        yield standin


@pytest.mark.parametrize("is_marked_before", [True, False])
def test_dues_beside_a_marked_item_are_the_dues(
    settings: Settings, make: Make, api: StandIn, is_marked_before: bool
) -> None:
    options = {"url": "https://gym.example/webhooks/square", "api": api.url}
    square = Endpoint(
        name="square", processor="square", mode="test", options=options, secrets=("s",), api_key=(SecretStr("t"),)
    )
    settings = settings.model_copy(update={"endpoints": (square,)})
    with make.begin() as session:
        sample_gym.join(session, "sub_1@example.com", "Ada", PICKS, [("square", "CUSTGym0001")])

    def mark() -> None:
        with make.begin() as session:
            not_dues.mark(session, "square", "item:TOWEL", reason="a towel", by=sample_gym.BY)

    if is_marked_before:
        mark()
    request = "data__object__invoice__payment_requests__0"
    body = changed(
        recorded("square")["invoice_without_subscription"],
        **{f"{request}__computed_amount_money": TOTAL, f"{request}__total_completed_amount_money": TOTAL},
    )
    events = [NewEvent("square", *part) for part in adapter(square).parse(body, {})]
    with make.begin() as session:
        storing.store(session, events, lambda *_: False)
    crediting = Crediting(settings, make, lambda: NOW)
    assert crediting.drain() == 0
    assert Fetching(settings, make, adapter(square)).drain() == 1
    assert crediting.drain() == 1
    if not is_marked_before:
        mark()
        crediting.sweep()
    assert usable(make, "sub_1", NOW) == PER_DUES
    assert rows(make, "SELECT reason FROM payment_reviews WHERE answered_by IS NULL") == []
