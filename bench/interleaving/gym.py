"""What is done to two members, and what they must have afterwards, by plain addition."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import psycopg
from sqlalchemy.orm import Session, sessionmaker

from bench.storm.counted import DUES_MINOR, ITEMS, PLANS
from bench.stripe_events import ENDPOINT, subscription_id
from models.catalogue.days import local_day
from models.catalogue.tables import PaymentTerm
from models.inbox import storing
from models.inbox.storing import NewEvent
from models.ledger import adjustments, merging, redemptions
from models.ledger.adjustments import AdjustmentReason
from models.members import life, plan_change
from models.members.memberships import Membership
from models.payments import living, settlement
from models.payments.facts import Fact, Paid, Reversed
from models.payments.recorded import EventFacts
from models.staff.actions import Actor

BY = Actor("interleaving@example.com", "bench")
LATE = timedelta(hours=24)
WHY = "Interleaved."
ZONE = "America/Chicago"
Act = Callable[[Session], None]
_WRONG = """
    SELECT g.id, g.remaining, g.shortfall, g.reversed, sum(e.quantity), sum(e.shortfall), sum(e.reversed)
    FROM credit_grants g LEFT JOIN ledger_entries e ON e.grant_id = g.id
    WHERE g.member_id = ANY(%(members)s)
    GROUP BY g.id
    HAVING g.remaining <> coalesce(sum(e.quantity), 0) OR g.shortfall <> coalesce(sum(e.shortfall), 0)
        OR g.reversed <> coalesce(sum(e.reversed), 0) OR g.remaining < 0 OR g.remaining > g.quantity
"""
_LEFT = """
    SELECT i.name, coalesce(sum(g.remaining - g.shortfall), 0)
    FROM credit_grants g JOIN items i ON i.id = g.item_id WHERE g.member_id = ANY(%(members)s) GROUP BY 1
