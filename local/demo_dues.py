"""The demo's third part: dues that are not simply a month's, each counted by plain addition beside the ledger.

A part of a month, a year, a family's invoice, another plan within a month, a month paid from the customer's balance,
and a price that the gym does not know.
"""

from calendar import monthrange
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from local import sample_gym, stripe_bodies
from models.catalogue.clubs import Club
from models.catalogue.items import Item
from models.catalogue.tables import Offer, PaymentTerm
from models.members.memberships import Membership, add_billing_reference
from models.members.plan_change import change_plan
from models.members.signing_up import sign_up
from models.payments import reviewing

DUES, CLASSES, UPGRADED, DAYS = 8900, 8, 14, 40
CHICAGO = ZoneInfo("America/Chicago")
_numbers = count(1)


@dataclass
class Story:
    """One story: what it is, who is counted, and what is posted to tell of it."""

    plot: str
    usable: int
    """Classes that can be used now, counted by hand."""
    coming: int = 0
    """Classes that begin later."""
    reasons: frozenset[str] = frozenset()
    """Why staff look at it."""
    bodies: list[bytes] = field(default_factory=list)
    references: list[str] = field(default_factory=list)

    def invoice(self, amount: int, lines: Sequence[dict[str, Any]], *, balance: int = 0, ago_s: int = 60) -> str:
        """Tell of an invoice that was paid; returns its payment intent."""
        number, now = next(_numbers), int(datetime.now(UTC).timestamp()) - ago_s
        reference, subscription = f"in_dues_{number}", self.references[0]
        body = stripe_bodies.invoice(reference, subscription, now, amount - balance) | {
            "starting_balance": -balance, "ending_balance": 0, "total": amount, "lines": {"data": list(lines)},
        }  # fmt: skip
        self.bodies += [
            stripe_bodies.event(f"evt_dues_{number}", "invoice.paid", now, body),
            stripe_bodies.event(
                f"evt_dues_{number}_link", "invoice_payment.paid", now,
                stripe_bodies.invoice_payment(reference, f"pi_dues_{number}"),
            ),
        ]  # fmt: skip
        return f"pi_dues_{number}"

    def line(self, amount: int, first: date, end: date, *, item: str = "", proration: bool = False) -> dict[str, Any]:
        """A line of an invoice for the local days from the first until before the end."""
        details = {"subscription": None if item else self.references[0], "subscription_item": item or None}
        return {
            "id": f"il_dues_{next(_numbers)}", "amount": amount, "quantity": 1,
            "period": {"start": _midnight(first), "end": _midnight(end)},
            "parent": {
                "type": "subscription_item_details",
                "subscription_item_details": {**details, "proration": proration},
            },
        }  # fmt: skip


