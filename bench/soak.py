"""Load that lasts: `python -m bench.soak [SECONDS]`, ten minutes by default; `make soak`.

A steady mix (bench/mix.py) with a burst at ten times its rate in each minute, on embedded servers and our own
processes. Each minute is told in a row as it ends. When 60 % are over, all bodies are pruned.
At the end stand the verdicts: memory and file descriptors flat, the inbox bounded after the prune, everything that
was acknowledged finished, the audit clean. Exits 1 where one does not hold. A shorter run has shorter minutes.
"""

import argparse
import os
import pickle
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from bench import load, loading, mix
from bench.site import Site, made
from local import endpoints
from local.stack import Stack
from models.database.engine import make_engine, sessions
from models.inbox.pruning import prune
from runtime.settings import load as load_settings

DATABASE = "soak"
MINUTES = 10
MEMBERSHIPS = 2_000
BURST = 10
BURST_SHARE = 1 / 12
"""Of each minute: five of sixty seconds."""
PRUNE_AFTER = 0.6
WARM_UP = 0.3
MORE_MEMORY = 0.05
"""How much more a process may hold at the end than after the warm-up, besides 4 MB for what the allocator rounds."""
MORE_FILES = 6
"""A process that Celery puts in the place of one that did its share inherits what the worker has open by then."""
AT_REST_S = 2.0
MORE_INBOX = 0.3
"""Keys stay for ever, bodies do not: how fast the inbox may grow after the prune, over before."""
PROCESSES = ("web", "worker", "beat", "console")
TABLES = ("webhook_events", "payment_facts", "credit_grants", "ledger_entries", "delivery_counts")


@dataclass
class Minute:
    """What was seen of one minute: how it was answered, and what stood when it was over."""

    answers: Counter[str] = field(default_factory=Counter)
    steady_ms: tuple[float, float] = (0.0, 0.0)
    burst_ms: tuple[float, float] = (0.0, 0.0)
    rss_mb: dict[str, float] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    tables_mb: dict[str, float] = field(default_factory=dict)
    due: int = 0
    oldest_due_s: float = 0.0

    def row(self, number: int) -> str:
        """The minute in a line under `HEADING`."""
        answers = " ".join(f"{status}:{times}" for status, times in sorted(self.answers.items()))
        return COLUMNS.format(
            number,
            answers,
            "/".join(f"{ms:.0f}" for ms in self.steady_ms),
            "/".join(f"{ms:.0f}" for ms in self.burst_ms),
            " ".join(f"{self.rss_mb[name]:.0f}" for name in PROCESSES),
            " ".join(str(self.files[name]) for name in PROCESSES),
            " ".join(f"{self.tables_mb[name]:.1f}" for name in TABLES),
            f"{self.due}/{self.oldest_due_s:.0f}",
        )


COLUMNS = "{:>3}  {:28}  {:>9}  {:>9}  {:>16}  {:>14}  {:>26}  {:>7}"
HEADING = COLUMNS.format("min", "answers by status", "p50/p99", "in burst", "RSS MB", "files", "tables MB", "due/s") + (
    f"\n     Times in ms. RSS and files of {', '.join(PROCESSES)}. Tables: {', '.join(TABLES)}."
)


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__.splitlines()[0])
    parser.add_argument("seconds", type=float, nargs="?", default=60.0 * MINUTES)
    parser.add_argument("--rate", type=float, default=40.0, help="deliveries a second between the bursts (default: 40)")
    options = parser.parse_args()
    with made("soak", 1) as site:
        wrong = list(Soak(site, options.rate).run(options.seconds))
        for verdict in wrong:
            print(f"NOT AS IT SHOULD BE: {verdict}")
        if wrong:
            sys.exit(1)
    print("Memory and file descriptors flat, the inbox bounded, all that was acknowledged finished, the audit clean.")


