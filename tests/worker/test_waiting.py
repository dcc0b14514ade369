"""Not yet is never final: what a processor's API calls pending is fetched again until it says more, and counts once."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local import sample_gym
from local.standin import StandIn
from models.errors import NotRepairable
from models.inbox import repairs, storing, thin_events
from models.inbox.reconciliation import Counts
from models.inbox.storing import NewEvent
from models.members.lookup import find_member
from models.members.memberships import add_billing_reference
from runtime.settings import Endpoint, Settings
from tests.worker.scene import NOW, Make, credited_once, due_now, join, rows, run, states, usable, value
from webhooks.processors import Processor, adapter
from worker.crediting import Crediting
from worker.fetching import Fetching
from worker.reconciling import Reconciling

AT = (NOW - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
HOST = "https://api.sandbox.paypal.com"
WHOLE, NOTHING = (4, 8), (0, 0)
WAITS_S = "SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::float8 FROM webhook_events ORDER BY id"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn("paypal", tmp_path) as standin:
        yield standin


@pytest.fixture
def paypal(api: StandIn) -> Processor:
    return adapter(
        Endpoint(
            name="paypal",
            processor="paypal",
            mode="test",
            options={"api": api.url},
            secrets=("WEBHOOK1",),
            api_key=("client", "secret"),
        )
    )


@pytest.fixture
def ours(settings: Settings, paypal: Processor) -> Settings:
    return settings.model_copy(update={"endpoints": (*settings.endpoints, paypal.endpoint)})


class Desk:
    """A member who pays by PayPal, and all that works for the endpoint."""

    def __init__(self, settings: Settings, make: Make, paypal: Processor, api: StandIn) -> None:
        self.make, self.paypal, self.api = make, paypal, api
        self.fetching = Fetching(settings, make, paypal)
        self.crediting = Crediting(settings, make, lambda: NOW)
        self.reconciling = Reconciling(make, paypal, lambda: NOW)
        join(make, "I-1")
        with make.begin() as session:
            member = find_member(session, "I-1@example.com")
            assert member is not None
            add_billing_reference(session, member.memberships[0], "paypal", "I-1", by=sample_gym.BY)

    def tells(self, kind: str, name: str, **told: Any) -> None:
        """PayPal's API tells so of that object from now on."""
        place = {"sale": "v1/payments", "captures": "v2/payments", "refunds": "v2/payments", "disputes": "v1/customer"}
        own = {"rel": "self", "href": f"{HOST}/{place[kind]}/{kind}/{name}"}
        money = {"total": "89.00", "currency": "USD"} if kind == "sale" else {"value": "89.00", "currency_code": "USD"}
        known = {"id": name, "create_time": AT, "update_time": AT, "amount": money, "billing_agreement_id": "I-1"}
        if kind == "disputes":
            known |= {"dispute_id": name, "dispute_amount": money}
        links = [own, *told.pop("links", [])]
        self.api.objects.put(kind, name, known | {"links": links} | told)

    def posts(self, kind: str, type: str, name: str, number: int = 1) -> None:
        """PayPal's webhook tells of the object as its API does now."""
        told = {
            "id": f"WH-{number}",
            "event_type": type,
            "create_time": AT,
            "resource": self.api.objects.get(kind, name),
        }
        self.api.objects.put("webhooks-events", f"WH-{number}", told)
        with self.make.begin() as session:
            events = [NewEvent("paypal", *part) for part in self.paypal.parse(json.dumps(told).encode(), {})]
            storing.store(session, events, lambda _, first, second: self.paypal.same_content(first, second))

    def work(self) -> None:
        """Does all that is due now."""
        self.fetching.drain()
        self.crediting.drain()

    def later(self) -> None:
        """Goes on when all waits are over."""
        due_now(self.make)
        self.work()

    def usable(self) -> tuple[int, int]:
        return usable(self.make, "I-1")

    def why(self) -> list[str]:
        return [error for (error,) in rows(self.make, "SELECT error FROM webhook_events WHERE error IS NOT NULL")]


@pytest.fixture
def desk(ours: Settings, make: Make, paypal: Processor, api: StandIn) -> Desk:
    return Desk(ours, make, paypal, api)


def test_a_sale_that_the_api_still_calls_pending_is_credited_when_it_is_completed(desk: Desk) -> None:
    desk.tells("sale", "S1", state="pending")
    desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
    for _ in range(3):
        desk.later()
    assert states(desk.make) == {"pending": 1}
    assert desk.why() == [
        "waits for paypal: PayPal says that the payment is pending, though the event says PAYMENT.SALE.COMPLETED"
    ]
    assert desk.usable() == NOTHING
    desk.tells("sale", "S1", state="completed")
    desk.later()
    assert states(desk.make) == {"processed": 1}
    assert credited_once(desk.make, ["S1"])
    assert desk.why() == []


def test_one_that_is_denied_after_all_is_done_with(desk: Desk) -> None:
    desk.tells("sale", "S1", state="pending")
    desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
    desk.work()
    desk.tells("sale", "S1", state="denied")
    desk.later()
    assert states(desk.make) == {"processed": 1}
    assert desk.usable() == NOTHING


