"""What the processor's API lists and its webhooks never told is credited all the same: once, and with a report."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.standin import StandIn
from models.inbox import reconciliation
from models.inbox.reconciliation import Counts
from runtime.settings import Endpoint, Settings
from tests.worker.scene import NOW, SECRET, Make, arrive, credited_once, event, join, paid, rows, run, states, value
from webhooks.processors import Processor, adapter
from worker.crediting import Crediting
from worker.pruning import prune_all
from worker.reconciling import Reconciling, Report

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SINCE = NOW - 5 * DAY
NO_SUCH_KEY = b'{"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}'


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn("stripe", tmp_path) as standin:
        yield standin


@pytest.fixture
def processor(api: StandIn) -> Processor:
    endpoint = Endpoint(
        name="stripe",
        processor="stripe",
        mode="test",
        options={"api": api.url},
        secrets=(SECRET.decode(),),
        api_key=("sk_test",),
    )
    return adapter(endpoint)


@pytest.fixture
def reconciling(make: Make, processor: Processor) -> Reconciling:
    return Reconciling(make, processor, lambda: NOW)


def happened(api: StandIn, *bodies: bytes) -> None:
    """The processor's API tells of these events."""
    for body in bodies:
        told = json.loads(body)
        api.objects.put("events", told["id"], told)


def counted(report: Report) -> Counts:
    assert report.error is None
    assert report.warnings == []
    return report.counts


def test_what_no_webhook_told_is_credited(
    reconciling: Reconciling, api: StandIn, make: Make, settings: Settings
) -> None:
    join(make, "sub_1", "sub_2")
    told, lost = paid("in_1", "sub_1"), paid("in_2", "sub_2", at=NOW - 2 * DAY)
    arrive(make, told)
    happened(api, told, lost)
    assert counted(reconciling.run(since=SINCE)) == Counts(seen=2, known=1, added=1)
    assert Crediting(settings, make, lambda: NOW).drain() == 2
    assert credited_once(make, ["in_1", "in_2"])
    assert rows(make, "SELECT event_id, source FROM webhook_events ORDER BY id") == [
        ("evt_in_1", "webhook"),
        ("evt_in_2", "backfill"),
    ]
    assert counted(reconciling.run(since=SINCE)) == Counts(seen=2, known=2)


def test_the_webhook_that_comes_after_all_is_a_duplicate(
    reconciling: Reconciling, api: StandIn, make: Make, settings: Settings
) -> None:
    join(make, "sub_1")
    happened(api, paid("in_1", "sub_1"))
    reconciling.run(since=SINCE)
    arrive(make, paid("in_1", "sub_1"))
    Crediting(settings, make, lambda: NOW).drain()
    assert credited_once(make, ["in_1"])
    assert states(make) == {"processed": 1}


def test_what_was_pruned_is_known_all_the_same(
    reconciling: Reconciling, api: StandIn, make: Make, settings: Settings
) -> None:
    join(make, "sub_1")
    arrive(make, paid("in_1", "sub_1"))
    Crediting(settings, make, lambda: NOW).drain()
    run(make, "UPDATE webhook_events SET received_at = now() - interval '401 days'")
    assert prune_all(make, 400) == 1
    happened(api, paid("in_1", "sub_1"))
    assert counted(reconciling.run(since=SINCE)) == Counts(seen=1, known=1)
    assert states(make) == {"processed": 1}


def test_what_has_no_effect_is_not_taken_in(reconciling: Reconciling, api: StandIn, make: Make) -> None:
    happened(api, paid("in_1", "sub_1", amount_paid=0))
    assert counted(reconciling.run(since=SINCE)) == Counts(seen=1, without_effect=1)
    assert states(make) == {}


def test_what_cannot_be_used_is_taken_in_and_shown(
    reconciling: Reconciling, api: StandIn, make: Make, settings: Settings
) -> None:
    happened(api, paid("in_1", "sub_1", amount_paid="8900"))
    assert counted(reconciling.run(since=SINCE)) == Counts(seen=1, added=1)
    Crediting(settings, make, lambda: NOW).drain()
    assert states(make) == {"quarantined": 1}
    assert counted(reconciling.run(since=SINCE)) == Counts(seen=1, known=1)


def test_a_payment_known_under_another_event_is_known(
    reconciling: Reconciling, api: StandIn, make: Make, settings: Settings
) -> None:
    join(make, "sub_1")
    arrive(make, paid("in_1", "sub_1"))
    Crediting(settings, make, lambda: NOW).drain()
    happened(api, paid("in_1", "sub_1", event_id="evt_again"))
    assert counted(reconciling.run(since=SINCE)) == Counts(seen=1, known=1)
    assert states(make) == {"processed": 1}