class Soak:
    """One run: what was sent, and what was seen of it."""

    def __init__(self, site: Site, rate_per_s: float) -> None:
        self._site = site
        self._rate_per_s = rate_per_s
        self._sent: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._minutes: list[Minute] = []
        loading.our_database(site, DATABASE, MEMBERSHIPS)
        with endpoints.provided(site.folder, run=False) as provided:
            self._environment = {**site.our_environment(DATABASE), **provided}
        os.environ.update(self._environment)
        self._mix = mix.Mix(load_settings().endpoints, MEMBERSHIPS)
        with site.connect(DATABASE) as connection:
            connection.execute(
                "INSERT INTO billing_references (endpoint, reference, membership_id) "
                "SELECT name, reference, membership_id FROM billing_references, unnest(%s::text[]) AS name",
                [self._mix.endpoints],
            )
        loading.tidy(site, DATABASE)

    def run(self, seconds: float) -> Iterator[str]:
        """Loads for that long, with a line per minute; yields what is wrong."""
        stack = Stack(self._environment, self._site.folder / DATABASE)
        try:
            stack.start(*PROCESSES)
            stack.wait_ready()
            print(HEADING, flush=True)
            for number in range(MINUTES):
                if number == int(MINUTES * PRUNE_AFTER):
                    self._prune()
                self._minutes.append(self._minute(stack, seconds / MINUTES))
                print(self._minutes[-1].row(number + 1), flush=True)
            yield from self._unfinished()
        finally:
            stack.stop()
        yield from self._grown()
        spp = Path(sys.executable).with_name("spp")
        audit = subprocess.run([spp, "audit"], env=self._environment, capture_output=True, text=True)
        if audit.returncode:
            yield f"the audit: {audit.stdout}{audit.stderr}"

    def _minute(self, stack: Stack, seconds: float) -> Minute:
        minute, burst_s = Minute(), seconds * BURST_SHARE
        minute.steady_ms = self._load(stack.port, minute, seconds - burst_s, self._rate_per_s)
        minute.burst_ms = self._load(stack.port, minute, burst_s, BURST * self._rate_per_s)
        time.sleep(AT_REST_S)
        for name in PROCESSES:
            process = stack.process(name)
            family = [process, *process.children(recursive=True)]
            minute.rss_mb[name] = sum(float(one.memory_info().rss) for one in family) / 1e6
            minute.files[name] = sum(one.num_fds() for one in family)
        with self._site.connect(DATABASE) as connection:
            for table in TABLES:
                minute.tables_mb[table] = _number(connection, "SELECT pg_total_relation_size(%s)", table) / 1e6
            due = "FROM webhook_events WHERE state = 'pending' AND next_attempt_at <= clock_timestamp()"
            minute.due = int(_number(connection, f"SELECT count(*) {due}"))
            age = f"SELECT extract(epoch FROM clock_timestamp() - min(received_at)) {due}"
            minute.oldest_due_s = _number(connection, age)
        return minute

    def _load(self, port: int, minute: Minute, seconds: float, rate_per_s: float) -> tuple[float, float]:
        requests = self._mix.take(int(seconds * rate_per_s) + 1)
        file = self._site.folder / "requests"
        file.write_bytes(pickle.dumps([request.content for request in requests]))
        outcome = load.send(load.Plan(port, seconds, rate_per_s=rate_per_s, warmup_s=0, requests=str(file)))
        self._sent.update(request.kind for request in requests[: outcome.sent])
        self._answers.update(outcome.statuses)
        minute.answers.update(outcome.statuses)
        return outcome.p50_ms, outcome.p99_ms

    def _prune(self) -> None:
        """Bodies are kept for no time at all, once."""
        engine = make_engine(self._environment["DATABASE_URL"])
        began, total = time.monotonic(), 0
        while True:
            with sessions(engine).begin() as session:
                pruned = prune(session, keep_days=0, limit=5_000)
            if not pruned:
                break
            total += pruned
        engine.dispose()
        loading.tidy(self._site, DATABASE)
        print(f"     pruned {total} bodies in {time.monotonic() - began:.1f} s", flush=True)

    def _unfinished(self) -> Iterator[str]:
        accepted = sum(times for status, times in self._answers.items() if status.startswith("2"))
        if accepted != self._sent[mix.NEW] + self._sent[mix.REPEATED]:
            yield f"{self._sent} were sent, and answered {self._answers}"
        deadline = time.monotonic() + 60
        while (states := self._states())["pending"] and time.monotonic() < deadline:
            time.sleep(0.5)
        if sum(states.values()) != self._sent[mix.NEW]:
            yield f"{self._sent[mix.NEW]} events were sent, and {sum(states.values())} are in the inbox"
        if set(states) - {"processed", "ignored"}:
            yield f"not every event came to its end: {states}"

    def _states(self) -> Counter[str]:
        with self._site.connect(DATABASE) as connection:
            return Counter(dict(connection.execute("SELECT state, count(*) FROM webhook_events GROUP BY 1").fetchall()))

    def _grown(self) -> Iterator[str]:
        first, last = self._minutes[int(MINUTES * WARM_UP)], self._minutes[-1]
        for name in PROCESSES:
            seen = [minute.rss_mb[name] for minute in self._minutes[int(MINUTES * WARM_UP) :]]
            grown = _slope(seen) * (len(seen) - 1)
            print(f"{name}: {seen[0]:.1f} MB after the warm-up, {seen[-1]:.1f} MB at the end, trend {grown:+.1f} MB")
            if grown > MORE_MEMORY * seen[0] + 4:
                yield f"{name} holds {grown:.1f} MB more than after the warm-up"
            if last.files[name] > first.files[name] + MORE_FILES:
                yield f"{name} has {last.files[name]} files open; after the warm-up, {first.files[name]}"
        inbox = [minute.tables_mb["webhook_events"] for minute in self._minutes]
        pruned_at = int(MINUTES * PRUNE_AFTER)
        before, after = _slope(inbox[:pruned_at]), _slope(inbox[pruned_at:])
        print(f"inbox: {before:+.2f} MB a minute before the prune, {after:+.2f} after it, where it uses the room again")
        if after > before * MORE_INBOX:
            yield f"the inbox grows by {after:.2f} MB a minute though it was pruned; before, by {before:.2f}"


def _slope(values: list[float]) -> float:
    """How much they rise from one to the next, by least squares."""
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    spread = sum((place - middle) ** 2 for place in range(len(values)))
    return sum((place - middle) * (value - mean) for place, value in enumerate(values)) / spread


def _number(connection: psycopg.Connection, query: str, *values: object) -> float:
    row = connection.execute(query.encode(), values).fetchone()
    return float(row[0] or 0) if row else 0.0


if __name__ == "__main__":
    main()
