"""Whose turn it is: sessions whose every statement and commit waits until it is drawn."""

import threading
from collections.abc import Callable
from random import Random
from typing import Any

import psycopg
from sqlalchemy import Engine, event

from models.database.engine import make_engine

LOOK_S = 0.002
"""So long a statement may take before it is asked whether it waits for a lock."""
READY, RUNS, ENDED = "ready", "runs", "ended"
_BLOCKED = "SELECT pid FROM pg_stat_activity WHERE pid = ANY(%s) AND wait_event_type = 'Lock'"


class Player:
    """One session: an engine with a single connection, whose statements wait for their turn while it plays."""

    def __init__(self, database_url: str) -> None:
        self.engine: Engine = make_engine(database_url, pool_size=1)
        with self.engine.connect() as connection:
            self.pid: int = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
        self.state = ENDED
        self.committed = False
        self.turns: Turns | None = None
        event.listen(self.engine, "before_cursor_execute", lambda *_: self._wait())
        event.listen(self.engine, "commit", lambda _: self._commit())

    def _commit(self) -> None:
        self._wait()
        self.committed = True

    def _wait(self) -> None:
        if self.turns:
            self.turns.wait(self)


class Turns:
    """Lets the players play, in an order drawn from `drawing`."""

    def __init__(self, players: list[Player], looking: psycopg.Connection, drawing: Random) -> None:
        self._players, self._looking, self._drawing = players, looking, drawing
        self._changed = threading.Condition()
        self.steps = 0

    def play(self, plays: list[Callable[[Player], None]], after_commit: Callable[[], None]) -> None:
        """Each player's play, until all have ended."""
        players = self._players[: len(plays)]
        threads = [threading.Thread(target=self._play, args=pair) for pair in zip(players, plays, strict=True)]
        for player, thread in zip(players, threads, strict=True):
            player.state, player.turns, player.committed = RUNS, self, False
            thread.start()
        while True:
            self._settle(players)
            if any(player.committed for player in players):
                for player in players:
                    player.committed = False
                after_commit()
            ready = [player for player in players if player.state == READY]
            if not ready:
                if all(player.state == ENDED for player in players):
                    break
                continue
            chosen = self._drawing.choice(ready)
            self.steps += 1
            with self._changed:
                chosen.state = RUNS
                self._changed.notify_all()
        for thread in threads:
            thread.join()

    def wait(self, player: Player) -> None:
        """Until it is the player's turn."""
        with self._changed:
            player.state = READY
            self._changed.notify_all()
            while player.state == READY:
                self._changed.wait()

    def _play(self, player: Player, play: Callable[[Player], None]) -> None:
        try:
            play(player)
        finally:
            with self._changed:
                player.turns, player.state = None, ENDED
                self._changed.notify_all()

    def _settle(self, players: list[Player]) -> None:
        """Wait until each has asked for its next turn, has ended, or waits for a lock of another."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._moving(players), LOOK_S)
                moving = self._moving(players)
            if not moving:
                return
            found: list[Any] = self._looking.execute(_BLOCKED, [[player.pid for player in moving]]).fetchall()
            blocked = {pid for (pid,) in found}
            if all(player.pid in blocked for player in moving) and any(one.state == READY for one in players):
                return

    @staticmethod
    def _moving(players: list[Player]) -> list[Player]:
        return [player for player in players if player.state == RUNS]
