"""Sessions whose statements are interleaved in a drawn order, and what the rules of models/ make of it."""

from collections import Counter
from collections.abc import Callable
from random import Random

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from bench.interleaving.__main__ import run
from bench.interleaving.turns import Player, Turns


@pytest.fixture
def looking(database_url: str) -> psycopg.Connection:
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=True)


def counting(lock: str) -> Callable[[Player], None]:
    """Adds one to what it reads."""

    def play(player: Player) -> None:
        with Session(player.engine) as session:
            number = session.scalar(text(f"SELECT number FROM counter {lock}"))
            session.execute(text("UPDATE counter SET number = :number"), {"number": number + 1})
            session.commit()

    return play


def counted(looking: psycopg.Connection, players: list[Player], lock: str, seed: int) -> int:
    looking.execute("DROP TABLE IF EXISTS counter")
    looking.execute("CREATE TABLE counter AS SELECT 0 AS number")
    Turns(players, looking, Random(seed)).play([counting(lock)] * len(players), lambda: None)
    (number,) = looking.execute("SELECT number FROM counter").fetchone() or (0,)
    return int(number)


def test_an_update_is_lost_in_some_orders_and_never_with_a_lock(database_url: str, looking: psycopg.Connection) -> None:
    players = [Player(database_url) for _ in range(2)]
    bare = [counted(looking, players, "", seed) for seed in range(10)]
    assert Counter(bare).keys() == {1, 2}
    assert bare == [counted(looking, players, "", seed) for seed in range(10)]
    assert {counted(looking, players, "FOR UPDATE", seed) for seed in range(10)} == {2}
    for player in players:
        player.engine.dispose()
    looking.close()


def test_the_rules_hold_in_every_order() -> None:
    happened, wrong = run(12, seed=18)
    assert wrong == []
    assert happened["interleavings"] == 12
    assert happened["acts"] > 24