def test_a_refund_that_is_pending_takes_back_when_it_is_completed(desk: Desk) -> None:
    desk.tells("captures", "C1", status="COMPLETED", custom_id="I-1")
    desk.posts("captures", "PAYMENT.CAPTURE.COMPLETED", "C1")
    desk.work()
    up = [{"rel": "up", "href": f"{HOST}/v2/payments/captures/C1"}]
    desk.tells("refunds", "R1", status="PENDING", links=up)
    desk.posts("refunds", "PAYMENT.CAPTURE.REFUNDED", "R1", number=2)
    desk.later()
    assert desk.usable() == WHOLE
    desk.tells("refunds", "R1", status="COMPLETED", links=up)
    desk.later()
    assert desk.usable() == NOTHING
    assert states(desk.make) == {"processed": 2}


def test_a_reversal_that_the_api_does_not_know_of_yet(desk: Desk) -> None:
    desk.tells("sale", "S1", state="completed")
    desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
    desk.work()
    desk.posts("sale", "PAYMENT.SALE.REVERSED", "S1", number=2)
    desk.later()
    assert desk.usable() == WHOLE
    desk.tells("sale", "S1", state="reversed")
    desk.later()
    assert desk.usable() == NOTHING
    assert states(desk.make) == {"processed": 2}


def test_a_dispute_that_the_api_does_not_call_resolved_yet(desk: Desk) -> None:
    desk.tells("sale", "S1", state="completed")
    desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
    disputed = {"disputed_transactions": [{"seller_transaction_id": "S1"}]}
    desk.tells("disputes", "D1", status="UNDER_REVIEW", **disputed)
    desk.posts("disputes", "CUSTOMER.DISPUTE.RESOLVED", "D1", number=2)
    desk.later()
    assert desk.usable() == WHOLE
    desk.tells(
        "disputes", "D1", status="RESOLVED", dispute_outcome={"outcome_code": "RESOLVED_BUYER_FAVOUR"}, **disputed
    )
    desk.later()
    assert desk.usable() == NOTHING


def test_two_partial_reversals_add_up(desk: Desk) -> None:
    desk.tells("captures", "C1", status="COMPLETED", custom_id="I-1")
    desk.posts("captures", "PAYMENT.CAPTURE.COMPLETED", "C1")
    up = [{"rel": "up", "href": f"{HOST}/v2/payments/captures/C1"}]
    for number, amount in ((2, "30.00"), (3, "20.00")):
        money = {"value": amount, "currency_code": "USD"}
        desk.tells("refunds", f"R{number}", status="COMPLETED", links=up, amount=money)
        desk.posts("refunds", "PAYMENT.CAPTURE.REVERSED", f"R{number}", number=number)
    desk.work()
    assert desk.usable() == (2, 4), "50.00 of 89.00 went back"


def test_a_wait_uses_up_no_tries_and_grows_to_an_hour(desk: Desk) -> None:
    desk.tells("sale", "S1", state="pending")
    desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
    desk.work()
    assert 0 < value(desk.make, WAITS_S) <= 1.5 * 2
    for _ in range(20):
        desk.later()
    assert rows(desk.make, "SELECT attempts, state FROM webhook_events") == [(0, "pending")]
    for waited_s, wait_s in ((100, 100), (1000, 1000), (50_000, 3600), (10**7, 3600)):
        run(desk.make, f"UPDATE webhook_events SET waits_since = clock_timestamp() - interval '{waited_s} s'")
        desk.later()
        assert 0.5 * wait_s - 60 < value(desk.make, WAITS_S) < 1.5 * wait_s + 60


def test_a_wait_is_one_error_however_often_it_was_asked(desk: Desk) -> None:
    desk.tells("sale", "S1", state="pending")
    desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
    for _ in range(5):
        desk.later()
    desk.api.fail(500)
    desk.later()
    desk.later()
    told = [error for (error,) in rows(desk.make, "SELECT error FROM event_errors ORDER BY id")]
    assert [told[0], told[2]] == [told[0]] * 2
    assert len(told) == 3
    assert "500" in told[1]


def test_what_waits_holds_up_no_other(desk: Desk) -> None:
    desk.tells("sale", "S1", state="pending")
    desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
    desk.tells("sale", "S2", state="completed")
    desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S2", number=2)
    desk.work()
    assert states(desk.make) == {"pending": 1, "processed": 1}
    assert credited_once(desk.make, ["S2"])


@pytest.mark.parametrize(
    "body",
    [
        *(b"<html>Bad gateway</html>", b"", b'{"id": "S1", "state": "com', b'{"id": "S1", "amount": NaN}'),
        *(b'[{"id": "S1"}]', b"null", b'{"id": "S2", "state": "completed"}', b'{"error": "see above"}'),
    ],
)
def test_an_answer_that_is_not_paypals_word_is_an_outage(desk: Desk, body: bytes) -> None:
    desk.tells("sale", "S1", state="completed")
    desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
    desk.paypal._token = ("A21AA-local", 1e12)  # type: ignore[attr-defined]
    desk.api.fail(200, times=3, body=body)
    for _ in range(3):
        desk.later()
    assert states(desk.make) == {"pending": 1}
    assert rows(desk.make, "SELECT attempts FROM webhook_events") == [(0,)]
    desk.later()
    assert credited_once(desk.make, ["S1"])


