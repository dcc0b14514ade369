"""The demo: payments on a real stack, and a check of every balance against an independent count."""

import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, time
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from local import demo_dues, demo_life, demo_processors, home, sample_gym, samples
from local.demo_members import DUES, LATE_CREDIT_DAYS, PICKS, Person, people
from local.processes import wait_until
from local.stack import Stack
from models.audit.checks import audit
from models.database.engine import make_engine, sessions
from models.ledger import entries, redemptions
from models.members.lookup import find_member
from models.statements import statement
from runtime import settings
from webhooks.signatures import sign_stripe

Say = Callable[[str], None]
Table = Callable[[Sequence[str], Sequence[Sequence[Any]]], None]

WAIT_S = 30
ALL_DONE = "SELECT count(*) = 0 FROM webhook_events WHERE state = 'pending'"
ALL_SETTLED = """
    SELECT NOT EXISTS (SELECT FROM payments WHERE settle_again) AND NOT EXISTS (SELECT FROM closure_walks)
"""
ALL_MATCHED = "SELECT count(*) = 0 FROM payments WHERE state = 'unmatched'"
UNMATCHED = "SELECT count(*) FROM payments WHERE state = 'unmatched'"
STATES = "SELECT state, count(*) FROM webhook_events GROUP BY state ORDER BY state"


