"""The demo's fourth part: memberships that are frozen, ended or overdue, each with its last usable day, counted by day.

One payment arrives after the freeze that moves its days, one after the end of its membership, and one before the
failure of an earlier attempt to collect it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from local import demo_dues, sample_gym, stripe_bodies
from local.demo_dues import CHICAGO, CLASSES, DUES, Story
from models.members import life
from models.members.memberships import Membership

DAYS, FEE, DAY = 30, 1500, timedelta(days=1)


@dataclass
class Life(Story):
    """A story with what happened to the membership: its freezes, and its last day."""

    frozen: list[tuple[date, date]] = field(default_factory=list)
    ended: date | None = None
    paid_on: date | None = None
    overdue: date | None = None
    """Since when its dues are overdue."""
    invoices: list[str] = field(default_factory=list)

    def pay(self, amount: int, days_ago: int = 0) -> "Life":
        """Pay so many days ago; the bodies that say so are posted later."""
        intent = self.invoice(amount, [], ago_s=60 + days_ago * 86_400)
        self.invoices.append(intent.replace("pi_", "in_"))
        if amount == DUES and not self.paid_on:
            self.paid_on = _day(days_ago)
        return self

    def fail(self, days_ago: int, invoice: str) -> "Life":
        """The dues of an invoice could not be collected so many days ago; they are overdue unless they were paid."""
        at = int((datetime.now(UTC) - days_ago * DAY).timestamp())
        unpaid = {"amount_paid": 0, "status": "open", "lines": {"data": []}}
        body = stripe_bodies.invoice(invoice, self.references[0], at, DUES) | unpaid
        self.bodies.append(stripe_bodies.event(f"evt_{invoice}_failed", "invoice.payment_failed", at, body))
        if invoice not in self.invoices:
            self.overdue = _day(days_ago)
        return self

    @property
    def until(self) -> date | None:
        """The last day on which the classes can be used: the 30th that is not frozen, or that of the end."""
        if self.paid_on is None:
            return None
        day, left = self.paid_on, DAYS
        while left:
            day += DAY
            left -= not any(first <= day <= last for first, last in self.frozen)
        return min(day, self.ended or day)


def tell(make: sessionmaker[Session], post: Callable[[Sequence[bytes]], list[int]]) -> tuple[list[Life], list[int]]:
    """Sign the members up, record what happens to them before and after their payments, and post the payments."""
    today = datetime.now(CHICAGO).date()
    paid_late = Life("frozen; an earlier payment is told late", CLASSES)
    fee = Life("pays the fee of a freeze", 0)
    twice = Life("paid, then frozen twice, some days in both", CLASSES)
    ended = Life("ended yesterday, and pays once more", 0, reasons=frozenset({"ended"}))
    overdue = Life("paid; the next dues fail", CLASSES)
    cleared = Life("fails, but was paid since, as was told before", CLASSES)
    stories = [paid_late, fee, twice, ended, overdue, cleared]
    with make.begin() as session:
        for story in stories:
            rule = "last_day" if story is ended else "keep"
            term = demo_dues.term(session, f"Own {story.plot}", DUES, days=DAYS, on_end=rule)
            demo_dues.join(session, story, term, f"sub_life_{stories.index(story)}", days_ago=60)
        _freeze(session, paid_late, today - 20 * DAY, today - 11 * DAY)
        _freeze(session, fee, today - 2 * DAY, today + 20 * DAY)
    paid_late.pay(DUES, 38)
    fee.pay(FEE)
    twice.pay(DUES, 10)
    ended.pay(DUES, 9).pay(DUES)
    overdue.pay(DUES, 20).fail(3, "in_life_overdue")
    cleared.pay(DUES, 2).fail(5, cleared.invoices[0])
    answers = post([body for story in stories for body in story.bodies])
    with make.begin() as session:
        _freeze(session, twice, today, today + 6 * DAY)
        _freeze(session, twice, today + 4 * DAY, today + 9 * DAY)
        ended.ended = today - DAY
        now = datetime.now(UTC)
        life.end(session, _of(session, ended), last=ended.ended, reason="moves away", by=sample_gym.BY, now=now)
    return stories, answers


def compare(session: Session, stories: Sequence[Life]) -> tuple[list[list[object]], bool]:
    """Each story beside the ledger, and whether they all agree."""
    table: list[list[object]] = []
    for story in stories:
        usable, until = session.execute(_CLASSES, {"reference": story.references[0]}).one()
        overdue = session.scalar(_OVERDUE, {"reference": story.references[0]})
        reasons = frozenset(session.scalars(demo_dues.REASONS, {"references": story.references}))
        counted = (story.usable, story.until, story.overdue)
        agree = ((usable, until, overdue), reasons) == (counted, story.reasons)
        found = [usable, until or "-", overdue or "-", ", ".join(sorted(reasons)) or "-"]
        table.append(
            [story.plot, *found, story.usable, story.until or "-", story.overdue or "-", "yes" if agree else "NO"]
        )
    return table, all(row[-1] == "yes" for row in table)


_DAYS = ["classes", "usable until", "overdue since"]
HEADINGS = ["what happened", *_DAYS, "in review", *(f"counted: {_DAYS[0]}", *_DAYS[1:]), "agree"]

_CLASSES = text("""
    SELECT coalesce(sum(g.remaining) FILTER (WHERE g.expires_at > clock_timestamp()), 0),
           max(CAST((g.expires_at - interval '1 microsecond') AT TIME ZONE c.time_zone AS date))
    FROM billing_references b JOIN credit_grants g USING (membership_id) JOIN grant_clubs c ON c.grant_id = g.id
    WHERE b.endpoint = 'stripe' AND b.reference = :reference AND g.quantity > g.reversed
""")

_OVERDUE = text("""
    SELECT CAST(o.since AT TIME ZONE c.time_zone AS date)
    FROM billing_references b JOIN overdue_memberships o USING (membership_id)
    JOIN memberships m ON m.id = b.membership_id JOIN clubs c ON c.id = m.club_id
    WHERE b.endpoint = 'stripe' AND b.reference = :reference
""")


def _day(days_ago: int) -> date:
    return (datetime.now(UTC) - days_ago * DAY).astimezone(CHICAGO).date()


def _freeze(session: Session, story: Life, first: date, last: date) -> None:
    held, now = _of(session, story), datetime.now(UTC)
    life.freeze(session, held, first=first, last=last, reason="is away", by=sample_gym.BY, now=now)
    story.frozen.append((first, last))


def _of(session: Session, story: Story) -> Membership:
    return session.scalars(select(Membership).where(Membership.billing.any(reference=story.references[0]))).one()
