"""A small gym to test in, and a processor's voice to tell it of payments."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Barrier
from typing import TypeVar

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.catalogue.items import Item, ItemKind, SessionType
from models.catalogue.tables import Offer, PaymentTerm, SessionBucket
from models.database.engine import sessions
from models.inbox import storing
from models.inbox.events import WebhookEvent
from models.inbox.storing import NewEvent
from models.ledger import entries as ledger
from models.ledger.tables import CreditGrant, LedgerEntry
from models.members.memberships import Membership, add_billing_reference
from models.members.signing_up import sign_up
from models.payments import settlement
from models.payments.facts import Fact, Paid
from models.payments.recorded import EventFacts
from models.staff.actions import Actor

ENDPOINT = "stripe"
PAID_AT = datetime(2024, 3, 1, 15, tzinfo=UTC)
NOW = PAID_AT + timedelta(hours=1)
DUES = 9000
BY = Actor("ada@example.com", "192.0.2.7")
CLASSES, CLASS_DAYS = 8, 30
TRAININGS, NEVER = 2, 0

Result = TypeVar("Result")

_numbers = count(1)


def fresh(prefix: str) -> str:
    """A name that no other test has."""
    return f"{prefix}_{next(_numbers)}"


@dataclass
class Gym:
    """A club in Chicago with one published offer: 8 classes for 30 days and 2 trainings for ever, for $90.00."""

    session: Session
    club: Club
    spin: Item
    training: Item
    towel: Item
    offer: Offer
    term: PaymentTerm

    def join(self, *references: str, club: Club | None = None, endpoint: str = ENDPOINT) -> Membership:
        """A new member with both session items, found by these billing references."""
        email = fresh("member") + "@example.com"
        picks = [self.spin, self.training]
        membership = sign_up(
            self.session, email=email, name="Ada", club=club or self.club, term=self.term, picks=picks, by=BY, now=NOW
        )
        for reference in references:
            add_billing_reference(self.session, membership, endpoint, reference, by=BY)
        return membership

    def forgiving_club(self) -> Club:
        """A second club, which forgives shortfalls."""
        club = Club(name=fresh("Kind club"), time_zone="America/Chicago", currency="USD", shortfall_policy="forgive")
        self.session.add(club)
        self.session.flush()
        return club


def add_term(offer: Offer, term: PaymentTerm, sessions: Mapping[SessionBucket, tuple[int, int]]) -> None:
    """Puts a payment term on an offer, with the quantity and days to expire of these session buckets."""
    with offer.stays_buyable():
        offer.add_term(term)
        term.set_buckets(sessions)


@contextmanager
def refused(session: Session, error: type[Exception], match: str) -> Iterator[None]:
    """Expects the block to be refused, and undoes what it did, as pages and API do."""
    session.flush()
    savepoint = session.begin_nested()
    with pytest.raises(error, match=match):
        yield
    savepoint.rollback()


def session_item(name: str, kind: SessionType = SessionType.CLASS) -> Item:
    return Item(name=name, kind=ItemKind.SCHEDULER_BUCKET.value, session_type=kind.value)


def build(session: Session) -> Gym:
    club = Club(name="Downtown", time_zone="America/Chicago", currency="USD")
    spin = session_item("Spin")
    training = session_item("Training", SessionType.PERSONAL_TRAINING)
    towel = Item(name="Towel", kind=ItemKind.OTHER.value)
    offer = Offer(name="Gold", state="draft", min_buckets=0, max_buckets=1)
    offer.set_bucket_limits(1, 2)
    term = PaymentTerm(name="Monthly", dues_minor=DUES, currency="USD")
    offer.terms.append(term)
    session.add_all([club, spin, training, towel, offer])
    session.flush()
    for item, quantity, days in ((spin, CLASSES, CLASS_DAYS), (training, TRAININGS, NEVER)):
        bucket = offer.add_bucket(item)
        term.set_bucket(bucket, quantity=quantity, days_to_expire=days)
    offer.publish()
    session.commit()
    return Gym(session, club, spin, training, towel, offer, term)


def paid(payment: str, *references: str, at: datetime = PAID_AT, amount: int = DUES, currency: str = "USD") -> Paid:
    return Paid(payment, at, amount, currency, references)


@dataclass(frozen=True)
class Event:
    """What the processor tells at once, under one id."""

    id: str
    facts: Sequence[Fact]
    endpoint: str = ENDPOINT


def events(*said: Fact, endpoint: str = ENDPOINT) -> list[Event]:
    """One event with an id of its own for each fact."""
    return [Event(fresh("evt"), [fact], endpoint) for fact in said]


def store(session: Session, wanted: Iterable[Event]) -> list[EventFacts]:
    """Stores the events that are not in the inbox yet; what they tell, each event once."""
    by_key = {(event.endpoint, event.id): event for event in wanted}
    storing.store(session, [NewEvent(*key, "test", key[1].encode()) for key in by_key], lambda *_: True)
    stored = session.execute(
        select(WebhookEvent.id, WebhookEvent.endpoint, WebhookEvent.event_id).where(
            WebhookEvent.event_id.in_([event_id for _, event_id in by_key])
        )
    )
    ids = {(endpoint, event_id): row for row, endpoint, event_id in stored}
    return [EventFacts(ids[key], key[0], event.facts) for key, event in by_key.items()]


def deliver(
    session: Session, wanted: Iterable[Event], *, now: datetime = NOW, late_credit: timedelta = timedelta(0)
) -> dict[int, str]:
    """Stores the events and takes all of them in at once; the caller commits."""
    return settlement.take_in(session, store(session, wanted), now=now, late_credit=late_credit)


def tell(session: Session, *said: Fact, now: datetime = NOW, late_credit: timedelta = timedelta(0)) -> dict[int, str]:
    """One event per fact, all taken in at once and committed."""
    problems = deliver(session, events(*said), now=now, late_credit=late_credit)
    session.commit()
    return problems


def grants_of(session: Session, membership: Membership, item: Item | None = None) -> list[CreditGrant]:
    """The member's grants as the database has them, the oldest first."""
    wanted = select(CreditGrant).where(CreditGrant.member_id == membership.member_id).order_by(CreditGrant.id)
    if item is not None:
        wanted = wanted.where(CreditGrant.item_id == item.id)
    return list(session.scalars(wanted.execution_options(populate_existing=True)))


