"""Which facts of a listing are known, which are news, and which contradict what we were told."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from models.inbox.reconciliation import Counts
from models.payments.facts import Fact, Line, LineRefunded, Linked, Noted, Paid, Replaced, Restored, Reversed
from runtime.settings import Endpoint
from tests.models.gym import ENDPOINT, tell
from tests.worker.scene import NOW, Make, rows
from webhooks.processors import ParsedEvent
from webhooks.processors.standard_webhooks import StandardWebhooks
from worker.reconciling import Reconciling

DAY = timedelta(days=1)
AT = NOW - DAY
LATER = AT + DAY / 2
COVERS = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))

PAID = Paid("ch_1", AT, 8000, "USD", ("sub_1",))
WITH_BALANCE = replace(PAID, settled_minor=8900)
SHAPED = replace(WITH_BALANCE, due_minor=9900, covers=COVERS, lines=(Line(("sub_1",), 8900),), payer=("cus_1",))
REFUNDED = LineRefunded("ch_1", AT, "re_1", "il_1", 4000, "USD")
NOTED = Noted("ch_1", AT, "a part of it went back")
REPLACED = Replaced("md_1", AT, "md_2")
LINKED = Linked("ch_1", AT, "in_1")
REVERSED = Reversed("ch_1", AT, "refund:re_1", 4000, "USD")


class Listing(StandardWebhooks):
    """A processor whose API lists these facts as one event."""

    horizon = timedelta(days=30)
    listed: Sequence[Fact] = ()

    def fetch_history(self, since: datetime, until: datetime) -> Iterator[ParsedEvent]:
        """The event, in the window of its time."""
        if since <= AT < until:
            yield ParsedEvent("listed", "listed", b"{}")

    def interpret(self, type: str, body: bytes, resource: bytes | None = None) -> list[Fact]:
        """The facts."""
        return list(self.listed)


def compared(make: Make, known: Sequence[Fact], *listed: Fact) -> tuple[Counts, str | None]:
    """How a listing of these facts compares with known ones, and why its event is in quarantine."""
    with make() as session:
        tell(session, *known, now=NOW)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    processor = Listing(Endpoint(name=ENDPOINT, processor="standard_webhooks", mode="test", secrets=(secret,)))
    processor.listed = listed
    report = Reconciling(make, processor, lambda: NOW).run(since=NOW - 2 * DAY)
    assert report.error is None
    reasons = rows(make, "SELECT reason FROM webhook_events WHERE event_id = 'listed'")
    return report.counts, reasons[0][0] if reasons else None


EVERY = [PAID, WITH_BALANCE, SHAPED, REFUNDED, NOTED, REPLACED, LINKED, REVERSED, replace(PAID, part="card")]


@pytest.mark.parametrize("fact", EVERY, ids=lambda fact: f"{type(fact).__name__} {EVERY.index(fact)}")
def test_the_same_fact_is_known(make: Make, fact: Fact) -> None:
    assert compared(make, [fact], fact) == (Counts(seen=1, known=1), None)


@pytest.mark.parametrize("fact", EVERY, ids=lambda fact: f"{type(fact).__name__} {EVERY.index(fact)}")
def test_a_fact_is_news_where_nothing_was_told(make: Make, fact: Fact) -> None:
    assert compared(make, [], fact) == (Counts(seen=1, added=1), None)


@pytest.mark.parametrize("fact", [PAID, WITH_BALANCE, replace(PAID, billing_references=())])
def test_an_equal_payment_that_says_less_is_known(make: Make, fact: Paid) -> None:
    assert compared(make, [SHAPED], fact) == (Counts(seen=1, known=1), None)


@pytest.mark.parametrize("fact", [WITH_BALANCE, replace(PAID, covers=COVERS), replace(PAID, due_minor=9900)])
def test_an_equal_payment_that_says_more_is_news(make: Make, fact: Paid) -> None:
    assert compared(make, [PAID], fact) == (Counts(seen=1, added=1), None)


@pytest.mark.parametrize(
    ("known", "listed", "figures"),
    [
        (PAID, replace(PAID, amount_minor=7000), ("$70.00", "$80.00")),
        (WITH_BALANCE, replace(PAID, settled_minor=8500), ("$85.00 with the payer's balance", "$89.00 with")),
        (replace(PAID, part="card"), replace(PAID, part="card", amount_minor=7000), ("$70.00", "$80.00")),
        (REFUNDED, replace(REFUNDED, amount_minor=100), ("$1.00", "$40.00")),
    ],
)
def test_another_amount_is_kept_in_quarantine_with_both_figures(
    make: Make, known: Fact, listed: Fact, figures: tuple[str, str]
) -> None:
    counts, reason = compared(make, [known], listed)
    assert counts == Counts(seen=1, differing=1)
    assert all(figure in str(reason) for figure in figures)


@pytest.mark.parametrize(
    ("known", "listed"),
    [
        (replace(PAID, part="card"), replace(PAID, part="voucher", amount_minor=900)),
        (REFUNDED, replace(REFUNDED, line="il_2", amount_minor=100)),
        (REFUNDED, replace(REFUNDED, occurred_at=LATER, amount_minor=100)),
        (NOTED, replace(NOTED, what="another sentence")),
        (REPLACED, replace(REPLACED, other="md_3")),
        (LINKED, Replaced("ch_1", AT, "in_1")),
        (REVERSED, LineRefunded("ch_1", AT, "refund:re_1", "il_1", 100, "USD")),
        (REVERSED, Restored("ch_1", LATER, "refund:re_1")),
    ],
)
def test_a_fact_on_another_subject_or_of_a_later_time_is_news(make: Make, known: Fact, listed: Fact) -> None:
    assert compared(make, [known], listed) == (Counts(seen=1, added=1), None)


def test_an_event_is_known_only_if_all_its_facts_are(make: Make) -> None:
    assert compared(make, [PAID], PAID, NOTED)[0] == Counts(seen=1, added=1)
