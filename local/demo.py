"""The main job on the real stack, told as a story, every balance checked against an independent count.

The count below knows nothing of facts, grants or entries: it adds up what each
member really paid, got back and used.
"""

import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from threading import local
from time import monotonic, sleep, time
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from local import demo_processors, home, sample_gym, samples, stripe_bodies
from local.stack import Stack
from models.audit.checks import audit
from models.database.engine import make_engine, sessions
from models.ledger import entries, redemptions
from models.members.memberships import find_member
from models.statements import statement
from runtime import settings
from webhooks.signatures import sign_stripe

Say = Callable[[str], None]
Table = Callable[[Sequence[str], Sequence[Sequence[Any]]], None]

DUES = 8900
DAY_S = 86_400
LATE_CREDIT_DAYS = 40
PICKS = [sample_gym.PERSONAL_TRAINING, sample_gym.CLASSES]
PER_PAYMENT, DAYS_TO_EXPIRE = zip(*(sample_gym.BUCKETS[item] for item in PICKS), strict=True)
WAIT_S = 30
ALL_DONE = "SELECT count(*) = 0 FROM webhook_events WHERE state = 'pending'"
_numbers = count(1)


@dataclass
class Paid:
    """What really happened to one payment."""

    days_ago: int
    returned_minor: int = 0
    number: int = field(default_factory=lambda: next(_numbers))


