"""`python -m bench.storm [SECONDS] [--seed N]`: a storm of faults on the real stack; exits 1 where a promise broke.

Rounds of storm and calm follow one another until the time is over. In each calm the database is compared with what
was acknowledged. The verdict waits for the work to end, however slow the machine is, as long as it goes on.
"""

import argparse
import json
import random
import sys

from bench.site import made
from bench.storm.machine import Machine
from bench.storm.stage import storm
from bench.storm.without import WITHOUT

MOST_TOLD = 20


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.storm", description=__doc__.splitlines()[0])
    parser.add_argument("seconds", type=float, nargs="?", default=600.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--without", choices=WITHOUT, help="without that protection: the storm has to notice")
    options = parser.parse_args()
    print(
        f"Seed {options.seed}: `make storm SECONDS={options.seconds:g} SEED={options.seed}` draws the same again.",
        flush=True,
    )
    machine = Machine()
    with made("storm", 1, machine.prepared) as site, storm(site, machine, options.seed, options.without) as weather:
        wrong = list(weather.blow(options.seconds))
        print(json.dumps(weather.figures(), indent=1))
    for verdict in wrong[:MOST_TOLD]:
        print(f"NOT AS PROMISED: {verdict}")
    if wrong:
        sys.exit(1)
    print("No acknowledged event lost, none counted twice; every balance and last day as counted; the audit clean.")


if __name__ == "__main__":
    main()