def run(say: Say, table: Table) -> bool:
    """Run the demo; whether every balance agrees with the independent count."""
    chance = random.Random(20)  # noqa: S311 -- a shuffle, the same each time
    with tempfile.TemporaryDirectory(prefix="spp-demo-") as folder, _stack(Path(folder), say) as (stack, make):
        post = partial(_post, stack.port, (Path(folder) / "secrets" / "stripe").read_bytes().strip())
        members, endpoints = people(), settings.load().endpoints
        with make.begin() as session:
            sample_gym.make(session)
            _join(session, [one for one in members if not one.signs_up_late])

        say("\n1. Dues are paid. The processor posts, in no order, and much of it twice.")
        deliveries = [body for one in members for body in one.unposted()]
        deliveries += chance.sample(deliveries, len(deliveries) // 3)
        chance.shuffle(deliveries)
        answers = _post_all(post, deliveries)
        say(f"   {len(deliveries)} signed deliveries, answered: {_counted(answers)}")
        forged = post(deliveries[0], tamper=True), post(deliveries[0], age_s=600)
        say(f"   a forged and a stale one, answered: {_counted(forged)}")
        _wait_until(make, ALL_DONE)

        say("2. Payments of unknown customers wait. The customers sign up, and their payments settle by themselves.")
        with make.begin() as session:
            unmatched = session.scalar(text(UNMATCHED))
            _join(session, [one for one in members if one.signs_up_late])
        _wait_until(make, ALL_MATCHED)
        say(f"   {unmatched} payments were unmatched, and are settled now")

        say("3. Members train; then the money that bought these sessions goes back, and they pay again.")
        takers = [one for one in members if "used" in one.plot]
        with make.begin() as session:
            for one in takers:
                _use(session, one)
        for pays_again in (False, True):
            for one in takers:
                if pays_again:
                    one.pay(0)
                else:
                    one.refund(one.payments[0], DUES)
            answers += _post_all(post, [body for one in takers for body in one.unposted()])
            _wait_until(make, ALL_DONE)

        say("4. The same through every processor: paid, refunded, disputed, failed late.")
        with make.begin() as session:
            demo_processors.join(session, endpoints)
        theirs = demo_processors.post(Path(folder), stack.port, endpoints)
        say(f"   {len(theirs)} signed deliveries, answered: {_counted(theirs)}")
        _wait_until(make, ALL_DONE)

        say("5. Dues that are not simply a month's; then the plan of one member is changed within the month.")
        stories, answered = demo_dues.tell(make, partial(_post_all, post))
        theirs += answered
        say(f"   {len(answered)} signed deliveries, answered: {_counted(answered)}")
        _wait_until(make, ALL_DONE)

        say("6. Memberships are frozen and ended, before and after their payments arrive; dues fail.")
        lives, answered = demo_life.tell(make, partial(_post_all, post))
        theirs += answered
        say(f"   {len(answered)} signed deliveries, answered: {_counted(answered)}")
        _wait_until(make, ALL_DONE)
        _wait_until(make, ALL_SETTLED)

        say("7. Expired sessions are recorded.")
        with make.begin() as session:
            say(f"   {entries.expire(session, as_of=datetime.now(UTC))} grants had expired")
            states = ", ".join(f"{number} {state}" for state, number in session.execute(text(STATES)))
            say(f"   events: {states}\n")
            agreed = _compare(session, members, table)
            rows, all_agree = demo_processors.compare(session, endpoints)
            say("\n   Training and classes usable after each sample:")
            table(["processor", *(name.replace("_", " ") for name in samples.NAMES)], rows)
            say("\n   Until when classes of frozen, ended and overdue memberships can be used:")
            days, days_agree = demo_life.compare(session, lives)
            table(demo_life.HEADINGS, days)
            say("\n   Dues of other shapes, which are accepted in review now that they were seen:")
            shapes, shapes_agree = demo_dues.compare(session, stories)
            table(demo_dues.HEADINGS, shapes)
            findings = list(audit(session))
        say(f"\n   audit: {findings[0].what if findings else 'every balance is the sum of its entries'}")
        refused = all(status == 400 for status in forged)
        if (
            agreed
            and all_agree
            and shapes_agree
            and days_agree
            and not findings
            and refused
            and {*answers, *theirs} == {200}
        ):
            say(f"\nAll {len(members)} members' balances agree with the independent count.")
            return True
        say("\nThe ledger and the independent count DIFFER.")
        return False


@contextmanager
def _stack(folder: Path, say: Say) -> Iterator[tuple[Stack, sessionmaker[Session]]]:
    """A stack of its own, independent of the environment's settings."""
    started = monotonic()
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
            yield stack, sessions(engine)
        finally:
            engine.dispose()
            stack.stop()


def _join(session: Session, members: Sequence[Person]) -> None:
    for one in members:
        sample_gym.join(session, one.email, one.plot, PICKS, [("stripe", one.subscription)])


def _post(port: int, secret: bytes, body: bytes, *, tamper: bool = False, age_s: int = 0) -> int:
    """Post a delivery, signed as Stripe does; the status of the answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=15)
    headers = sign_stripe(body, secret, int(time()) - age_s)
    try:
        connection.request("POST", "/webhooks/stripe", body + b" " if tamper else body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _post_all(post: Callable[[bytes], int], bodies: Sequence[bytes]) -> list[int]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(post, bodies))


def _balances(session: Session, person: Person) -> dict[str, statement.Balance]:
    member = find_member(session, person.email)
    return {row.item: row for row in statement.balances(session, member.id, datetime.now(UTC))} if member else {}


def _use(session: Session, person: Person) -> None:
    member = find_member(session, person.email)
    balance = _balances(session, person).get(sample_gym.PERSONAL_TRAINING)
    if member and balance:  # without sessions the balances will differ at the end
        person.used = 3
        redemptions.redeem(
            session, member_id=member.id, item_id=balance.item_id, quantity=person.used,
            key=f"check-in {person.email}", by=sample_gym.BY, now=datetime.now(UTC),
        )  # fmt: skip


def _compare(session: Session, members: Sequence[Person], table: Table) -> bool:
    rows: dict[str, list[Any]] = {}
    for one in members:
        held = _balances(session, one)
        training, classes = (held.get(item) for item in PICKS)
        owed = training.shortfall if training else 0
        found = training.usable if training else 0, classes.usable if classes else 0, owed
        row = rows.setdefault(one.plot, [one.plot, 0, len(one.deliveries), *found, *one.expected(), "yes"])
        row[1] += 1
        if found != one.expected():
            row[-1] = "NO"
    headings = ["what happened", "members", "events each", "training", "classes", "owed"]
    table([*headings, "counted: training", "classes", "owed", "agree"], list(rows.values()))
    return all(row[-1] == "yes" for row in rows.values())


def _wait_until(make: sessionmaker[Session], condition: str) -> None:
    """Wait for the condition in SQL. A time-out is not an error here: the balances will differ at the end."""

    def holds() -> bool:
        with make() as session:
            return bool(session.scalar(text(condition)))

    wait_until(holds, WAIT_S, every_s=0.05)


def _counted(answers: Sequence[int]) -> str:
    return ", ".join(f"{number} x {status}" for status, number in sorted(Counter(answers).items()))
