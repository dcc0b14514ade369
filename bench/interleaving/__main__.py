"""`python -m bench.interleaving [N] [--seed S]`: so many interleavings; exits 1 where a rule did not hold."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random, SystemRandom

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from bench import loading
from bench.interleaving.gym import Act, Pair
from bench.interleaving.turns import Player, Turns
from bench.site import Site, made
from bench.storm import without
from bench.storm.stage import PREPARE
from models.database.engine import make_engine, sessions
from models.errors import SppError

DATABASE = "interleaving"
PAIRS = 2000
"""Members of one database; then comes the next one."""
PLAYERS = 4
TRIES = 50
MOST_TOLD = 20


class Interleaving:
    """A database, the sessions that play in it, and what has happened."""

    def __init__(self, site: Site, database: str, pairs: int) -> None:
        loading.our_database(site, database, 2 * pairs)
        with site.connect(database) as connection:
            connection.execute(PREPARE)
        url = site.postgres.url(database)
        self._players = [Player(url) for _ in range(PLAYERS)]
        self._engine = make_engine(url)
        self._looking = site.connect(database)
        self._looking.autocommit = True
        self.happened: Counter[str] = Counter()
        self.wrong: list[str] = []

    def play(self, number: int, drawing: Random) -> None:
        """Two to four acts of a pair of members, after some others, with their statements in any order."""
        pair = Pair(number % PAIRS, drawing, sessions(self._engine))
        for _ in range(drawing.randrange(4)):
            self._do(self._engine, pair.act()[1])
        acts = [pair.act() for _ in range(2 + drawing.randrange(PLAYERS - 1))]
        names = ", ".join(name for name, _ in acts)
        wrong: list[str] = []

        def playing(act: Act) -> Callable[[Player], None]:
            return lambda player: self._do(player.engine, act)

        turns = Turns(self._players, self._looking, drawing)
        turns.play([playing(act) for _, act in acts], lambda: wrong.extend(pair.wrong_now(self._looking)))
        pair.settle()
        wrong += pair.wrong_at_the_end(self._looking)
        self.happened["interleavings"] += 1
        self.happened["statements"] += turns.steps
        self.wrong += [f"interleaving {number} ({names}): {one}" for one in wrong]

    def _do(self, engine: Engine, act: Act) -> None:
        """Do it until it succeeds or the rules refuse it, as those who ask the service do."""
        for _ in range(TRIES):
            try:
                with Session(engine, expire_on_commit=False) as session:
                    act(session)
                    session.commit()
                    self.happened["acts"] += 1
            except SppError:
                self.happened["acts refused"] += 1
            except OperationalError as error:
                name = type(error.orig).__name__
                self.happened[f"tried again after {name}"] += 1
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
                self.wrong.append(f"an act failed: {error!r}")
            return
        self.wrong.append(f"an act did not succeed in {TRIES} tries")

    def close(self) -> None:
        """Let go of the database."""
        self._looking.close()
        for player in self._players:
            player.engine.dispose()
        self._engine.dispose()


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.interleaving", description=__doc__)
    parser.add_argument("number", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    parser.add_argument("--without-locks", action="store_true", help="without row locks: it has to notice")
    options = parser.parse_args()
    if options.without_locks:
        sys.exit(_without_locks(options.number, options.seed))
    print(f"Seed {options.seed}: `make interleave N={options.number} SEED={options.seed}` draws the same again.")
    began = time.monotonic()
    happened, wrong = run(options.number, options.seed)
    for name, times in sorted(happened.items()):
        print(f"{times:8} {name}")
    print(f"{time.monotonic() - began:8.0f} s")
    for one in wrong[:MOST_TOLD]:
        print(f"NOT AS PROMISED: {one}")
    if wrong:
        sys.exit(1)
    print("Every balance as counted, every grant as its entries after every commit, every deadlock resolved.")


def run(number: int, seed: int) -> tuple[Counter[str], list[str]]:
    """So many interleavings: what has happened, and what was wrong."""
    happened: Counter[str] = Counter()
    wrong: list[str] = []
    with made("interleaving", 1, deadlock_timeout="20ms", fsync="off") as site:
        for first in range(0, number, PAIRS):
            until = min(first + PAIRS, number)
            playing = Interleaving(site, f"{DATABASE}_{first}", until - first)
            for one in range(first, until):
                playing.play(one, Random(f"{one} of {seed}"))
            playing.close()
            happened += playing.happened
            wrong += playing.wrong
            site.postgres.drop(f"{DATABASE}_{first}")
    return happened, wrong


def _without_locks(number: int, seed: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        lacking = {**os.environ, **without.environment(Path(folder), "locks")}
        command = [sys.executable, "-m", "bench.interleaving", str(number), "--seed", str(seed)]
        return subprocess.run(command, env=lacking, check=False).returncode


if __name__ == "__main__":
    main()