@pytest.mark.parametrize("event_id", ["evt_in_1", "evt_other"])
def test_what_differs_is_kept_in_quarantine_with_both_figures(
    reconciling: Reconciling, api: StandIn, make: Make, settings: Settings, event_id: str
) -> None:
    join(make, "sub_1")
    arrive(make, paid("in_1", "sub_1"))
    crediting = Crediting(settings, make, lambda: NOW)
    crediting.drain()
    happened(api, paid("in_1", "sub_1", event_id=event_id, amount_paid=100))
    assert counted(reconciling.run(since=SINCE)) == Counts(seen=1, differing=1)
    crediting.drain()
    assert credited_once(make, ["in_1"])
    [(state, reason)] = rows(make, "SELECT state, reason FROM webhook_events WHERE source = 'backfill'")
    assert state == "quarantined"
    assert ("$1.00" in reason and "$89.00" in reason) or "the same id with other content" in reason
    reconciling.run(since=SINCE)
    assert value(make, "SELECT count(*) FROM webhook_events") == 2


def test_a_reversal_and_its_end_are_told_apart(
    reconciling: Reconciling, api: StandIn, make: Make, settings: Settings
) -> None:
    # Money that went back, returned, and went back again: the last word was never told.
    join(make, "sub_1")
    dispute = {"id": "dp_1", "amount": 8900, "charge": "ch_1", "currency": "usd", "payment_intent": "pi_1"}
    withdrawn, reinstated = "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated"
    link = {"invoice": "in_1", "payment": {"type": "payment_intent", "payment_intent": "pi_1"}, "status": "paid"}
    arrive(
        make,
        paid("in_1", "sub_1", at=NOW - 3 * DAY),
        event("evt_link", "invoice_payment.paid", link, NOW - 3 * DAY),
        event("evt_1", withdrawn, dispute, NOW - 2 * DAY),
        event("evt_2", reinstated, dispute, NOW - DAY),
    )
    crediting = Crediting(settings, make, lambda: NOW)
    crediting.drain()
    happened(api, event("evt_early", withdrawn, dispute, NOW - 2 * DAY), event("evt_3", withdrawn, dispute, NOW - HOUR))
    assert counted(reconciling.run(since=SINCE)) == Counts(seen=2, known=1, added=1)
    crediting.drain()
    assert value(make, "SELECT sum(remaining) FROM credit_grants") == 0


def test_a_running_total_that_has_grown_is_news(
    reconciling: Reconciling, api: StandIn, make: Make, settings: Settings
) -> None:
    join(make, "sub_1")
    charge = {"id": "ch_1", "currency": "usd", "payment_intent": "pi_1", "invoice": "in_1"}
    refunded = [
        event(f"evt_{total}", "charge.refunded", charge | {"amount_refunded": total}, NOW - age)
        for total, age in ((4450, 2 * DAY), (8900, DAY))
    ]
    arrive(make, paid("in_1", "sub_1", at=NOW - 3 * DAY), refunded[0])
    crediting = Crediting(settings, make, lambda: NOW)
    crediting.drain()
    assert value(make, "SELECT sum(remaining) FROM credit_grants") == 6
    happened(api, *refunded)
    assert counted(reconciling.run(since=SINCE)) == Counts(seen=2, known=1, added=1)
    crediting.drain()
    assert value(make, "SELECT sum(remaining) FROM credit_grants") == 0


def test_a_dry_run_changes_nothing(reconciling: Reconciling, api: StandIn, make: Make) -> None:
    happened(api, paid("in_1", "sub_1"))
    for _ in range(2):
        assert counted(reconciling.run(since=SINCE, dry_run=True)) == Counts(seen=1, added=1)
    assert states(make) == {}
    assert value(make, "SELECT count(*) FROM reconciliations") == 0


class TestPeriod:
    def test_it_begins_with_the_first_event_received(self, make: Make, processor: Processor) -> None:
        arrive(make, paid("in_1", "sub_1"))
        first = value(make, "SELECT received_at FROM webhook_events")
        report = Reconciling(make, processor, lambda: first + HOUR).run()
        assert (report.since, report.until) == (first, first + HOUR - timedelta(minutes=15))

    def test_what_is_a_quarter_of_an_hour_old_is_still_on_its_way(self, make: Make, processor: Processor) -> None:
        arrive(make, paid("in_1", "sub_1"))
        first = value(make, "SELECT received_at FROM webhook_events")
        [warning] = Reconciling(make, processor, lambda: first + HOUR / 4).run().warnings
        assert warning.startswith("there is nothing to ask for before ")
        assert value(make, "SELECT count(*) FROM reconciliations") == 0

    def test_one_that_has_received_nothing_asks_since_when(self, reconciling: Reconciling, api: StandIn) -> None:
        report = reconciling.run()
        assert report.warnings == ["it has received nothing yet: say --since when to fetch what was paid before"]
        assert list(api.asked) == []

    def test_it_goes_on_where_the_last_ended_less_three_days(self, reconciling: Reconciling) -> None:
        reconciling.run(since=SINCE, until=NOW - DAY)
        report = reconciling.run()
        assert (report.since, report.until) == (NOW - 4 * DAY, NOW - timedelta(minutes=15))

    def test_a_run_that_left_a_gap_does_not_count_as_reconciled(self, reconciling: Reconciling) -> None:
        reconciling.run(since=SINCE, until=NOW - 4 * DAY)
        reconciling.run(since=NOW - 2 * DAY, until=NOW - DAY)
        assert reconciling.run(dry_run=True).since == NOW - 7 * DAY
        reconciling.run(since=NOW - 4 * DAY, until=NOW - 2 * DAY)
        reconciling.run(since=NOW - 2 * DAY, until=NOW - DAY)
        assert reconciling.run(dry_run=True).since == NOW - 4 * DAY

    def test_before_the_horizon_nothing_can_be_found(self, reconciling: Reconciling) -> None:
        report = reconciling.run(since=NOW - 40 * DAY)
        assert report.since == NOW - 30 * DAY
        assert report.warnings == ["its API tells only the last 30 days: what was before is not found"]

    def test_a_warning_before_the_horizon_loses_something(self, make: Make, processor: Processor) -> None:
        Reconciling(make, processor, lambda: NOW).run(since=SINCE, until=NOW)
        assert Reconciling(make, processor, lambda: NOW + 14 * DAY).run(dry_run=True).warnings == []
        [warning] = Reconciling(make, processor, lambda: NOW + 16 * DAY).run(dry_run=True).warnings
        assert warning == "not reconciled since 2026-03-10; after 2026-04-09 something would be lost"

    def test_a_processor_that_cannot_be_asked(self, make: Make) -> None:
        endpoint = Endpoint(name="own", processor="standard_webhooks", mode="test", secrets=("whsec_AAAA",))
        report = Reconciling(make, adapter(endpoint), lambda: NOW).run(since=SINCE)
        assert report.error == "standard_webhooks has no list of payments to ask for"


