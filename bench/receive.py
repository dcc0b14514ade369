"""Receiving: acknowledged deliveries per second, against the tutorial and against doing nothing.

No worker runs beside it: what is measured is the way from the socket to a stored
event and a message sent. The three servers idle while another one is loaded.
"""

from contextlib import ExitStack
from statistics import median

from bench import load, loading, peers, report
from bench.processes import resident_mb
from bench.site import Site
from local.processes import free_port

MEMBERSHIPS = 5_000
SECONDS = 6.0
TOP_RATE_PER_S = 12_000
"""More than we ever answered: how many deliveries a round prepares."""


def measure(site: Site) -> list[report.Result]:
    """receive_over_tutorial, receive_over_bare, answer_p99_ms, web_rss_mb."""
    loading.our_database(site, "receive_ours", MEMBERSHIPS)
    loading.tutorial_database(site, "receive_tutorial", MEMBERSHIPS)
    found: dict[str, list[load.Outcome]] = {"ours": [], "tutorial": [], "bare": [], "half": []}
    with ExitStack() as running:
        stack = site.our_stack("receive_ours")
        running.callback(stack.stop)
        stack.start("web")
        stack.wait_ready()
        ours = stack.process("web")
        tutorial_port, bare_port = free_port(), free_port()
        environment = site.tutorial_environment("receive_tutorial")
        running.enter_context(peers.tutorial_web(tutorial_port, environment, site.folder))
        running.enter_context(peers.bare_web(bare_port, environment, site.folder))
        for _ in range(site.rounds):
            found["tutorial"].append(_top(site, tutorial_port, 2_000))
            found["ours"].append(_top(site, stack.port, TOP_RATE_PER_S))
            found["bare"].append(load.send(load.Plan(bare_port, SECONDS, count=20_000, repeat=True)))
            loading.tidy(site, "receive_ours")
            loading.tidy(site, "receive_tutorial")
        half_per_s = median(one.answered_per_s for one in found["ours"]) / 2
        for _ in range(site.rounds):
            first = site.numbers(int(half_per_s * (SECONDS + 2)))
            plan = load.Plan(stack.port, SECONDS, first, memberships=MEMBERSHIPS, rate_per_s=half_per_s)
            found["half"].append(load.send(plan))
        memory_mb = resident_mb(ours)
    for outcomes in found.values():
        for outcome in outcomes:
            outcome.require_all_accepted()
    tops = {
        name: report.Series(name, "/s", [one.answered_per_s for one in found[name]])
        for name in ("ours", "tutorial", "bare")
    }
    half = report.Series("ours", "ms", [one.p99_ms for one in found["half"]])
    cpu = {name: f"load generator {max(one.cpu for one in found[name]):.0%} of a core" for name in found}
    return [
        report.ratio("receive_over_tutorial", tops["ours"], tops["tutorial"], f"at ours, {cpu['ours']}"),
        report.ratio("receive_over_bare", tops["ours"], tops["bare"], f"at bare, {cpu['bare']}"),
        report.Result("answer_p99_ms", half.median, (half,), f"at {half_per_s:,.0f}/s, {cpu['half']}"),
        report.Result("web_rss_mb", memory_mb, ()),
    ]


def _top(site: Site, port: int, at_most_per_s: int) -> load.Outcome:
    count = int(at_most_per_s * (SECONDS + 1))
    return load.send(load.Plan(port, SECONDS, site.numbers(count), count, MEMBERSHIPS))
