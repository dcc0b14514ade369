"""Protections taken out, one at a time: a storm that does not notice that proves nothing.

Each is a function that changes the code of a process that starts, before anything else runs in it.
"""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

VARIABLE = "STORM_WITHOUT"


def keys() -> None:
    """An idempotency key counts for one request only."""
    from console.api import gate

    once = gate._once

    def each_time(given: dict[str, Any], *more: Any) -> Any:
        given["header"].key += f"-{uuid4().hex[:8]}"
        return once(given, *more)

    gate._once = each_time  # type: ignore[assignment]


def storing() -> None:
    """A delivery is accepted before it is stored."""
    from models.inbox.storing import NewEvent, Stored
    from webhooks import intake

    def accept(self: Any, events: Sequence[NewEvent]) -> list[Stored]:
        self._waiting.put(intake._Ticket(events))
        return [Stored.NEW] * len(events)

    intake.Intake.store = accept  # type: ignore[method-assign]


def leases() -> None:
    """An event whose worker died stays its own."""
    from models.inbox import queue

    claim = queue.claim

    def for_ever(*arguments: Any, **options: Any) -> Any:
        return claim(*arguments, **{**options, "lease_s": 1e8})

    queue.claim = for_ever


def locks() -> None:
    """Nobody waits for a row that somebody else is changing."""
    import sqlalchemy

    make = sqlalchemy.text

    def unlocked(statement: str) -> Any:
        return make(re.sub(r"FOR (UPDATE|SHARE)( OF \w+)?(?! (SKIP|OF))", "", statement))

    sqlalchemy.text = unlocked  # type: ignore[assignment]


WITHOUT: dict[str, Callable[[], None]] = {one.__name__: one for one in (keys, storing, leases, locks)}


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