@dataclass
class Person:
    """One member of a plot: what happened to them, and what was posted about it."""

    plot: str
    subscription: str
    payments: list[Paid]
    deliveries: list[bytes] = field(default_factory=list)
    used: int = 0
    """Personal-training sessions used before any money went back."""
    signs_up_late: bool = False

    @property
    def email(self) -> str:
        return f"{self.subscription}@example.com"

    def expected(self) -> tuple[int, int, int]:
        """Usable personal training, usable classes, and personal training still owed, by plain addition."""
        usable = []
        for given, days in zip(PER_PAYMENT, DAYS_TO_EXPIRE, strict=True):
            live = [p for p in self.payments if not days or p.days_ago <= days or p.days_ago > LATE_CREDIT_DAYS]
            usable.append(sum(given - given * p.returned_minor // DUES for p in live))
        return max(0, usable[0] - self.used), usable[1], max(0, self.used - usable[0])


def run(say: Say, table: Table) -> bool:
    """Tells the story; whether every balance agreed with the independent count."""
    chance = random.Random(20)  # noqa: S311 -- a shuffle, the same each time
    with tempfile.TemporaryDirectory(prefix="spp-demo-") as folder, _stack(Path(folder), say) as (stack, make, secret):
        people, everybody = _people(), settings.load().endpoints
        with make.begin() as session:
            sample_gym.make(session)
            for person in people:
                if not person.signs_up_late:
                    sample_gym.join(session, person.email, person.plot, PICKS, [("stripe", person.subscription)])
        post = _Poster(stack, secret)

        say("\n1. Dues are paid. The processor posts, in no order, and much of it twice.")
        deliveries = [body for person in people for body in person.deliveries]
        deliveries += chance.sample(deliveries, len(deliveries) // 3)
        chance.shuffle(deliveries)
        answers = post.all(deliveries)
        say(f"   {len(deliveries)} signed deliveries, answered: {_counted(answers)}")
        forged = post.one(deliveries[0], tamper=True), post.one(deliveries[0], age_s=600)
        say(f"   a forged and a stale one, answered: {_counted(forged)}")
        _wait_until(make, ALL_DONE)

        say("2. An unknown customer's payment waits; they sign up, and it settles by itself.")
        with make.begin() as session:
            unmatched = session.scalar(text("SELECT count(*) FROM payments WHERE state = 'unmatched'"))
            for person in people:
                if person.signs_up_late:
                    sample_gym.join(session, person.email, person.plot, PICKS, [("stripe", person.subscription)])
        _wait_until(make, "SELECT count(*) = 0 FROM payments WHERE state = 'unmatched'")
        say(f"   {unmatched} payments were unmatched; now none is")

        say("3. Members train; then money goes back that had bought what they used.")
        takers = [person for person in people if "used" in person.plot]
        with make.begin() as session:
            for person in takers:
                _use(session, person)
        refunds = [_refund_of(person.payments[0], DUES) for person in takers]
        answers += post.all(refunds)
        _wait_until(make, ALL_DONE)
        answers += post.all([body for person in takers for body in _pay(person, Paid(0))])
        _wait_until(make, ALL_DONE)

        say("4. The same through every processor: paid; refunded, disputed, failed after all.")
        with make.begin() as session:
            demo_processors.join(session, everybody)
        theirs = demo_processors.post(Path(folder), stack.port, everybody)
        say(f"   {len(theirs)} signed deliveries, answered: {_counted(theirs)}")
        _wait_until(make, ALL_DONE)

        say("5. What expired is written down.")
        with make.begin() as session:
            say(f"   {entries.expire(session, as_of=datetime.now(UTC))} grants had expired")
            say(f"   events: {_states(session)}\n")
            agreed = _compare(session, people, table)
            rows, all_agree = demo_processors.compare(session, everybody)
            say("\n   Training and classes usable after each sample:")
            table(["processor", *(name.replace("_", " ") for name in samples.NAMES)], rows)
            findings = list(audit(session))
        say(f"\n   audit: {findings[0].what if findings else 'every balance is the sum of its entries'}")
        refused = all(status == 400 for status in forged)
        if agreed and all_agree and not findings and refused and {*answers, *theirs} == {200}:
            say(f"\nAll {len(people)} members' balances agree with the independent count.")
            return True
        say("\nThe ledger and the independent count DIFFER.")
        return False


def _people() -> list[Person]:
    """Everybody's plot."""
    plots: list[tuple[str, int, Callable[[Person], None]]] = [
        ("pays every month", 40, lambda p: _plain(p, Paid(35), Paid(5))),
        ("same payment under other event ids", 8, lambda p: _told_twice(p, Paid(3))),
        ("refund before its payment", 8, lambda p: _refunded(p, Paid(4), DUES)),
        ("half refunded", 8, lambda p: _refunded(p, Paid(4), DUES // 2)),
        ("refund failed", 4, lambda p: _refund_failed(p, Paid(4))),
        ("dispute lost", 4, lambda p: _disputed(p, Paid(6), won=False)),
        ("dispute won", 4, lambda p: _disputed(p, Paid(6), won=True)),
        ("used, then refunded, then pays again", 6, lambda p: _plain(p, Paid(2))),
        ("zero-amount invoice", 4, lambda p: _zero(p)),
        ("paid while unknown, signs up later", 4, lambda p: _plain(p, Paid(1))),
        ("webhook came 45 days late: protected", 4, lambda p: _plain(p, Paid(45))),
    ]
    people = []
    for place, (plot, size, script) in enumerate(plots):
        for number in range(size):
            person = Person(plot, f"sub_{place}x{number}", [], signs_up_late="unknown" in plot)
            script(person)
            people.append(person)
    return people


def _plain(person: Person, *payments: Paid) -> None:
    for paid in payments:
        person.deliveries += _pay(person, paid)


def _pay(person: Person, paid: Paid) -> list[bytes]:
    person.payments.append(paid)
    body = stripe_bodies.invoice(f"in_{paid.number}", person.subscription, _ago(paid))
    link = stripe_bodies.invoice_payment(f"in_{paid.number}", f"pi_{paid.number}")
    return [_event("invoice.paid", paid, body), _event("invoice_payment.paid", paid, link)]


def _told_twice(person: Person, paid: Paid) -> None:
    _plain(person, paid)
    again = stripe_bodies.invoice(f"in_{paid.number}", person.subscription, _ago(paid))
    person.deliveries += [_event(kind, paid, again) for kind in ("invoice.paid", "invoice.payment_succeeded")]


def _refunded(person: Person, paid: Paid, amount_minor: int) -> None:
    _plain(person, paid)
    person.deliveries.insert(0, _refund_of(paid, amount_minor))


def _refund_of(paid: Paid, amount_minor: int) -> bytes:
    paid.returned_minor = amount_minor
    body = stripe_bodies.refund(f"re_{paid.number}", f"pi_{paid.number}", _ago(paid) + 60, amount_minor)
    return _event("refund.created", paid, body)


def _refund_failed(person: Person, paid: Paid) -> None:
    _refunded(person, paid, DUES)
    paid.returned_minor = 0
    body = stripe_bodies.refund(f"re_{paid.number}", f"pi_{paid.number}", _ago(paid) + 60, DUES, "failed")
    person.deliveries.append(_event("refund.failed", paid, body))


def _disputed(person: Person, paid: Paid, *, won: bool) -> None:
    _plain(person, paid)
    paid.returned_minor = 0 if won else DUES
    for kind, status in (("funds_withdrawn", "under_review"), ("closed", "won" if won else "lost")):
        body = stripe_bodies.dispute(f"dp_{paid.number}", f"pi_{paid.number}", DUES, status)
        person.deliveries.append(_event(f"charge.dispute.{kind}", paid, body))


def _zero(person: Person) -> None:
    paid = Paid(2)
    body = stripe_bodies.invoice(f"in_{paid.number}", person.subscription, _ago(paid), amount_minor=0)
    person.deliveries.append(_event("invoice.paid", paid, body))


def _event(kind: str, paid: Paid, body: dict[str, Any]) -> bytes:
    number = next(_numbers)
    # Later events of one payment carry later times, as the processor's clock would give them.
    return stripe_bodies.event(f"evt_{number}", kind, _ago(paid) + 60 + number, body)


def _ago(paid: Paid) -> int:
    return int(time()) // 60 * 60 - paid.days_ago * DAY_S - 3600


def _use(session: Session, person: Person) -> None:
    member = find_member(session, person.email)
    held = (
        {balance.item: balance for balance in statement.balances(session, member.id, datetime.now(UTC))}
        if member
        else {}
    )
    if member and (balance := held.get(sample_gym.PERSONAL_TRAINING)):
        person.used = 3
        redemptions.redeem(
            session,
            member_id=member.id,
            item_id=balance.item_id,
            quantity=person.used,
            key=f"check-in {person.email}",
            by=sample_gym.BY,
            now=datetime.now(UTC),
        )


def _compare(session: Session, people: list[Person], table: Table) -> bool:
    now = datetime.now(UTC)
    rows: dict[str, list[Any]] = {}
    agreed = True
    for person in people:
        member = find_member(session, person.email)
        held = {row.item: row for row in statement.balances(session, member.id, now)} if member else {}
        training, classes = (held.get(item) for item in PICKS)
        found = (
            training.usable if training else 0, classes.usable if classes else 0, training.shortfall if training else 0
        )  # fmt: skip
        row = rows.setdefault(person.plot, [person.plot, 0, len(person.deliveries), *found, *person.expected(), "yes"])
        row[1] += 1
        if found != person.expected():
            row[-1] = "NO"
            agreed = False
    headings = ["what happened", "members", "events each", "training", "classes", "owed"]
    table([*headings, "counted: training", "classes", "owed", "agree"], list(rows.values()))
    return agreed


class _Poster:
    """Signs as Stripe does, and posts over a few connections at once."""

    def __init__(self, stack: Stack, secret: bytes) -> None:
        self._stack = stack
        self._secret = secret
        self._here = local()

    def one(self, body: bytes, *, tamper: bool = False, age_s: int = 0) -> int:
        if not hasattr(self._here, "connection"):
            self._here.connection = HTTPConnection("127.0.0.1", self._stack.port, timeout=15)
        headers = sign_stripe(body, self._secret, int(time()) - age_s)
        self._here.connection.request("POST", "/webhooks/stripe", body + b" " if tamper else body, headers)
        response = self._here.connection.getresponse()
        response.read()
        return int(response.status)

    def all(self, bodies: list[bytes]) -> list[int]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self.one, bodies))


@contextmanager
def _stack(folder: Path, say: Say) -> Iterator[tuple[Stack, sessionmaker[Session], bytes]]:
    started = monotonic()
    # A stack of its own, whatever the environment says.
    for name in [name for name in os.environ if name.startswith("SPP_") or name in {"DATABASE_URL", "BROKER_URL"}]:
        del os.environ[name]
    os.environ |= {"SPP_LATE_CREDIT_HOURS": str(LATE_CREDIT_DAYS * 24), "SPP_SWEEP_EVERY_S": "1"}
    with home.installation(folder, broker=True) as (environment, _):
        stack = Stack(environment, folder / "logs")
        engine = make_engine(environment["DATABASE_URL"])
        try:
            os.environ.update(environment)
            stack.start()
            stack.wait_ready()
            say(f"PostgreSQL, Valkey, web server, Celery worker and beat are up after {monotonic() - started:.1f} s.")
            yield stack, sessions(engine), (folder / "secrets" / "stripe").read_bytes().strip()
        finally:
            engine.dispose()
            stack.stop()


def _wait_until(make: sessionmaker[Session], condition: str) -> None:
    """Waits for the condition in SQL; gives up silently, for then the balances will differ."""
    until = monotonic() + WAIT_S
    while monotonic() < until:
        with make() as session:
            if session.scalar(text(condition)):
                return
        sleep(0.05)


def _counted(answers: Sequence[int]) -> str:
    return ", ".join(f"{number} x {status}" for status, number in sorted(Counter(answers).items()))


def _states(session: Session) -> str:
    rows = session.execute(text("SELECT state, count(*) FROM webhook_events GROUP BY state ORDER BY state"))
    return ", ".join(f"{number} {state}" for state, number in rows)
