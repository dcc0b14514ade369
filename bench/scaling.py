"""What more processes give on this machine, and who uses its cores: `python -m bench.scaling [ROUNDS]`.

Receiving with 1, 2 and 4 web processes, crediting with 1, 2 and 4 worker processes; peers take turns. CPU times are
what travels: milliseconds for a thousand events, ours and PostgreSQL's. Where their sum fills the cores, more
processes give nothing.
"""

import argparse
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Self

import psutil

from bench import credit, load, loading
from bench.receive import MEMBERSHIPS, SECONDS, TOP_RATE_PER_S
from bench.site import MANY_STACKS, Site, made

PROCESSES = (1, 2, 4)
ROW = "{:10} {:>9} {:>8} {:>14} {:>14}"


class Spent:
    """The CPU time that a process of ours, with its children, and PostgreSQL spend while the block runs."""

    def __init__(self, site: Site, ours: psutil.Process) -> None:
        server = site.postgres.process()
        assert server is not None
        self._parents = (ours, psutil.Process(server.pid))
        self.seconds: tuple[float, ...] = (0.0, 0.0)

    def __enter__(self) -> Self:
        self._before = tuple(map(_cpu_s, self._parents))
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = tuple(_cpu_s(one) - before for one, before in zip(self._parents, self._before, strict=True))


@dataclass
class Seen:
    """What one number of processes came to, a value per round."""

    per_s: list[float] = field(default_factory=list)
    ours_ms: list[float] = field(default_factory=list)
    """CPU time for a thousand events."""
    postgres_ms: list[float] = field(default_factory=list)

    def add(self, per_s: float, spent: Spent, events: int) -> None:
        """A round with that many events."""
        self.per_s.append(per_s)
        for values, cpu_s in zip((self.ours_ms, self.postgres_ms), spent.seconds, strict=True):
            values.append(cpu_s / events * 1e6)


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    with made("scaling", parser.parse_args().rounds, **MANY_STACKS) as site:
        print(f"{psutil.cpu_count()} cores. CPU: ms for a thousand events; medians of {site.rounds} rounds.")
        _tell("receiving", _receiving(site))
        _tell("crediting", _crediting(site))


def _receiving(site: Site) -> dict[int, Seen]:
    loading.our_database(site, "receiving", MEMBERSHIPS)
    found = {number: Seen() for number in PROCESSES}
    count = int(TOP_RATE_PER_S * (SECONDS + 1))
    for _ in range(site.rounds):
        for number, seen in found.items():
            stack = site.our_stack("receiving", web_workers=number)
            try:
                stack.start("web")
                stack.wait_ready()
                plan = load.Plan(stack.port, SECONDS, site.numbers(count), count, MEMBERSHIPS)
                with Spent(site, stack.process("web")) as spent:
                    outcome = load.send(plan).require_all_accepted()
                seen.add(outcome.answered_per_s, spent, outcome.sent)
            finally:
                stack.stop()
            loading.tidy(site, "receiving")
    return found


def _crediting(site: Site) -> dict[int, Seen]:
    loading.our_database(site, credit.DATABASE, credit.MEMBERSHIPS)
    found = {number: Seen() for number in PROCESSES}
    for _ in range(site.rounds):
        for number, seen in found.items():
            stack = site.our_stack(credit.DATABASE, worker_concurrency=number)
            try:
                stack.start("worker")
                stack.wait_ready()
                credit.drain(site, credit.WARMUP)
                spent = Spent(site, stack.process("worker"))
                seen.add(credit.drain(site, credit.BACKLOG, number, spent), spent, credit.BACKLOG)
            finally:
                stack.stop()
    return found


def _tell(what: str, found: dict[int, Seen]) -> None:
    print(ROW.format(what, "processes", "per s", "CPU ours", "CPU PostgreSQL"))
    for number, seen in found.items():
        figures = (median(values) for values in (seen.per_s, seen.ours_ms, seen.postgres_ms))
        print(ROW.format("", number, *(f"{figure:,.0f}" for figure in figures)), flush=True)


def _cpu_s(parent: psutil.Process) -> float:
    """Of the process and its children; those that have ended are in the account of their parent."""
    total = 0.0
    for one in [*parent.children(recursive=True), parent]:
        with suppress(psutil.NoSuchProcess):
            total += sum(one.cpu_times()[:4])
    return total


if __name__ == "__main__":
    main()
