"""Thin events: fetched over HTTP before they count; a processor that is away delays only its own."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time

import pytest
import structlog

from local import sample_gym, samples
from local.servers import Broker
from local.standin import StandIn
from models.inbox import queue, storing, thin_events
from models.inbox.storing import NewEvent
from models.members.lookup import find_member
from models.members.memberships import add_billing_reference
from runtime import logs
from runtime.settings import Endpoint, Settings
from tests.worker.conftest import Running
from tests.worker.scene import (
    NOW,
    Make,
    arrive,
    credited,
    credited_once,
    due_now,
    join,
    paid,
    paid_now,
    rows,
    run,
    states,
    until,
    value,
)
from webhooks.processors import Processor, adapter
from worker.crediting import Crediting
from worker.fetching import Fetching

DUE = "SELECT count(*) FROM webhook_events WHERE state = 'pending' AND thin AND next_attempt_at <= clock_timestamp()"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn("gocardless", tmp_path) as standin:
        yield standin


def gocardless(api: StandIn, name: str = "gocardless") -> Endpoint:
    return Endpoint(
        name=name, processor="gocardless", mode="test", options={"api": api.url}, secrets=("s",), api_key=("t",)
    )


@pytest.fixture
def both(settings: Settings, api: StandIn) -> Settings:
    """An endpoint whose events are thin beside one whose are not."""
    return settings.model_copy(update={"endpoints": (*settings.endpoints, gocardless(api))})


@pytest.fixture
def fetching(both: Settings, make: Make) -> Fetching:
    return Fetching(both, make, adapter(both.endpoints[-1]))


@pytest.fixture
def crediting(both: Settings, make: Make) -> Crediting:
    return Crediting(both, make, lambda: NOW)


def happened(
    make: Make,
    api: StandIn,
    payment: str,
    reference: str,
    *,
    known: bool = True,
    at: datetime = NOW,
    endpoint: str = "gocardless",
) -> None:
    """GoCardless tells that dues were paid; with `known`, its API tells of the payment."""
    processor: Processor = adapter(gocardless(api, endpoint))
    for sample in samples.sample("gocardless", "paid", reference=reference, number=payment, now=at):
        if known:
            for (kind, name), told in sample.api.items():
                api.objects.put(kind, name, told)
        delivery = processor.sign(sample.content, int(time()))
        headers = {name.lower(): text for name, text in delivery.headers.items()}
        assert processor.verify(delivery.body, headers, time()) is None
        events = [NewEvent(endpoint, *part) for part in processor.parse(delivery.body, headers)]
        with make.begin() as session:
            storing.store(session, events, lambda _, first, second: processor.same_content(first, second))


def also_by(make: Make, subscription: str, endpoint: str) -> None:
    """The member pays through that endpoint too, under the same reference."""
    with make.begin() as session:
        member = find_member(session, f"{subscription}@example.com")
        assert member is not None
        add_billing_reference(session, member.memberships[0], endpoint, subscription, by=sample_gym.BY)


def why(make: Make) -> list[str]:
    return [error for (error,) in rows(make, "SELECT error FROM webhook_events WHERE state = 'pending' ORDER BY id")]


def test_it_counts_when_it_was_fetched_and_not_before(
    fetching: Fetching, crediting: Crediting, make: Make, api: StandIn
) -> None:
    join(make, "SB1")
    also_by(make, "SB1", "gocardless")
    happened(make, api, "1", "SB1")
    assert crediting.drain() == 0
    assert states(make) == {"pending": 1}
    assert fetching.drain() == 1
    assert crediting.drain() == 1
    assert credited_once(make, ["PM001"])
    [(thin, resource, attempts)] = rows(make, "SELECT thin, resource, attempts FROM webhook_events")
    assert (thin, attempts) == (False, 1)
    assert b'"amount":8900' in bytes(resource)
    asked = len(api.asked)
    assert fetching.drain() == 0
    assert len(api.asked) == asked


def test_an_outage_delays_only_its_own_events_and_they_say_so(
    fetching: Fetching, crediting: Crediting, make: Make, api: StandIn
) -> None:
    join(make, "SB1", "sub_2")
    also_by(make, "SB1", "gocardless")
    for payment in ("1", "2", "3"):
        happened(make, api, payment, "SB1")
    arrive(make, paid("in_2", "sub_2"))
    api.fail(503, times=100)
    assert fetching.drain() == 0
    assert crediting.drain() == 1
    assert credited_once(make, ["in_2"])
    assert len(why(make)) == 3
    assert all(error.startswith("waits for gocardless: ") for error in why(make))
    # One was tried; the others are put off with it, and wait as long.
    asked = len(api.asked)
    assert value(make, DUE) == 0
    assert fetching.drain() == 0
    assert len(api.asked) == asked


def test_after_the_outage_all_goes_on(fetching: Fetching, crediting: Crediting, make: Make, api: StandIn) -> None:
    join(make, "SB1")
    also_by(make, "SB1", "gocardless")
    for payment in ("1", "2", "3"):
        happened(make, api, payment, "SB1")
    api.fail(503, times=3)
    fetching.drain()
    due_now(make)
    until(lambda: fetching.drain() or due_now(make) or not value(make, DUE))
    fetching.drain()
    assert crediting.drain() == 3
    assert credited_once(make, ["PM001", "PM002", "PM003"])
    assert rows(make, "SELECT DISTINCT error FROM webhook_events") == [(None,)]


def test_an_outage_uses_up_no_tries_however_long(fetching: Fetching, make: Make, api: StandIn) -> None:
    happened(make, api, "1", "SB1")
    refusal = {"message": "Access token not found", "type": "invalid_api_usage", "code": 401, "errors": []}
    api.fail(401, times=1000, body=json.dumps({"error": refusal}).encode())
    for _ in range(fetching.settings.max_attempts + 5):
        fetching.drain()
        waits_s = value(make, "SELECT extract(epoch FROM next_attempt_at - clock_timestamp()) FROM webhook_events")
        assert waits_s < 1.5 * 300
        due_now(make)
    assert states(make) == {"pending": 1}
    assert "SPP_API_KEY_GOCARDLESS" in why(make)[0]


def test_what_the_api_has_not_is_tried_again_and_then_a_dead_letter(
    fetching: Fetching, crediting: Crediting, make: Make, api: StandIn
) -> None:
    join(make, "SB1")
    also_by(make, "SB1", "gocardless")
    happened(make, api, "1", "SB1", known=False)
    happened(make, api, "2", "SB1")
    assert fetching.drain() == 1
    assert crediting.drain() == 1
    [error] = why(make)
    assert error.startswith("cannot be fetched: LookupError: ")
    for _ in range(fetching.settings.max_attempts):
        due_now(make)
        fetching.drain()
    assert states(make) == {"processed": 1, "dead": 1}
    happened(make, api, "1", "SB1")
    with make.begin() as session:
        queue.replay(session, [event for (event,) in rows(make, "SELECT id FROM webhook_events WHERE state = 'dead'")])
    assert fetching.drain() == 1
    assert crediting.drain() == 1
    assert credited_once(make, ["PM001", "PM002"])


def test_an_error_that_cannot_be_stored_as_it_is_ends_like_any_other(
    fetching: Fetching,
    crediting: Crediting,
    make: Make,
    api: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    logs.configure("info")
    monkeypatch.setattr("worker.recording.log", structlog.get_logger())
    join(make, "SB1")
    also_by(make, "SB1", "gocardless")
    happened(make, api, "1", "SB1")
    refusal = {"message": "no such \0payment \ud800", "type": "invalid_api_usage", "code": 404, "errors": []}
    for _ in range(fetching.settings.max_attempts):
        api.fail(404, body=json.dumps({"error": refusal}).encode())
        assert fetching.drain() == 0
        due_now(make)
    assert states(make) == {"dead": 1}
    assert value(make, "SELECT error FROM webhook_events").endswith("no such \ufffdpayment \ufffd")
    written = [json.loads(line) for line in capfdbinary.readouterr().err.splitlines()]
    assert [line["error"][-1] for line in written] == ["\ud800"] * fetching.settings.max_attempts
    # What is known of it is shown and searched like any other's, and it is not lost.
    with make.begin() as session:
        queue.replay(session, [1])
    fetching.drain()
    crediting.drain()
    assert credited_once(make, ["PM001"])


def test_what_had_no_effect_is_fetched_again_on_replay(
    fetching: Fetching, crediting: Crediting, make: Make, api: StandIn
) -> None:
    join(make, "SB1")
    also_by(make, "SB1", "gocardless")
    happened(make, api, "1", "SB1")
    whole = api.objects.get("payments", "PM001")
    api.objects.put("payments", "PM001", whole | {"amount": "8900"})
    assert fetching.drain() == 1
    crediting.drain()
    assert states(make) == {"quarantined": 1}
    api.objects.put("payments", "PM001", whole)
    with make.begin() as session:
        queue.replay(session, [1])
    assert fetching.drain() == 1
    crediting.drain()
    assert credited_once(make, ["PM001"])


def test_two_endpoints_of_one_processor_wait_apart(both: Settings, make: Make, api: StandIn, tmp_path: Path) -> None:
    with StandIn("gocardless", tmp_path / "other") as other:
        happened(make, api, "1", "SB1")
        happened(make, other, "2", "SB1", endpoint="other")
        assert Fetching(both, make, adapter(gocardless(other, "other"))).drain() == 1
        assert rows(make, "SELECT endpoint, attempts FROM webhook_events WHERE thin") == [("gocardless", 0)]
        happened(make, other, "3", "SB1", endpoint="other")
        api.fail(500, times=100)
        assert Fetching(both, make, adapter(gocardless(api))).drain() == 0
        assert Fetching(both, make, adapter(gocardless(other, "other"))).drain() == 1


def test_an_endpoint_taken_out_of_the_settings_loses_nothing(
    both: Settings, settings: Settings, make: Make, api: StandIn
) -> None:
    join(make, "SB1")
    also_by(make, "SB1", "gocardless")
    happened(make, api, "1", "SB1")
    Crediting(settings, make, lambda: NOW).sweep()
    assert why(make) == ["its endpoint is not in SPP_ENDPOINTS: add it again, and it is fetched"]
    assert value(make, "SELECT waits_since IS NOT NULL FROM webhook_events")
    assert Fetching(both, make, adapter(both.endpoints[-1])).drain() == 1
    assert Crediting(both, make, lambda: NOW).drain() == 1
    assert credited_once(make, ["PM001"])


def test_no_transaction_is_open_while_the_api_is_asked(fetching: Fetching, make: Make, api: StandIn) -> None:
    happened(make, api, "1", "SB1")
    thread = threading.Thread(target=fetching.drain)
    with api.held() as asked:
        thread.start()
        assert asked.wait(30)
        open_ones = rows(
            make,
            "SELECT state, query FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL",
        )
    thread.join()
    assert open_ones == []


def test_a_worker_killed_while_it_asks_leaves_the_event_to_the_next(make: Make, api: StandIn) -> None:
    happened(make, api, "1", "SB1")
    with make.begin() as session:
        assert thin_events.claim(session, "gocardless", lease_s=60) is not None
    with make.begin() as session:
        assert thin_events.claim(session, "gocardless", lease_s=60) is None
    due_now(make)
    with make.begin() as session:
        again = thin_events.claim(session, "gocardless", lease_s=60)
    assert again is not None
    assert again.attempts == 2


def test_real_workers_credit_others_while_one_processor_hangs(
    running: Running, module_database: str, module_make: Make, own_broker: Broker, api: StandIn
) -> None:
    make, now = module_make, datetime.now(UTC)
    join(make, "SB1", "sub_2")
    also_by(make, "SB1", "gocardless")
    happened(make, api, "1", "SB1", at=now - timedelta(minutes=1))
    endpoints = {
        "SPP_ENDPOINTS": f"stripe=stripe:test gocardless=gocardless:test,api={api.url}",
        "SPP_SECRET_GOCARDLESS": "s",
        "SPP_API_KEY_GOCARDLESS": "t",
        # The timers are out of the way: it is fetched because the worker was rung for.
        "SPP_TIMER_EVERY_S": "3600",
        "SPP_SWEEP_EVERY_S": "1",
    }
    with running(module_database, own_broker.url, "worker", "beat", **endpoints):
        with api.held() as asked:
            assert asked.wait(60)
            arrive(make, paid_now("in_2", "sub_2"))
            until(lambda: credited(make, ["in_2"]))
            assert not credited(make, ["PM001"])
        until(lambda: credited(make, ["PM001"]) or run(make, "UPDATE webhook_events SET next_attempt_at = now()"))
    assert credited_once(make, ["in_2", "PM001"])
