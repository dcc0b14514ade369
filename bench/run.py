"""Runs the benches on embedded servers and writes bench/results.json: `python -m bench.run`.

Ten minutes or so on two cores. Every figure is the median of its rounds, and the
peers of a ratio take turns within one run. Absolute figures are of this machine
only; the ratios travel better.
"""

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

from bench import closure, credit, expire, growth, importing, pages, receive, report, verify, visible
from bench.site import MANY_STACKS, Site, made

MEASURES = {
    "verify": verify.measure,
    "receive": receive.measure,
    "credit": credit.measure,
    "closure": closure.measure,
    "importing": importing.measure,
    "visible": visible.measure,
    "expire": expire.measure,
    "growth": growth.measure,
    "pages": pages.measure,
}
RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    """Measures what is asked for, prints a table, and writes the results."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only",
        nargs="+",
        choices=MEASURES,
        default=list(MEASURES),
        metavar="NAME",
        help=", ".join(MEASURES),
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds per measure (default: 3)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to write (default: bench/results.json)")
    options = parser.parse_args()
    # Whatever else runs shares the cores with the measured: a ratio suffers less than a figure, but both do.
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    with made("bench", options.rounds, **MANY_STACKS) as site:
        results = list(_measure(options.only, site))
    print(report.table(results))
    report.write(results, options.results, keep=set(options.only) != set(MEASURES))


def _measure(names: list[str], site: Site) -> Iterator[report.Result]:
    for name in names:
        begin = time.monotonic()
        yield from MEASURES[name](site)
        print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
