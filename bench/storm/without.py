"""Protections taken out, one at a time: a storm that does not notice that proves nothing.

Each is a function that changes the code of a process that starts, before anything else runs in it.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy.exc import DBAPIError

VARIABLE = "STORM_WITHOUT"


def keys() -> None:
    """An idempotency key counts for one request only."""
    from console.api import gate
    from models.ledger import redemptions

    once, redeem = gate._once, redemptions.redeem

    def each_time(given: dict[str, Any], *more: Any) -> Any:
        given["header"].key += f"-{uuid4().hex[:8]}"
        return once(given, *more)

    def redeem_each_time(*arguments: Any, key: str, **more: Any) -> Any:
        return redeem(*arguments, key=f"{key}-{uuid4().hex[:8]}", **more)

    gate._once = each_time  # type: ignore[assignment]
    redemptions.redeem = redeem_each_time


def storing() -> None:
    """A delivery is accepted before it is stored."""
    from models.inbox.storing import NewEvent, Stored
    from webhooks import intake

    def accept(self: Any, events: Sequence[NewEvent]) -> list[Stored]:
        self._waiting.put(intake._Ticket(events))
        return [Stored.NEW] * len(events)

    intake.Intake.store = accept  # type: ignore[method-assign]


def retry() -> None:
    """What was lost with its connection is not stored again."""
    from webhooks import intake

    attempt = intake.Intake._attempt

    def once(self: Any, events: Any) -> Any:
        try:
            return attempt(self, events)
        except DBAPIError as error:
            error.connection_invalidated = False
            raise

    intake.Intake._attempt = once  # type: ignore[method-assign]


def unique() -> None:
    """An event that is known already is stored again."""
    from models.inbox import storing

    store = storing.store

    def as_new(session: Any, events: Sequence[storing.NewEvent], same_content: Any) -> Any:
        return store(session, [replace(one, event_id=f"{one.event_id} {uuid4().hex}") for one in events], same_content)

    storing.store = as_new


def leases() -> None:
    """An event whose worker died stays its own."""
    from models.inbox import queue

    claim = queue.claim

    def for_ever(*arguments: Any, **options: Any) -> Any:
        return claim(*arguments, **{**options, "lease_s": 1e8})

    queue.claim = for_ever
    queue.trust_clock = lambda *_, **__: 0


def locks() -> None:
    """Nobody waits for a row that somebody else is changing."""
    import sqlalchemy
    from sqlalchemy.orm import Query, Session
    from sqlalchemy.sql.selectable import GenerativeSelect

    make, get, get_one, refresh = sqlalchemy.text, Session.get, Session.get_one, Session.refresh

    def without(function: Any) -> Any:
        def call(*arguments: Any, with_for_update: Any = None, **more: Any) -> Any:  # noqa: ARG001
            return function(*arguments, **more)

        return call

    sqlalchemy.text = lambda text: make(unlocked(text))
    Session.get, Session.get_one, Session.refresh = without(get), without(get_one), without(refresh)  # type: ignore[method-assign]
    for kind in (GenerativeSelect, Query):
        lock = kind.with_for_update

        def unlocked_select(self: Any, *arguments: Any, lock: Any = lock, **options: Any) -> Any:
            return lock(self, *arguments, **options) if options.get("skip_locked") else self

        setattr(kind, lock.__name__, unlocked_select)


_LOCK = re.compile(r"FOR (NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)(?! SKIP| OF \w+ SKIP)( OF \w+)?")


def unlocked(statement: str) -> str:
    """The statement without its locks, but for those that skip what is locked: they are how work is shared out."""
    return _LOCK.sub("", statement)


WITHOUT: dict[str, Callable[[], None]] = {one.__name__: one for one in (keys, storing, retry, unique, leases, locks)}


def environment(folder: Path, name: str) -> dict[str, str]:
    """What our processes are started with, so that they lack that protection."""
    site = folder / "without"
    site.mkdir()
    (site / "sitecustomize.py").write_text("from bench.storm import without\n\nwithout.apply()\n")
    root = Path(__file__).resolve().parents[2]
    return {"PYTHONPATH": f"{site}{os.pathsep}{root}", VARIABLE: name}


def apply() -> None:
    """Take out what the environment names."""
    WITHOUT[os.environ[VARIABLE]]()