class TestCutOff:
    def test_it_goes_on_where_it_was_cut_off(self, reconciling: Reconciling, api: StandIn, make: Make) -> None:
        happened(api, paid("in_1", "sub_1", at=SINCE + HOUR), paid("in_2", "sub_2", at=NOW - DAY))
        shares: list[float] = []

        def fail_at_the_third_day(share: float) -> None:
            shares.append(share)
            if len(shares) == 2:
                api.fail(401, body=NO_SUCH_KEY)

        report = reconciling.run(since=SINCE, until=NOW, progress=fail_at_the_third_day)
        assert "refuses the API key" in str(report.error)
        assert "SPP_API_KEY_STRIPE" in str(report.error)
        assert report.counts == Counts(seen=1, added=1)
        with make() as session:
            assert reconciliation.watermark(session, "stripe") == SINCE + 2 * DAY
        asked = len(api.asked)
        again = reconciling.run(since=SINCE, until=NOW)
        assert counted(again) == Counts(seen=1, added=1)
        # The two days that were done are not asked for again. Each is asked for twenty types, then for the others.
        assert len(api.asked) - asked == 3 * 2
        assert rows(make, "SELECT seen, added, error, finished_at FROM reconciliations") == [(2, 2, None, NOW)]

    def test_a_run_cut_off_long_ago_begins_again(self, make: Make, processor: Processor, api: StandIn) -> None:
        api.fail(401, body=NO_SUCH_KEY)
        assert Reconciling(make, processor, lambda: NOW).run(since=SINCE).error
        later = Reconciling(make, processor, lambda: NOW + 2 * DAY)
        assert later.run(since=SINCE).error is None
        assert value(make, "SELECT count(*) FROM reconciliations") == 2

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_an_api_that_is_away_ends_the_run_and_loses_nothing(
        self, reconciling: Reconciling, api: StandIn, make: Make, status: int
    ) -> None:
        happened(api, paid("in_1", "sub_1"))
        api.fail(status, times=20)
        report = reconciling.run(since=SINCE)
        assert report.error
        assert "Stripe" in report.error
        assert states(make) == {}


def test_each_endpoint_of_a_processor_by_itself(make: Make, api: StandIn, settings: Settings) -> None:
    happened(api, paid("in_1", "sub_1"))
    for name in ("one", "other"):
        endpoint = Endpoint(
            name=name, processor="stripe", mode="test", options={"api": api.url}, secrets=("whsec_1",), api_key=("k",)
        )
        assert counted(Reconciling(make, adapter(endpoint), lambda: NOW).run(since=SINCE)).added == 1
    assert rows(make, "SELECT endpoint FROM webhook_events ORDER BY id") == [("one",), ("other",)]


def test_nothing_is_asked_inside_a_transaction(reconciling: Reconciling, api: StandIn, make: Make) -> None:
    happened(api, paid("in_1", "sub_1"))
    seen: list[Any] = []
    listed = api.objects.all

    def while_asked(kind: str) -> list[Any]:
        seen.extend(
            rows(
                make,
                "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND state LIKE 'idle in transaction%'",
            )
        )
        return listed(kind)

    api.objects.all = while_asked
    reconciling.run(since=SINCE)
    assert api.asked
    assert seen == []


def test_times_are_utc_whatever_they_were_given_in(reconciling: Reconciling, make: Make) -> None:
    since = datetime.fromisoformat("2026-03-08T00:00:00-06:00")
    reconciling.run(since=since)
    assert value(make, "SELECT since FROM reconciliations") == since