def tell(make: sessionmaker[Session], post: Callable[[Sequence[bytes]], list[int]]) -> tuple[list[Story], list[int]]:
    """Sign the members up and post the events of their payments; returns the stories and the answers' statuses."""
    today = datetime.now(CHICAGO).date()
    month = (after(today, 1) - today).days
    ends = after(today - timedelta(days=10), 1)
    with make.begin() as session:
        monthly, yearly = term(session, "Own Month", DUES), term(session, "Own Year", 12 * DUES, "year")
        stories = [
            _prorated(session, monthly, today, month),
            _year(session, yearly, today),
            _family(session, monthly, today),
            _balance(session, monthly, today),
            _unlike(session, monthly, today),
        ]
        upgraded = _before_upgrade(session, term(session, "Own Plan", DUES), today, ends)
    answers = post([body for story in (*stories, upgraded) for body in story.bodies])
    with make.begin() as session:
        _upgrade(session, upgraded, today, ends)
        upgraded.usable += -(-(UPGRADED - CLASSES) * (ends - today).days // month)
    answers += post(upgraded.bodies)
    return [*stories, upgraded], answers


def compare(session: Session, stories: Sequence[Story]) -> tuple[list[list[object]], bool]:
    """Each story beside the ledger, and whether they all agree. What is unlike the dues is accepted at the end."""
    now = datetime.now(UTC)
    table: list[list[object]] = []
    for story in stories:
        usable, coming = session.execute(_CLASSES, {"references": story.references, "now": now}).one()
        reasons = sorted(session.scalars(REASONS, {"references": story.references}))
        agree = (usable, coming, frozenset(reasons)) == (story.usable, story.coming, story.reasons)
        counted = (story.usable, story.coming)
        table.append([story.plot, usable, coming, ", ".join(reasons) or "-", *counted, "yes" if agree else "NO"])
    for one in reviewing.page(session):
        if one.payment.startswith("in_dues_"):
            reviewing.accept(session, one.payment_id, reason="seen in the demo", by=sample_gym.BY)
    left = session.scalar(text("SELECT count(*) FROM payment_reviews WHERE answered_by IS NULL"))
    return table, not left and all(row[-1] == "yes" for row in table)


HEADINGS = ["what was paid", "classes", "coming", "in review", "counted: classes", "coming", "agree"]

_CLASSES = text("""
    SELECT coalesce(sum(g.remaining) FILTER (WHERE g.effective_at <= :now), 0),
           coalesce(sum(g.remaining) FILTER (WHERE g.effective_at > :now), 0)
    FROM credit_grants g WHERE g.membership_id IN
        (SELECT membership_id FROM billing_references WHERE endpoint = 'stripe' AND reference = ANY(:references))
""")
REASONS = text("""
    SELECT DISTINCT r.reason FROM payment_reviews r JOIN payments p ON p.id = r.payment_id
    WHERE r.answered_by IS NULL AND p.membership_id IN
        (SELECT membership_id FROM billing_references WHERE endpoint = 'stripe' AND reference = ANY(:references))
""")


def _prorated(session: Session, term: PaymentTerm, today: date, month: int) -> Story:
    days = month // 3
    story = Story("a third of the month", -(-CLASSES * days // month), reasons=frozenset({"part"}))
    join(session, story, term, f"sub_dues_{next(_numbers)}")
    story.invoice(DUES * days // month, [story.line(DUES * days // month, today, today + timedelta(days=days))])
    return story


def _year(session: Session, term: PaymentTerm, today: date) -> Story:
    story = Story("a year, of which a quarter went back", CLASSES, 8 * CLASSES)
    join(session, story, term, f"sub_dues_{next(_numbers)}")
    intent = story.invoice(12 * DUES, [story.line(12 * DUES, today, after(today, 12))])
    refund = stripe_bodies.refund("re_dues", intent, int(datetime.now(UTC).timestamp()), 3 * DUES)
    story.bodies.append(stripe_bodies.event("evt_dues_refund", "refund.created", refund["created"], refund))
    return story


def _family(session: Session, term: PaymentTerm, today: date) -> Story:
    story = Story("a family of two on one invoice", 2 * CLASSES, references=[f"sub_dues_{next(_numbers)}"])
    items = [f"si_dues_{next(_numbers)}" for _ in range(2)]
    for item in items:
        join(session, story, term, item)
    story.invoice(2 * DUES, [story.line(DUES, today, after(today, 1), item=item) for item in items])
    return story


def _balance(session: Session, term: PaymentTerm, today: date) -> Story:
    story = Story("a month from the customer's balance", CLASSES, reasons=frozenset({"balance"}))
    join(session, story, term, f"sub_dues_{next(_numbers)}")
    story.invoice(DUES, [story.line(DUES, today, after(today, 1))], balance=DUES)
    return story


def _unlike(session: Session, term: PaymentTerm, today: date) -> Story:
    story = Story("a month at another price", CLASSES, reasons=frozenset({"more"}))
    join(session, story, term, f"sub_dues_{next(_numbers)}")
    story.invoice(9900, [story.line(9900, today, after(today, 1))])
    return story


def _before_upgrade(session: Session, term: PaymentTerm, today: date, ends: date) -> Story:
    story = Story("a month, and a larger plan within it", CLASSES)
    join(session, story, term, f"sub_dues_{next(_numbers)}")
    story.invoice(DUES, [story.line(DUES, today - timedelta(days=10), ends)])
    return story


def _upgrade(session: Session, story: Story, today: date, ends: date) -> None:
    """Change the plan from now on, and tell of what the processor collects for the rest of the month."""
    reference = story.references[0]
    membership = session.scalars(select(Membership).where(Membership.billing.any(reference=reference))).one()
    now = datetime.now(UTC) - timedelta(seconds=2)
    term = membership.plan_at(now)
    (entry,) = term.bucket_terms
    term.set_bucket(entry.bucket, quantity=UPGRADED, days_to_expire=DAYS)
    change_plan(
        session, membership, term=term, since=None, picks=[entry.bucket.item], reason="a larger plan",
        by=sample_gym.BY, now=now,
    )  # fmt: skip
    given_back, billed = (story.line(amount, today, ends, proration=True) for amount in (-3000, 5000))
    story.bodies.clear()
    story.invoice(2000, [given_back, billed], ago_s=0)


def term(
    session: Session, name: str, dues_minor: int, interval: str = "month", *, days: int = DAYS, on_end: str = "keep"
) -> PaymentTerm:
    """An offer with that one term: classes for a month's dues, or for a year's and released by the month."""
    item = session.scalars(select(Item).where(Item.name == sample_gym.CLASSES)).one()
    release = "at_once" if interval == "month" else "monthly"
    offer = Offer(name=name)
    offer.set_bucket_limits(1, 1)
    made = PaymentTerm(
        name=name, dues_minor=dues_minor, currency="USD", interval=interval, release=release, on_end=on_end
    )
    offer.terms.append(made)
    session.add(offer)
    session.flush()
    made.set_bucket(offer.add_bucket(item), quantity=CLASSES, days_to_expire=days)
    offer.publish()
    session.flush()
    return made


def join(session: Session, story: Story, term: PaymentTerm, reference: str, *, days_ago: int = 1) -> None:
    """A member of the sample club under that term, who is found by that reference."""
    club = session.scalars(select(Club).where(Club.name == sample_gym.CLUB)).one()
    membership = sign_up(
        session, email=f"{reference}@dues.example", name=story.plot, club=club, term=term, picks=[], by=sample_gym.BY,
        now=datetime.now(UTC) - timedelta(days=days_ago),
    )  # fmt: skip
    add_billing_reference(session, membership, "stripe", reference, by=sample_gym.BY)
    story.references.append(reference)


def after(day: date, months: int) -> date:
    """The same day of a later month, or its last."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _midnight(day: date) -> int:
    return int(datetime.combine(day, time.min, CHICAGO).timestamp())
