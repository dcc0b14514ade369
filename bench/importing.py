"""Moving in: rows per second from the file to the last commit, and the memory of the process that does it.

A file of people with their memberships, then one of their opening balances; each is uploaded, judged, and written,
which judges it once more. Each is done in a process of its own, whose largest memory is measured, for 10,000 and for
100,000 rows. Alone: `python -m bench.importing`.
"""

import csv
import json
import resource
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

from bench import loading, report
from bench.site import Site, made
from models.database.engine import make_engine, sessions
from models.moving import imports, working
from models.moving.columns import Kind
from models.staff.actions import Actor

FEW, MANY = 10_000, 100_000
BY = Actor("bench", "command line")


def measure(site: Site, sizes: tuple[int, int] = (FEW, MANY)) -> list[report.Result]:
    """import_rows_per_s and import_rss_growth."""
    rates = {kind: report.Series(kind.value, "/s", []) for kind in Kind}
    memory = {size: report.Series(f"{size:,} rows", "MB", []) for size in sizes}
    for size in sizes:
        database = f"import_{size}"
        loading.our_database(site, database, 1)
        peak = 0.0
        for kind in Kind:
            file = site.folder / f"{kind}_{size}.csv"
            _fill(file, kind, size)
            seconds, rss = _in_a_process(site.postgres.url(database), kind, file)
            file.unlink()
            if size == sizes[-1]:
                rates[kind].values.append(size / seconds)
            peak = max(peak, rss)
        memory[size].values.append(peak)
    few, many = (memory[size].median for size in sizes)
    return [
        report.Result("import_rows_per_s", min(one.median for one in rates.values()), tuple(rates.values())),
        report.Result("import_rss_growth", many / few, tuple(memory.values())),
    ]


def _fill(file: Path, kind: Kind, rows: int) -> None:
    first = date(2020, 1, 1)
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        if kind == Kind.PEOPLE:
            writer.writerow(["email", "name", "club", "offer", "joined", "endpoint", "billing references", "picks"])
            for n in range(rows):
                joined = first + timedelta(days=n % 2000)
                writer.writerow(
                    [f"new{n}@example.com", f"Member Number {n}", "Bench", "Gold", joined, "stripe", f"sub_new_{n}",
                     "Class | Training"]
                )  # fmt: skip
        else:
            writer.writerow(["email", "item", "left", "of", "last day", "value"])
            for n in range(rows):
                last = date(2090, 1, 1) + timedelta(days=n % 90)
                writer.writerow([f"new{n}@example.com", "Class", n % 10, 10, last, "120.00 USD"])


def _in_a_process(url: str, kind: Kind, file: Path) -> tuple[float, float]:
    """The seconds that it took, and the largest memory of the process in MB."""
    command = [sys.executable, "-m", "bench.importing", url, kind.value, str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    print(done.stderr, end="", flush=True)
    seconds, rss = json.loads(done.stdout)
    return seconds, rss


def _import(url: str, kind: Kind, file: Path) -> None:
    engine = make_engine(url)
    make = sessions(engine)
    began = at = time.perf_counter()
    with file.open("rb") as stream, make.begin() as session:
        made = imports.upload(session, kind, stream, file_name=file.name, by=BY, credits_from=date(2026, 1, 1))
    for step in ("upload", "judge", "write"):
        if step != "upload":
            working.run(make, made.id, endpoints=("stripe",))
        with make.begin() as session:
            made = imports.the_import(session, made.id)
            if step == "judge":
                imports.write(session, made.id, expected=made.rows, reason="bench", by=BY)
        print(f"{kind} {made.rows:,} {step}: {time.perf_counter() - at:.1f} s", file=sys.stderr, flush=True)
        at = time.perf_counter()
    if made.state != imports.ImportState.WRITTEN:
        raise ValueError(f"{made.state}: {made.problem}")
    engine.dispose()
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([time.perf_counter() - began, rss]))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        _import(sys.argv[1], Kind(sys.argv[2]), Path(sys.argv[3]))
    else:
        with made("bench", 1) as site:
            print(report.table(measure(site)))
