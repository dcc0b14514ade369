"""`python -m bench.fuzz [SECONDS] [--seed N]`: hostile deliveries and requests; exits 1 where something gives way.

Each half has a database of its own and as many processes as it is given. Both end when their time is over.
"""

import argparse
import faulthandler
import json
import os
import random
import resource
import signal
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from bench.site import Site, made
from local import endpoints
from models.database.engine import make_engine
from models.database.migrations import upgrade
from runtime.settings import load

MEMORY_BYTES = 4 << 30
"""Of one process: what takes more is a finding."""
PARTS = ("deliveries", "requests")


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("seconds", type=float, nargs="?", default=600.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--tries", type=int, default=10**9, help="of each process, at most")
    parser.add_argument("--processes", type=int, default=1, help="of each part")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        faulthandler.register(signal.SIGUSR1)
        part = import_module(f"bench.fuzz.{options.part}")
        part.fuzz(options.file, options.seed, options.seconds, options.tries)
        return
    print(f"Seed {options.seed}", flush=True)
    with made("fuzz", 1, fsync="off", max_connections="200") as site:
        results = _run(site, options)
    counts: Counter[str] = Counter()
    found: dict[str, str] = {}
    for result in results:
        counts.update(result["counts"])
        found |= result["found"]
    for name, times in sorted(counts.items()):
        print(f"{times:9,} {name}")
    for kind, shown in found.items():
        print(f"NOT AS PROMISED: {kind}\n    {shown}")
    if found:
        sys.exit(1)


def _run(site: Site, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Let each part run on its database; returns what each process wrote down."""
    running: list[tuple[Path, subprocess.Popen[bytes]]] = []
    with endpoints.provided(site.folder / "up", run=True) as settings:
        for part in [options.only] if options.only else PARTS:
            for number in range(options.processes):
                name = f"{part}_{number}"
                environment = os.environ | site.our_environment(name) | settings | {"SPP_LOG_LEVEL": "error"}
                _prepare(site, name, environment)
                file = site.folder / f"{name}.json"
                command = [sys.executable, "-m", "bench.fuzz", str(options.seconds), "--tries", str(options.tries)]
                command += ["--seed", str(options.seed + number), "--part", part, "--file", str(file)]
                running.append((file, subprocess.Popen(command, env=environment)))
        for _, process in running:
            process.wait()
    results: list[dict[str, Any]] = []
    for file, process in running:
        ended = {"counts": {}, "found": {f"{file.stem} ended with exit code {process.returncode}": "see above"}}
        results.append(json.loads(file.read_text()) if file.exists() else ended)
    return results


def _prepare(site: Site, database: str, settings: dict[str, str]) -> None:
    # Imported here: the fuzzers watch what they import themselves.
    from bench.fuzz import gym
    from webhooks.processors import adapters

    site.postgres.create(database)
    upgrade(site.postgres.url(database))
    engine = make_engine(site.postgres.url(database))
    os.environ |= settings
    with Session(engine) as session, session.begin():
        gym.make(session, list(adapters(load().endpoints).values()))
    engine.dispose()


if __name__ == "__main__":
    main()
