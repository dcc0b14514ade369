"""Pruning from beginning to end, a batch in each transaction."""

from collections.abc import Callable

from sqlalchemy.orm import Session, sessionmaker

from models.inbox.pruning import prune, prune_counts
from models.moving import imports

BATCH = 1_000


def prune_all(
    make: sessionmaker[Session],
    keep_days: int,
    *,
    keep_on: Callable[[], bool] = lambda: True,
    progress: Callable[[int], object] = lambda _: None,
    batch: int = BATCH,
) -> int:
    """Prunes while there is something to prune and `keep_on` says so; returns of how many events.

    `progress` gets that number after each batch. What is left is for the next time.
    """
    total, more = 0, True
    while more and keep_on():
        with make.begin() as session:
            events = prune(session, keep_days=keep_days, limit=batch)
            counts = prune_counts(session, limit=batch)
            files = imports.prune(session)
        total, more = total + events, bool(events or counts or files)
        progress(total)
    return total