def test_an_event_with_no_try_that_could_be_recorded_ends(desk: Desk) -> None:
    desk.tells("sale", "S1", state="completed")
    desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
    run(desk.make, "UPDATE webhook_events SET attempts = 15")
    desk.work()
    assert states(desk.make) == {"dead": 1}
    assert not desk.api.asked


class TestPeople:
    def test_it_can_be_replayed_and_waits_from_then(self, desk: Desk) -> None:
        desk.tells("sale", "S1", state="pending")
        desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
        desk.work()
        with desk.make.begin() as session:
            repairs.replay(session, [1], "Asked again.", by=sample_gym.BY)
        assert rows(desk.make, "SELECT waits_since, error FROM webhook_events") == [(None, None)]
        desk.tells("sale", "S1", state="completed")
        desk.work()
        assert credited_once(desk.make, ["S1"])

    def test_it_can_be_discarded_and_is_asked_about_no_more(self, desk: Desk) -> None:
        desk.tells("sale", "S1", state="pending")
        desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
        desk.work()
        with desk.make.begin() as session:
            assert repairs.discard(session, [1], "PayPal says that it never will be.", by=sample_gym.BY) == [1]
        asked = len(desk.api.asked)
        desk.later()
        desk.reconciling.run(since=NOW - timedelta(days=1))
        desk.later()
        [(state, reason)] = rows(desk.make, "SELECT state, reason FROM webhook_events")
        assert state == "ignored"
        assert reason.startswith("discarded: PayPal says that it never will be.; waits for paypal:")
        assert not [path for path in list(desk.api.asked)[asked:] if "/sale/" in path]

    def test_what_is_being_credited_cannot_be_discarded(self, desk: Desk) -> None:
        desk.tells("sale", "S1", state="pending")
        desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
        desk.work()
        desk.tells("sale", "S1", state="completed")
        due_now(desk.make)
        desk.fetching.drain()
        with desk.make.begin() as session, pytest.raises(NotRepairable, match="it is pending"):
            repairs.discard(session, [1], "Too late.", by=sample_gym.BY)
        desk.crediting.drain()
        assert credited_once(desk.make, ["S1"])


class TestReconciling:
    def counted(self, desk: Desk) -> Counts:
        report = desk.reconciling.run(since=NOW - timedelta(days=1))
        assert report.error is None
        return report.counts

    def test_it_ends_the_wait(self, desk: Desk) -> None:
        desk.tells("sale", "S1", state="pending")
        desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
        desk.work()
        desk.tells("sale", "S1", state="completed")
        desk.work()
        assert states(desk.make) == {"pending": 1}, "it waits"
        assert self.counted(desk) == Counts(seen=1, known=1)
        desk.work()
        assert credited_once(desk.make, ["S1"])

    def test_what_an_earlier_version_ignored_because_it_was_pending_is_looked_at_again(self, desk: Desk) -> None:
        desk.tells("sale", "S1", state="pending")
        desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
        desk.tells("sale", "S2", state="denied")
        desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S2", number=2)
        desk.fetching.drain()
        run(desk.make, "UPDATE webhook_events SET state = 'ignored', reason = 'no money moved', finished_at = now()")
        desk.tells("sale", "S1", state="completed")
        asked = len(desk.api.asked)
        assert self.counted(desk) == Counts(seen=2, known=2)
        desk.work()
        assert credited_once(desk.make, ["S1"])
        assert states(desk.make) == {"processed": 1, "ignored": 1}
        sales = [path for path in list(desk.api.asked)[asked:] if "/sale/" in path]
        assert sales == ["GET /v1/payments/sale/S1"], "what is final is not asked for again"

    def test_what_a_person_discarded_is_not(self, desk: Desk) -> None:
        desk.tells("sale", "S1", state="pending")
        desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
        desk.fetching.drain()
        run(desk.make, "UPDATE webhook_events SET state = 'quarantined', reason = 'as it once was'")
        with desk.make.begin() as session:
            repairs.discard(session, [1], "Seen to by hand.", by=sample_gym.BY)
        assert self.counted(desk) == Counts(seen=1, known=1)
        assert states(desk.make) == {"ignored": 1}

    def test_a_dry_run_asks_nothing_again(self, desk: Desk) -> None:
        desk.tells("sale", "S1", state="pending")
        desk.posts("sale", "PAYMENT.SALE.COMPLETED", "S1")
        desk.work()
        desk.reconciling.run(since=NOW - timedelta(days=1), dry_run=True)
        with desk.make.begin() as session:
            assert thin_events.claim(session, "paypal", lease_s=60) is None
