"""What each processor is answered over HTTP: its own bodies and statuses, batches whole or not at all, challenges."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from time import time

import pytest
import urllib3.util.connection
from sqlalchemy import event

from local import endpoints, samples
from models.database.engine import make_engine
from models.inbox import storing
from models.inbox.storing import NewEvent, Stored
from runtime.settings import Settings
from tests.webhooks.deliveries import recorded
from tests.webhooks.site import Site, eventually
from webhooks.processors import ADAPTERS, Delivery, Processor, adapters, adyen, gocardless

DECLARED = {
    "stripe": (b"", 400),
    "standard": (b"", 400),
    "gocardless": (b"", 498),
    "adyen": (b"[accepted]", 401),
    "square": (b"", 400),
    "braintree": (b"", 400),
    "paypal": (b"", 400),
    "authorize-net": (b"", 400),
}


@pytest.fixture(scope="module")
def everybody(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An app with an endpoint of every processor."""
    with endpoints.provided(tmp_path_factory.mktemp("everybody"), run=False) as provided:
        named = {"endpoints": provided["SPP_ENDPOINTS"], "secrets_dir": provided["SPP_SECRETS_DIR"]}
        ours = Settings(database_url=settings.database_url, broker_url=settings.broker_url, **named).with_secrets()
    site = Site(ours)
    yield site
    site.close()


@pytest.fixture(scope="module")
def processors(everybody: Site) -> dict[str, Processor]:
    return adapters(everybody.settings.endpoints)


def paid(processor: Processor) -> Delivery:
    number = str(int(time() * 1_000_000))
    made = samples.sample(processor.endpoint.processor, "paid", reference="sub_1", number=number, now=datetime.now(UTC))
    return processor.sign(made[0].content, int(time()))


def test_every_processor_is_among_them() -> None:
    assert {name.replace("-", "_") for name in DECLARED} == {name.removesuffix("_webhooks") for name in ADAPTERS}


@pytest.mark.parametrize("name", DECLARED)
def test_accepted_and_refused(everybody: Site, processors: dict[str, Processor], name: str) -> None:
    accepted, refused = DECLARED[name]
    delivery = paid(processors[name])
    answer = everybody.post(name, delivery.body, delivery.headers)
    assert (answer.status_code, answer.data) == (200, accepted)
    before = everybody.count()
    for other in DECLARED.keys() - {name}:
        strange = paid(processors[other])
        assert everybody.post(name, strange.body, strange.headers).status_code == refused
    assert everybody.count() == before
    assert everybody.post(name, delivery.body, delivery.headers).data == accepted, "a repeat is accepted too"
    assert everybody.count() == before


def batch_of(size: int) -> bytes:
    first = json.loads(recorded("gocardless")["payment_confirmed"])["events"][0]
    events = [first | {"id": f"EV{int(time() * 1000)}N{number}"} for number in range(size)]
    return json.dumps({"events": events, "meta": {"webhook_id": "WB1"}}).encode()


