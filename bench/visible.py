"""From a webhook's posting to its sessions: 100 a second offered to both complete stacks in turn.

The time counts from the moment a delivery was due to be posted until the commit
of its grants, by the one clock of this machine.
"""

from contextlib import ExitStack

from bench import answers, commits, load, loading, peers, report
from bench.commits import OURS, TUTORIAL, Ledger
from bench.site import Site
from bench.stripe_events import invoice_id
from local.processes import free_port

MEMBERSHIPS = 5_000
RATE_PER_S = 100.0
SECONDS = 15.0
WARMUP_S = 2.0


def measure(site: Site) -> list[report.Result]:
    """visible_p99_over_tutorial."""
    loading.our_database(site, "visible_ours", MEMBERSHIPS)
    loading.tutorial_database(site, "visible_tutorial", MEMBERSHIPS)
    ours, tutorial = report.Series("ours", "ms", []), report.Series("tutorial", "ms", [])
    halves: list[float] = []
    tutorial_halves: list[float] = []
    with ExitStack() as running:
        stack = running.enter_context(site.our_stack("visible_ours"))
        stack.wait_ready()
        port = free_port()
        environment = site.tutorial_environment("visible_tutorial")
        running.enter_context(peers.tutorial_web(port, environment, site.folder))
        running.enter_context(peers.tutorial_worker(environment, site.folder))
        peers_in_turn = (
            (tutorial, tutorial_halves, "visible_tutorial", TUTORIAL, port),
            (ours, halves, "visible_ours", OURS, stack.port),
        )
        for _, _, database, ledger, at in peers_in_turn:
            _round(site, database, ledger, at, WARMUP_S)
        for _ in range(site.rounds):
            for series, p50, database, ledger, at in peers_in_turn:
                waits_ms = _round(site, database, ledger, at, SECONDS)
                series.values.append(answers.quantile(waits_ms, 0.99))
                p50.append(answers.quantile(waits_ms, 0.5))
    note = f"p50 {report.Series('ours', 'ms', halves)}; {report.Series('tutorial', 'ms', tutorial_halves)}"
    return [report.ratio("visible_p99_over_tutorial", ours, tutorial, note)]


def _round(site: Site, database: str, ledger: Ledger, port: int, seconds: float) -> list[float]:
    first = site.numbers(int(RATE_PER_S * (WARMUP_S + seconds)) + 1)
    plan = load.Plan(
        port, seconds, first, memberships=MEMBERSHIPS, rate_per_s=RATE_PER_S, warmup_s=WARMUP_S, trace=True
    )
    with site.connect(database) as connection:
        newest = commits.newest_entry(connection, ledger)
        outcome = load.send(plan).require_all_accepted()
        committed = commits.wait_for(connection, ledger, newest, outcome.sent, timeout_s=120)
    loading.tidy(site, database)
    counted = sorted(outcome.due_at.items())[int(RATE_PER_S * WARMUP_S) :]
    return sorted(1000 * (committed[invoice_id(int(n))] - due) for n, due in counted)