def grant_of(session: Session, membership: Membership, item: Item) -> CreditGrant:
    """The member's only grant of that item."""
    (only,) = grants_of(session, membership, item)
    return only


def entries(session: Session, grant: CreditGrant) -> list[LedgerEntry]:
    return list(session.scalars(select(LedgerEntry).where(LedgerEntry.grant_id == grant.id).order_by(LedgerEntry.id)))


def expire_all(session: Session, as_of: datetime) -> int:
    total = 0
    while expired := ledger.expire(session, as_of=as_of):
        total += expired
    return total


def together(engine: Engine, jobs: Sequence[Callable[[Session], Result]]) -> list[Result | Exception]:
    """Runs the jobs at the same moment, each in a thread and a session of its own; what each ended with."""
    start = Barrier(len(jobs))

    def run(job: Callable[[Session], Result]) -> Result | Exception:
        with engine.connect():  # so that connecting is not what they wait for
            pass
        start.wait(timeout=30)
        try:
            with sessions(engine)() as session:
                result = job(session)
                session.commit()
                return result
        except Exception as error:  # noqa: BLE001 -- it is the result
            return error

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def wait_until_blocked(engine: Engine, ended: Callable[[], bool]) -> None:
    """Returns once a connection of this database waits for a lock, or what should has ended without."""
    blocked = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with engine.connect() as connection:
        while not ended() and not connection.scalar(blocked):
            connection.rollback()
