"""What a long past costs: the price of an event with 1,000,000 behind it, against 1,000.

The price is wall time per event, from the first delivery posted to the last one
credited, with web and worker at work side by side: what a burst really takes.
After each burst it is forgotten, so that the small past stays small.
"""

from contextlib import ExitStack
from datetime import UTC, datetime

from bench import commits, load, loading, report
from bench.commits import OURS
from bench.site import Site

MEMBERSHIPS = 50_000
BURST = 5_000
PASTS = {"small": 1_000, "large": 1_000_000}


def measure(site: Site) -> list[report.Result]:
    """cost_growth."""
    series = {name: report.Series(f"{events:,} past", "us/event", []) for name, events in PASTS.items()}
    with ExitStack() as running:
        ports = {}
        for place, (name, events) in enumerate(PASTS.items()):
            database = f"growth_{name}"
            loading.our_database(site, database, MEMBERSHIPS)
            loading.past(site, database, events=events, memberships=MEMBERSHIPS, until=datetime.now(UTC))
            stack = site.our_stack(database, broker_database=2 + place, worker_concurrency=1)
            running.callback(stack.stop)
            stack.start("web", "worker")
            stack.wait_ready()
            ports[name] = stack.port
            _burst(site, name, stack.port)  # to warm up: caches, plans, connections
        for turn in range(site.rounds + 2):
            for name in sorted(PASTS, reverse=bool(turn % 2)):
                series[name].values.append(_burst(site, name, ports[name]))
    return [report.ratio("cost_growth", series["large"], series["small"])]


def _burst(site: Site, name: str, port: int) -> float:
    database = f"growth_{name}"
    plan = load.Plan(port, seconds=60, first=site.numbers(BURST), count=BURST, memberships=MEMBERSHIPS, warmup_s=0)
    with site.connect(database) as connection:
        newest = commits.newest_entry(connection, OURS)
        outcome = load.send(plan).require_all_accepted()
        committed = commits.wait_for(connection, OURS, newest, outcome.sent, timeout_s=120)
    loading.forget(site, database, events=PASTS[name])
    return 1e6 * (max(committed.values()) - outcome.began_at) / outcome.sent
