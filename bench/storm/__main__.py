"""`python -m bench.storm [SECONDS] [--seed N]`: a storm of faults on the real stack; exits 1 where a promise broke.

Rounds of storm and calm follow one another until the time is over. In each calm the database is compared with what
was acknowledged. The verdict waits for the work to end, however slow the machine is, as long as it goes on.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event, Thread

import psycopg
from sqlalchemy.engine import make_url

from bench import loading
from bench.site import Site, made
from bench.storm import faults, without
from bench.storm.counted import Counted
from bench.storm.faults import FAULTS, OURS, SPP, Broken
from bench.storm.machine import Machine
from bench.storm.proxy import Proxy
from bench.storm.senders import Senders
from bench.storm.without import WITHOUT
from bench.storm.world import World, endless
from local import endpoints
from local.api_objects import Objects
from local.stack import Stack
from local.standin import StandIn, standins
from models.database.engine import make_engine, sessions
from models.staff import accounts, tokens
from models.staff.accounts import Role
from models.staff.actions import Actor
from models.staff.tokens import TokenScope
from runtime.settings import load
from webhooks.processors import adapter

DATABASE = "storm"
MEMBERS = 20
ROUND_S = 60.0
MOST_TOLD = 20
OFTEN = [*FAULTS, *["lose COMMITs", "lose answers", "cut connections", "kill a worker child"] * 4]
"""What passes at once happens more often than what takes seconds."""
BREAKERS = 3
"""Faults at once."""
OPEN_AT_MOST = 300
"""Requests that wait for an answer at once; more would only queue."""
STUCK_S = 300.0
"""Without any progress for so long, something is stuck."""
NEVER = "SELECT count(*) FROM webhook_events WHERE state = 'pending' AND next_attempt_at > now() + interval '1 day'"


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.storm", description=__doc__.splitlines()[0])
    parser.add_argument("seconds", type=float, nargs="?", default=600.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--without", choices=WITHOUT, help="without that protection: the storm has to notice")
    options = parser.parse_args()
    print(
        f"Seed {options.seed}: `make storm SECONDS={options.seconds:g} SEED={options.seed}` draws the same again.",
        flush=True,
    )
    machine = Machine()
    with made("storm", 1, machine.prepared) as site, storm(site, machine, options.seed, options.without) as weather:
        wrong = list(weather.blow(options.seconds))
    for verdict in wrong[:MOST_TOLD]:
        print(f"NOT AS PROMISED: {verdict}")
    if wrong:
        sys.exit(1)
    print("No acknowledged event lost, none counted twice; every balance and last day as counted; the audit clean.")


class Storm:
    """One run."""

    def __init__(self, broken: Broken, senders: Senders, counted: Counted, world: World, seed: int, site: Site) -> None:
        self._broken, self._senders, self._counted, self._site = broken, senders, counted, site
        self._happenings = endless(world)
        self._drawing = [random.Random(f"breaker {number} of {seed}") for number in range(BREAKERS)]
        self._faults: Counter[str] = Counter()

    def blow(self, seconds: float) -> Iterator[str]:
        """Storm and calm for so long; yields what was not as promised."""
        ends = time.monotonic() + seconds
        round_s = min(ROUND_S, max(10.0, seconds / 2))
        number = 0
        while time.monotonic() < ends:
            number += 1
            self._blow(min(ends, time.monotonic() + round_s))
            began = time.monotonic()
            wrong = [*self._calm(), *self._compare(), *self._senders.seen.wrong]
            answers = sorted((self._senders.seen.webhooks + self._senders.seen.console).items())
            print(
                f"Round {number}: {sum(self._faults.values())} faults so far; calm after "
                f"{time.monotonic() - began:.0f} s; answers "
                + ", ".join(f"{status or 'none'}: {times}" for status, times in answers),
                flush=True,
            )
            if wrong:
                yield from wrong
                break
        for name, times in sorted(self._faults.items()):
            print(f"{times:6} {name}")
        print(f"{sum(self._faults.values()):6} faults, and {self._broken.proxy.lost} answers of the database lost")
        yield from self._audit()

    def _blow(self, until: float) -> None:
        over = Event()
        breaking = [Thread(target=self._break, args=(over, drawing)) for drawing in self._drawing]
        for thread in breaking:
            thread.start()
        while time.monotonic() < until:
            if self._senders.open < OPEN_AT_MOST:
                self._senders.take(next(self._happenings))
            else:
                time.sleep(0.02)
        over.set()
        for thread in breaking:
            thread.join()

    def _break(self, over: Event, drawing: random.Random) -> None:
        while not over.is_set():
            name = drawing.choice(OFTEN)
            FAULTS[name](self._broken, drawing.random())
            with self._broken.lock:
                self._faults[name] += 1
            over.wait(drawing.random())
            faults.revive(self._broken)

    def _calm(self) -> Iterator[str]:
        """Mend everything, and wait until all that was asked is answered and all that was told is worked off."""
        faults.mend(self._broken)
        self._broken.stack.wait_ready(STUCK_S)
        last, since, replayed = (-1, -1), time.monotonic(), False
        while True:
            now = self._senders.open, self._due()
            if now == (0, 0):
                failed = self._count("SELECT count(*) FROM webhook_events WHERE state IN ('dead', 'quarantined')")
                if not failed:
                    return
                if replayed:
                    yield f"{failed} events failed or were quarantined, also after a replay"
                    return
                replayed = True
                subprocess.run(
                    [SPP, "replay", "--all", "--yes"], env=self._broken.environment, capture_output=True, check=False
                )
                continue
            if now == (0, self._count(NEVER)):
                yield f"{now[1]} events are nobody's, and nobody will get them"
                return
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > STUCK_S:
                yield f"stuck: {now[0]} requests without an answer, {now[1]} events not worked off"
                return
            faults.revive(self._broken)
            time.sleep(0.2)

    def _due(self) -> int:
        return self._count("SELECT count(*) FROM webhook_events WHERE state = 'pending'") + self._count(
            "SELECT count(*) FROM payments WHERE settle_again"
        )

    def _compare(self) -> Iterator[str]:
        """What is in the database against what was counted."""
        with self._site.connect(DATABASE) as connection:
            balances = Counter(
                {
                    (member - 1, item): int(left)
                    for member, item, left in connection.execute(
                        "SELECT g.member_id, i.name, sum(g.remaining - g.shortfall) FROM credit_grants g "
                        "JOIN items i ON i.id = g.item_id GROUP BY 1, 2"
                    )
                }
            )
            days: dict[int, Counter[tuple[str, date]]] = {}
            for member, item, day, number in connection.execute(
                "SELECT g.member_id, i.name, CAST(g.expires_at AT TIME ZONE 'America/Chicago' AS date) - 1, count(*) "
                "FROM credit_grants g JOIN items i ON i.id = g.item_id "
                "WHERE g.payment_id IS NOT NULL AND g.reversed < g.quantity GROUP BY 1, 2, 3"
            ):
                days.setdefault(member - 1, Counter())[item, day] = number
        for key in sorted({*balances, *self._counted.left}):
            if balances[key] != self._counted.left[key]:
                yield f"member {key[0] + 1} has {balances[key]} of {key[1]}, and should have {self._counted.left[key]}"
        for member in range(MEMBERS):
            found, wanted = days.get(member, Counter()), self._counted.last_days(member)
            if found != wanted:
                more, less = sorted((found - wanted).items()), sorted((wanted - found).items())
                yield f"member {member + 1} has last days {more} instead of {less}"
        unmatched = self._count("SELECT count(*) FROM payments WHERE state = 'unmatched'")
        if unmatched != self._counted.unmatched:
            yield f"{unmatched} payments are unmatched, and {self._counted.unmatched} should be"

    def _audit(self) -> Iterator[str]:
        done = subprocess.run([SPP, "audit"], env=self._broken.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            yield f"the audit: {done.stdout}{done.stderr}"

    def _count(self, query: str) -> int:
        try:
            with self._site.connect(DATABASE) as connection:
                row = connection.execute(query.encode()).fetchone()
        except psycopg.OperationalError:  # it is being started again
            return -1
        return int(row[0]) if row else 0


@contextmanager
def storm(site: Site, machine: Machine, seed: int, lacking: str | None = None) -> Iterator[Storm]:
    """The stack, with everything between its parts that can be broken."""
    loading.our_database(site, DATABASE, MEMBERS)
    folder = site.folder / "up"
    with ExitStack() as stack:
        running = {kind: stack.enter_context(StandIn(kind, folder / "standin")) for kind in standins()}
        (folder / "standin").mkdir(parents=True, exist_ok=True)
        (folder / "standin" / "urls.json").write_text(json.dumps({kind: one.url for kind, one in running.items()}))
        environment = (
            site.our_environment(DATABASE)
            | machine.environment
            | stack.enter_context(endpoints.provided(folder, run=False))
        )
        proxy = Proxy(site.folder / "proxy", Path(str(make_url(site.postgres.url(DATABASE)).query["host"])))
        stack.callback(proxy.close)
        environment["DATABASE_URL"] = f"postgresql://postgres@/{DATABASE}?host={proxy.folder}"
        os.environ.update(environment)
        if lacking:
            environment |= without.environment(site.folder, lacking)
        processors = [adapter(one) for one in load().endpoints]
        with site.connect(DATABASE) as connection:
            connection.execute(
                "INSERT INTO billing_references (endpoint, reference, membership_id) "
                "SELECT name, reference, membership_id FROM billing_references, unnest(%s::text[]) AS name "
                "ON CONFLICT DO NOTHING",
                [[one.endpoint.name for one in processors]],
            )
        loading.tidy(site, DATABASE)
        ours = Stack(environment, site.folder / "logs")
        stack.callback(ours.stop)
        ours.start(*OURS)
        ours.wait_ready(STUCK_S)
        counted = Counted()
        senders = Senders(
            counted,
            lambda kind: Objects(folder / "standin" / kind),
            lambda: (ours.port, ours.console_port),
            _token(site),
        )
        stack.callback(senders.close)
        broken = Broken(ours, site.postgres, site.broker, proxy, running, environment, machine)
        yield Storm(broken, senders, counted, World(seed, processors, MEMBERS), seed, site)


def _token(site: Site) -> str:
    engine = make_engine(site.postgres.url(DATABASE))
    by = Actor("storm", "bench")
    with sessions(engine).begin() as session:
        person = accounts.add(
            session, email="storm@example.com", name="Storm", role=Role.MANAGER, password="a storm in a teacup",
            by=by, now=datetime.now(UTC),
        )  # fmt: skip
        _, secret = tokens.make(session, person, name="storm", scope=TokenScope.WRITE, by=by)
    engine.dispose()
    return secret


if __name__ == "__main__":
    main()