"""


class Pair:
    """Two members who begin with nothing."""

    def __init__(self, number: int, drawing: Random, make: sessionmaker[Session]) -> None:
        self._drawing, self._make = drawing, make
        self.members = [2 * number + 1, 2 * number + 2]
        self._number, self._acts = number, 0
        self._payments: dict[str, int] = {}
        self._reversed: set[str] = set()
        self._plans: dict[int, str] = {}
        self._moved: Counter[str] = Counter()
        self._redeemed: list[int] = []
        self._merging = False

    def act(self) -> tuple[str, Act]:
        """Something to do, which may be done again until it succeeds."""
        self._acts += 1
        kinds = ("pay", "pay", "pay again", "reverse", "redeem", "redeem", "redeem all", "return", "give", "freeze",
                 "change plan", "merge", "sweep")  # fmt: skip
        kind = self._drawing.choice(kinds)
        made: Act | None = getattr(self, f"_{kind.replace(' ', '_')}")(self._place())
        return (kind, made) if made else ("sweep", self._sweep(0))

    def _place(self) -> int:
        """One of the two, mostly the same, so that acts meet."""
        return int(self._drawing.random() < 0.2)

    def _item(self) -> str:
        return ITEMS[int(self._drawing.random() < 0.2)]

    def settle(self) -> None:
        """What is still to be settled again."""
        while True:
            with self._make.begin() as session:
                if not settlement.settle_matched(session, now=_now(), late_credit=LATE):
                    return

    def wrong_now(self, looking: psycopg.Connection) -> list[str]:
        """What must not be, whenever somebody has committed."""
        found = looking.execute(_WRONG, {"members": self.members}).fetchall()
        return [f"grant {row[0]} is {row[1:4]}, and its entries are {row[4:]}" for row in found]

    def wrong_at_the_end(self, looking: psycopg.Connection) -> list[str]:
        """What must not be when all is done and settled."""
        wanted = self._moved.copy()
        for payment, place in self._payments.items():
            if payment not in self._reversed:
                wanted.update(PLANS[self._plans.get(place, "Term")])
        found = Counter({item: int(left) for item, left in looking.execute(_LEFT, {"members": self.members})})
        return [f"{found[item]} of {item} instead of {wanted[item]}" for item in ITEMS if found[item] != wanted[item]]

    # Payments

    def _pay(self, place: int) -> Act:
        payment = f"in_{self._number}_{self._acts}"
        self._payments[payment] = place
        return self._take_in(self._paid(payment))

    def _pay_again(self, _: int) -> Act | None:
        return self._take_in(self._paid(self._drawing.choice([*self._payments]))) if self._payments else None

    def _reverse(self, _: int) -> Act | None:
        if not self._payments:
            return None
        payment = self._drawing.choice([*self._payments])
        self._reversed.add(payment)
        return self._take_in(Reversed(payment, _now(), f"refund {payment}"))

    def _paid(self, payment: str) -> Fact:
        reference = subscription_id(self.members[self._payments[payment]] - 1)
        return Paid(payment, _today(), DUES_MINOR, "USD", (reference,))

    def _take_in(self, fact: Fact) -> Act:
        event = NewEvent(ENDPOINT, f"evt_{self._number}_{self._acts}", "invoice.paid", b"{}")
        with self._make.begin() as session:
            storing.store(session, [event], lambda *_: True)
            number = session.connection().exec_driver_sql("SELECT max(id) FROM webhook_events").scalar_one()
        facts = EventFacts(number, ENDPOINT, [fact])
        return lambda session: _nothing(settlement.take_in(session, [facts], now=_now(), late_credit=LATE))

    def _sweep(self, _: int) -> Act:
        return lambda session: _nothing(settlement.settle_matched(session, now=_now(), late_credit=LATE))

    # People

    def _redeem(self, place: int, quantity: int | None = None) -> Act:
        item = self._item()
        member_id, item_id = self.members[place], 1 + ITEMS.index(item)
        wanted, key = quantity or 1 + self._drawing.randrange(3), self._key()

        def act(session: Session) -> None:
            done = redemptions.redeem(
                session, member_id=member_id, item_id=item_id, quantity=wanted, key=key, by=BY, now=_now()
            )
            session.commit()
            self._moved[item] -= wanted
            self._redeemed.append(done.redemption_id)

        return act

    def _redeem_all(self, place: int) -> Act:
        return self._redeem(place, 10)

    def _return(self, _: int) -> Act | None:
        if not self._redeemed:
            return None
        redemption, key = self._drawing.choice(self._redeemed), self._key()

        def act(session: Session) -> None:
            done = redemptions.give_back(session, redemption_id=redemption, key=key, by=BY, now=_now())
            item_id = session.get_one(redemptions.Redemption, redemption).item_id
            session.commit()
            self._moved[ITEMS[item_id - 1]] += sum(draw.quantity for draw in done.draws)

        return act

    def _give(self, place: int) -> Act:
        item, key = self._item(), self._key()

        def act(session: Session) -> None:
            adjustments.adjust(
                session, member_id=self.members[place], item_id=1 + ITEMS.index(item), quantity=1, last_day=None,
                reason=AdjustmentReason.GOODWILL, note=WHY, alone_up_to=1000, key=key, by=BY, now=_now(),
            )  # fmt: skip
            session.commit()
            self._moved[item] += 1

        return act

    def _freeze(self, place: int) -> Act:
        first = local_day(_now(), ZONE) + timedelta(days=1 + self._drawing.randrange(9))

        def act(session: Session) -> None:
            membership = session.get_one(Membership, self.members[place])
            last, now = first + timedelta(days=2), _now()
            living.apply(
                session,
                lambda: life.freeze(session, membership, first=first, last=last, reason=WHY, by=BY, now=now),
                now=now,
                late_credit=LATE,
            )

        return act

    def _change_plan(self, place: int) -> Act | None:
        if place in self._plans:
            return None
        self._plans[place] = "Small"

        def act(session: Session) -> None:
            membership, term = session.get_one(Membership, self.members[place]), session.get_one(PaymentTerm, 2)
            today = local_day(_now(), ZONE)
            plan_change.change_plan(
                session, membership, term=term, since=today, picks=None, reason=WHY, by=BY, now=_now()
            )

        return act

    def _merge(self, place: int) -> Act | None:
        if self._merging:
            return None
        self._merging = True
        gone, stays = self.members[place], self.members[1 - place]
        return lambda session: _nothing(merging.merge(session, gone, stays, reason=WHY, by=BY, now=_now()))

    def _key(self) -> str:
        return f"interleaving {self._number} {self._acts}"


def _now() -> datetime:
    return datetime.now(UTC)


def _today() -> datetime:
    return _now().replace(microsecond=0)


def _nothing(_: object) -> None:
    pass
