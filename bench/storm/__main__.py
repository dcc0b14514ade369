"""`python -m bench.storm [SECONDS] [--seed N]`: a storm of faults on the real stack; exits 1 where a promise broke.

Rounds of storm and calm follow one another until the time is over. In each calm the database is compared with what
was acknowledged. The verdict waits for the work to end, however slow the machine is, as long as it goes on.
"""

import argparse
import json
import random
import subprocess
import sys

from bench.site import made
from bench.storm.machine import Machine
from bench.storm.stage import storm
from bench.storm.without import WITHOUT

MOST_TOLD = 20
WRONG = "NOT AS PROMISED"


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.storm", description=__doc__.splitlines()[0])
    parser.add_argument("seconds", type=float, nargs="?", default=600.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--without", choices=WITHOUT, help="without that protection: the storm has to notice")
    parser.add_argument("--controls", action="store_true", help="without each of them in turn")
    options = parser.parse_args()
    if options.controls:
        sys.exit(_controls(options.seconds, options.seed))
    print(
        f"Seed {options.seed}: `make storm SECONDS={options.seconds:g} SEED={options.seed}` draws the same again.",
        flush=True,
    )
    machine = Machine()
    with made("storm", 1, machine.prepared) as site, storm(site, machine, options.seed, options.without) as weather:
        wrong = list(weather.blow(options.seconds))
        print(json.dumps(weather.figures(), indent=1))
    for verdict in wrong[:MOST_TOLD]:
        print(f"{WRONG}: {verdict}")
    if wrong:
        sys.exit(1)
    print("No acknowledged event lost, none counted twice; every balance and last day as counted; the audit clean.")


def _controls(seconds: float, seed: int) -> str | None:
    """A storm without each protection; what went unnoticed, or None."""
    unnoticed = []
    for name, lacking in WITHOUT.items():
        print(f"Without {name}: {lacking.__doc__}", flush=True)
        command = [sys.executable, "-m", "bench.storm", str(seconds), "--seed", str(seed), "--without", name]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
        verdicts = [line for line in output.splitlines() if line.startswith(WRONG)]
        print(*verdicts[:3] or ["Nothing was noticed."], sep="\n", flush=True)
        if not verdicts:
            unnoticed.append(name)
    return f"These went unnoticed: {', '.join(unnoticed)}." if unnoticed else None


if __name__ == "__main__":
    main()
