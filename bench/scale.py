"""`python -m bench.scale`: the first of the month of a large chain, second by second, on so many processes and cores.

It measures nothing: what a delivery and a payment cost is from `python -m bench.scaling`, on the machine at hand or on
that of docs/performance.md. What is simulated is a day of arrivals and two queues, in front of the web processes and in
front of the workers; both use PostgreSQL, which first stores deliveries and spends on crediting what is left.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from random import Random

DAY_S = 86_400
FIRST_HOUR, FIRST_MINUTES = 0.25, 0.5
"""The share of a day's payments in its first hour, and of that hour's in its first ten minutes; else they are even."""
ROW = "{:>6} {:>8} {:>8} {:>12} {:>12} {:>14} {:>14} {:>10}"


@dataclass(frozen=True)
class Costs:
    """CPU time in milliseconds, from `python -m bench.scaling`."""

    web: float = 0.40
    """Of a web process, for a delivery."""
    stored: float = 0.06
    """Of PostgreSQL, for a delivery."""
    worker: float = 0.09
    """Of a worker process, for a payment."""
    credited: float = 0.15
    """Of PostgreSQL, for a payment."""


@dataclass(frozen=True)
class House:
    """What is there: each web and worker process has a core of its own, PostgreSQL has so many."""

    web: int
    workers: int
    database: float


@dataclass
class Day:
    """What a day came to."""

    arrivals: float = 0.0
    """The most in a second, deliveries."""
    answer_s: float = 0.0
    """The longest wait for an answer, beside the work itself."""
    visible_s: float = 0.0
    """The longest time from a delivery to its sessions."""
    behind_s: int = 0
    """Seconds of the day in which a payment waited for more than a second."""
    database: float = 0.0
    """The share of PostgreSQL's cores in use in the busiest minute."""


def arrivals(payments: int, random: Random) -> Iterator[float]:
    """Payments in each second of the day."""
    burst, hour = 600, 3600
    for second in range(DAY_S):
        if second < burst:
            mean = payments * FIRST_HOUR * FIRST_MINUTES / burst
        elif second < hour:
            mean = payments * FIRST_HOUR * (1 - FIRST_MINUTES) / (hour - burst)
        else:
            mean = payments * (1 - FIRST_HOUR) / (DAY_S - hour)
        yield max(0.0, random.gauss(mean, sqrt(mean)))


def day(payments: int, per_payment: float, house: House, costs: Costs, seed: int = 1) -> Day:
    """One day: each payment brings so many deliveries, one of which credits it."""
    seen, asking, due = Day(), 0.0, 0.0
    minute: list[float] = []
    for came in arrivals(payments, Random(seed)):
        deliveries = came * per_payment
        asking += deliveries
        answered = min(asking, house.web * 1000 / costs.web, house.database * 1000 / costs.stored)
        asking -= answered
        due += answered / per_payment
        left_ms = house.database * 1000 - answered * costs.stored
        credited = min(due, house.workers * 1000 / costs.worker, left_ms / costs.credited)
        due -= credited
        minute = [*minute[-59:], (answered * costs.stored + credited * costs.credited) / (house.database * 1000)]
        seen.arrivals = max(seen.arrivals, deliveries)
        seen.database = max(seen.database, sum(minute) / 60)
        answer_s = asking / answered if answered else 0.0
        visible_s = answer_s + (due / credited if credited else 0.0)
        seen.answer_s, seen.visible_s = max(seen.answer_s, answer_s), max(seen.visible_s, visible_s)
        seen.behind_s += visible_s > 1
    return seen


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=20_000_000, help="who pay on that day")
    parser.add_argument("--deliveries", type=float, default=2.0, help="of each payment")
    for name, value in vars(Costs()).items():
        parser.add_argument(f"--{name}-ms", type=float, default=value)
    options = parser.parse_args()
    costs = Costs(*(getattr(options, f"{name}_ms") for name in vars(Costs())))
    print(f"{options.members:,} payments on one day, {options.deliveries:g} deliveries each")
    print(
        ROW.format(
            "web", "workers", "database", "most in 1 s", "answer waits", "sessions after", "behind for", "database"
        )
    )
    for house in (House(1, 1, 1), House(2, 1, 1), House(4, 1, 1), House(4, 1, 2), House(6, 1, 2), House(8, 2, 4)):
        seen = day(options.members, options.deliveries, house, costs)
        print(
            ROW.format(
                house.web, house.workers, house.database, f"{seen.arrivals:,.0f}", f"{seen.answer_s:,.1f} s",
                f"{seen.visible_s:,.1f} s", f"{seen.behind_s / 60:,.1f} min", f"{seen.database:.0%}",
            )
        )  # fmt: skip


if __name__ == "__main__":
    main()
