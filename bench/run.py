"""Runs the benches on embedded servers and writes bench/results.json: `python -m bench.run`.

Ten minutes or so on two cores. Every figure is the median of its rounds, and the
peers of a ratio take turns within one run. Absolute figures are of this machine
only; the ratios travel better.
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

from bench import credit, expire, growth, pages, receive, report, verify, visible
from bench.site import Site
from local.servers import Broker, Postgres

MEASURES = {
    "verify": verify.measure,
    "receive": receive.measure,
    "credit": credit.measure,
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
    folder = Path(tempfile.mkdtemp(prefix="spp-bench-"))
    try:
        results = _measure(options.only, options.rounds, folder)
    except BaseException:
        print(f"The logs are left in {folder}", flush=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    print(report.table(results))
    report.write(results, options.results, keep=set(options.only) != set(MEASURES))


def _measure(names: list[str], rounds: int, folder: Path) -> list[report.Result]:
    results: list[report.Result] = []
    # Two full stacks and more at once; and each commit's time, by which we see sessions appear.
    settings = {"max_connections": "200", "track_commit_timestamp": "on"}
    with Postgres(folder / "postgres", **settings) as postgres, Broker(folder / "broker") as broker:
        site = Site(folder, postgres, broker, rounds)
        for name in names:
            begin = time.monotonic()
            results += MEASURES[name](site)
            print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)
    return results


if __name__ == "__main__":
    main()