def test_a_batch_of_250_is_stored_in_one_statement(
    everybody: Site, processors: dict[str, Processor], settings: Settings
) -> None:
    gocardless = processors["gocardless"]
    parts = gocardless.parse(*gocardless.sign(batch_of(250), 0))
    statements: list[str] = []
    engine = make_engine(settings.database_url, autocommit=True)
    event.listen(engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    with engine.connect() as connection:
        stored = storing.store(connection, [NewEvent("gocardless", *part) for part in parts], lambda *_: True)
    engine.dispose()
    assert stored == [Stored.NEW] * 250
    assert len(statements) == 1


def test_one_event_that_cannot_be_read_harms_no_other_of_its_batch(
    everybody: Site, processors: dict[str, Processor]
) -> None:
    batch = json.loads(batch_of(3))
    batch["events"][1] = {"id": None, "links": [[[[]]]]}
    before = everybody.count()
    delivery = processors["gocardless"].sign(json.dumps(batch).encode(), 0)
    assert everybody.post("gocardless", delivery.body, delivery.headers).status_code == 200
    assert everybody.count() == before + 3
    for number, state in ((0, "pending"), (2, "pending")):
        [row] = everybody.events(batch["events"][number]["id"], "gocardless")
        assert (row.state, row.thin) == (state, True)


def items(*ids: str) -> bytes:
    delivery = json.loads(next(body for name, body in recorded("adyen").items() if "authorisation" in name))
    [wrapper] = delivery["notificationItems"]
    delivery["notificationItems"] = [
        {"NotificationRequestItem": {**wrapper["NotificationRequestItem"], "pspReference": name}} for name in ids
    ]
    return json.dumps(delivery).encode()


def test_a_batch_with_one_forged_item_is_refused_whole(everybody: Site, processors: dict[str, Processor]) -> None:
    before = everybody.count()
    delivery = processors["adyen"].sign(items("PSPFORGED1", "PSPFORGED2"), 0)
    forged = json.loads(delivery.body)
    forged["notificationItems"][1]["NotificationRequestItem"]["amount"]["value"] += 1
    answer = everybody.post("adyen", json.dumps(forged).encode(), delivery.headers)
    assert (answer.status_code, everybody.count()) == (401, before)


def test_one_captured_item_many_times_is_one_event(everybody: Site, processors: dict[str, Processor]) -> None:
    before = everybody.count()
    delivery = processors["adyen"].sign(items(*["PSPAGAIN"] * adyen.MOST_ITEMS), 0)
    padded = json.dumps({**json.loads(delivery.body), "padding": "x" * 900_000}).encode()
    assert everybody.post("adyen", padded, delivery.headers).status_code == 200
    assert everybody.count() == before + 1
    [[size]] = everybody.rows("SELECT length(body) FROM webhook_events WHERE event_id LIKE '%PSPAGAIN%'")
    assert size < 2_000, "an item is kept alone"
    # Counts are written down in the order of the deliveries: when the refused one is there, so is the one before it.
    refused = everybody.counts("adyen").get("bad_signature", 0)
    assert everybody.post("adyen", b"{}", {}).status_code == 401
    assert eventually(lambda: everybody.counts("adyen").get("bad_signature", 0) > refused)
    assert everybody.counts("adyen").get("unfinished_duplicate", 0) < adyen.MOST_ITEMS - 1, "a repeat in it is none"


@pytest.mark.parametrize("name", ["adyen", "gocardless"])
def test_a_delivery_of_more_than_its_processor_ever_sends_is_refused_unread_and_counted(
    everybody: Site, processors: dict[str, Processor], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    most, make = {
        "adyen": (adyen.MOST_ITEMS, lambda number: items(*(f"PSP{number}" for number in range(number)))),
        "gocardless": (gocardless.MOST_EVENTS, batch_of),
    }[name]
    delivery = processors[name].sign(make(most + 1), 0)
    monkeypatch.setattr(adyen, "_signature", lambda *_: pytest.fail("no signature is computed of it"))
    monkeypatch.setattr(gocardless, "_event", lambda _: pytest.fail("no event of it is read"))
    before = everybody.count()
    answer = everybody.post(name, delivery.body, delivery.headers)
    assert (answer.status_code, everybody.count()) == (413, before)
    assert str(most) in answer.text
    assert eventually(lambda: everybody.counts(name).get("too_many") == 1)
    monkeypatch.undo()
    whole = processors[name].sign(make(most), 0)
    assert everybody.post(name, whole.body, whole.headers).status_code == 200
    assert everybody.count() == before + most


def test_an_authentic_item_that_cannot_be_used_never_blocks_its_queue(
    everybody: Site, processors: dict[str, Processor]
) -> None:
    delivery = json.loads(processors["adyen"].sign(items("PSPGARBAGE1", "PSPGARBAGE2"), 0).body)
    delivery["notificationItems"][0]["NotificationRequestItem"]["eventDate"] = {"not": ["a date"]}
    answer = everybody.post("adyen", json.dumps(delivery).encode(), {})
    assert (answer.status_code, answer.data) == (200, b"[accepted]")
    ids = [row[0] for row in everybody.rows("SELECT event_id FROM webhook_events WHERE event_id LIKE '%PSPGARBAGE%'")]
    assert len(ids) == 2


def test_braintrees_challenge_is_answered_and_no_other_get(everybody: Site, processors: dict[str, Processor]) -> None:
    asked = "20f9f8ed05f77439fe955c977e4c8a53"
    answer = everybody.app.test_client().get(f"/webhooks/braintree?bt_challenge={asked}")
    assert (answer.status_code, answer.text) == (200, processors["braintree"].challenge({"bt_challenge": asked}))
    for path, status in (
        ("/webhooks/braintree", 405),
        ("/webhooks/braintree?bt_challenge=x", 405),
        (f"/webhooks/stripe?bt_challenge={asked}", 405),
        (f"/webhooks/nowhere?bt_challenge={asked}", 404),
    ):
        refused = everybody.app.test_client().get(path)
        assert refused.status_code == status
        assert status != 405 or refused.headers["Allow"] == "POST"


def test_what_cannot_be_verified_now_is_asked_for_again(
    everybody: Site, processors: dict[str, Processor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(urllib3.util.connection, "create_connection", refuse)
    delivery = paid(processors["paypal"])
    url = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-ELSEWHERE"
    before = everybody.count()
    answer = everybody.post("paypal", delivery.body, {**delivery.headers, "PAYPAL-CERT-URL": url})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert everybody.count() == before
