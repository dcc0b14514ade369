"""When sessions became visible, read the same way for both peers.

PostgreSQL itself notes when each transaction committed; an entry's transaction is
its xmin. That is the moment a commit is decided, short of its flush to disk, which
both peers pay alike.
"""

import time
from dataclasses import dataclass

import psycopg

_POLL_EVERY_S = 0.2


@dataclass(frozen=True)
class Ledger:
    """Where a peer keeps its entries, and how its entries name the invoice they come from."""

    newest: str
    count: str
    committed: str


OURS = Ledger(
    newest="SELECT coalesce(max(id), 0) FROM ledger_entries",
    count="SELECT count(*) FROM ledger_entries WHERE id > %s",
    committed="""
        SELECT p.reference, max(extract(epoch FROM pg_xact_commit_timestamp(l.xmin))::float8)
        FROM ledger_entries l JOIN credit_grants g ON g.id = l.grant_id JOIN payments p ON p.id = g.payment_id
        WHERE l.id > %s GROUP BY p.reference
    """,
)

TUTORIAL = Ledger(
    newest=OURS.newest,
    count=OURS.count,
    committed="""
        SELECT p.invoice, max(extract(epoch FROM pg_xact_commit_timestamp(l.xmin))::float8)
        FROM ledger_entries l JOIN grants g ON g.id = l.grant_id JOIN payments p ON p.id = g.payment_id
        WHERE l.id > %s GROUP BY p.invoice
    """,
)


def newest_entry(connection: psycopg.Connection, ledger: Ledger) -> int:
    """The id of the newest entry: what comes after it belongs to the next round."""
    newest = _one(connection, ledger.newest)
    connection.rollback()
    return newest


def wait_for(
    connection: psycopg.Connection, ledger: Ledger, after: int, payments: int, timeout_s: float, *, each: int = 2
) -> dict[str, float]:
    """Waits until that many payments have their entries, `each` so many; invoice id -> Unix time of the commit.

    Raises TimeoutError if they don't come, and ValueError if there are more.
    """
    deadline = time.monotonic() + timeout_s
    while (found := _one(connection, ledger.count, after)) < each * payments:
        connection.rollback()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{found} of {each * payments} entries after {timeout_s:g} s")
        time.sleep(_POLL_EVERY_S)
    committed: dict[str, float] = dict(connection.execute(ledger.committed.encode(), (after,)).fetchall())
    connection.rollback()
    if found != each * payments or len(committed) != payments:
        raise ValueError(f"{found} entries for {len(committed)} payments; expected {each} each for {payments}")
    return committed


def _one(connection: psycopg.Connection, query: str, *values: int) -> int:
    row = connection.execute(query.encode(), values).fetchone()
    assert row is not None
    return int(row[0])
