"""Payment facts as they are kept: their table, recording them and reading them again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import orjson
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.catalogue.days import Period
from models.database.arrays import Batch, array
from models.database.base import Base, RecordedAt, one_of
from models.payments.facts import (
    Announced,
    Change,
    Claimed,
    DuesFailed,
    Fact,
    KnownFact,
    Line,
    LineRefunded,
    Linked,
    Noted,
    Paid,
    Replaced,
    Restored,
    Reversed,
)


class FactKind(StrEnum):
    """The values of the column `kind`."""

    PAID = "paid"
    REVERSED = "reversed"
    RESTORED = "restored"
    LINKED = "linked"
    LINE_REFUNDED = "line_refunded"
    NOTED = "noted"
    REPLACED = "replaced"
    DUES_FAILED = "dues_failed"
    ANNOUNCED = "announced"
    CLAIMED = "claimed"


KIND_OF: dict[type[Fact], FactKind] = {
    Paid: FactKind.PAID,
    Reversed: FactKind.REVERSED,
    Restored: FactKind.RESTORED,
    Linked: FactKind.LINKED,
    LineRefunded: FactKind.LINE_REFUNDED,
    Noted: FactKind.NOTED,
    Replaced: FactKind.REPLACED,
    DuesFailed: FactKind.DUES_FAILED,
    Announced: FactKind.ANNOUNCED,
    Claimed: FactKind.CLAIMED,
}

CLOSED = "closed"
"""The column `cause` of a `DuesFailed` that says that nothing is owed any more."""

FACTS_PER_EVENT = 256
"""A fact's id is its event's id times this, plus its position, so that interpreting an event again is idempotent."""


class PaymentFact(Base):
    """One fact of one event. A trigger refuses every change."""

    __tablename__ = "payment_facts"
    __table_args__ = (
        CheckConstraint(one_of("kind", FactKind), "kind"),
        CheckConstraint("amount_minor >= 0", "amount_not_negative"),
        CheckConstraint(
            "CASE WHEN kind = 'paid' THEN coalesce(settled_minor, amount_minor) > 0"
            " AND currency IS NOT NULL AND billing_references IS NOT NULL"
            " WHEN kind IN ('linked', 'replaced') THEN other_payment_id IS NOT NULL"
            " WHEN kind = 'dues_failed' THEN billing_references IS NOT NULL"
            " WHEN kind IN ('noted', 'announced') THEN shape IS NOT NULL ELSE cause IS NOT NULL END",
            "complete",
        ),
        Index("ix_payment_facts_replaced", "other_payment_id", postgresql_where=text("kind = 'replaced'")),
        Index("ix_payment_facts_announced", "payment_id", postgresql_where=text("kind = 'announced'")),
        Index("ix_payment_facts_claimed", "cause", postgresql_where=text("kind = 'claimed'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[int] = mapped_column(ForeignKey("webhook_events.id"))
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), index=True)
    kind: Mapped[str]
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[RecordedAt]
    """When it was recorded, by the worker's clock."""
    cause: Mapped[str | None]
    """Of a claim: the code."""
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None] = mapped_column(String(3))
    running_total: Mapped[bool] = mapped_column(default=False)
    billing_references: Mapped[list[str] | None] = mapped_column(ARRAY(String))
    other_payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"))
    settled_minor: Mapped[int | None] = mapped_column(BigInteger)
    shape: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """What else a fact says, by the names of its fields; NULL where it says nothing else."""


_INSERT = Batch(
    """
    INSERT INTO payment_facts (id, event_id, payment_id, kind, occurred_at, cause, amount_minor, currency,
                               running_total, billing_references, other_payment_id, settled_minor, shape, recorded_at)
    SELECT id, event_id, payment_id, kind, occurred_at, cause, amount_minor, currency, running_total,
           string_to_array(billing_references, E'\\n'), other_payment_id, settled_minor, shape, :now
    FROM ROWS
    ON CONFLICT (id) DO NOTHING
    """,
    id="bigint", event_id="bigint", payment_id="bigint", kind="text", occurred_at="timestamptz", cause="text",
    amount_minor="bigint", currency="text", running_total="boolean", billing_references="text",
    other_payment_id="bigint", settled_minor="bigint", shape="jsonb",
)  # fmt: skip


class EventFacts(NamedTuple):
    """The facts of one event."""

    event_id: int
    endpoint: str
    facts: Sequence[Fact]


def references(events: Iterable[EventFacts]) -> set[tuple[str, str]]:
    """Every (endpoint, payment reference) that the events name."""
    keys = set()
    for _, endpoint, facts in events:
        for fact in facts:
            keys.add((endpoint, fact.payment))
            if isinstance(fact, Linked | Replaced):
                keys.add((endpoint, fact.other))
    return keys


def record(
    session: Session, events: Iterable[EventFacts], payment_ids: Mapping[tuple[str, str], int], now: datetime
) -> None:
    """Record the facts of many events in one statement; a fact that is recorded already stays as it is.

    `payment_ids` has every reference that the facts name.
    """
    rows = []
    for event_id, endpoint, facts in events:
        for place, fact in enumerate(facts):
            content: tuple[object, ...]
            match fact:
                case Paid():
                    named = "\n".join(fact.billing_references)
                    content = (
                        None, fact.amount_minor, fact.currency, False, named, None, fact.settled_minor, _shape(fact)
                    )  # fmt: skip
                case Reversed():
                    content = fact.cause, fact.amount_minor, fact.currency, fact.running_total, None, None, None, None
                case Restored():
                    content = fact.cause, fact.amount_minor, fact.currency, False, None, None, None, None
                case LineRefunded():
                    line = _json({"line": fact.line})
                    content = fact.refund, fact.amount_minor, fact.currency, False, None, None, None, line
                case Noted():
                    content = None, None, None, False, None, None, None, _json({"what": fact.what})
                case DuesFailed():
                    cause, named = CLOSED if fact.closed else None, "\n".join(fact.billing_references)
                    content = cause, fact.amount_minor, fact.currency, False, named, None, None, _failure(fact)
                case Announced():
                    announcement = _json({"what": fact.what.value, "at": fact.at})
                    content = None, None, None, False, None, None, None, announcement
                case Claimed():
                    link = _json({"from_link": True}) if fact.from_link else None
                    content = fact.code, fact.amount_minor, fact.currency, False, None, None, None, link
                case Linked() | Replaced():
                    content = None, None, None, False, None, payment_ids[endpoint, fact.other], None, None
            fact_id, payment_id = event_id * FACTS_PER_EVENT + place, payment_ids[endpoint, fact.payment]
            rows.append((fact_id, event_id, payment_id, KIND_OF[type(fact)].value, fact.occurred_at, *content))
    if rows:
        _INSERT.execute(session, rows, now=now)


def _shape(paid: Paid) -> str | None:
    """What of a `Paid` has no column of its own, as JSON; None for nothing."""
    shape: dict[str, object] = {}
    if paid.payer:
        shape["payer"] = paid.payer
    if paid.covers:
        shape["covers"] = paid.covers
    if paid.due_minor is not None:
        shape["due_minor"] = paid.due_minor
    if paid.part:
        shape["part"] = paid.part
    if paid.lines:
        shape["lines"] = [tuple(line) for line in paid.lines]
    return _json(shape) if shape else None


def _failure(fact: DuesFailed) -> str | None:
    """What of a `DuesFailed` has no column of its own, as JSON; None for nothing."""
    details = {"payer": fact.payer, "is_one_try": fact.is_one_try}
    shape: dict[str, object] = {name: value for name, value in details.items() if value}
    return _json(shape) if shape else None


def _json(shape: dict[str, object]) -> str:
    return orjson.dumps(shape).decode()


def _period(times: Sequence[str] | None) -> Period | None:
    if not times:
        return None
    start, end = times
    return datetime.fromisoformat(start), datetime.fromisoformat(end)


def _paid(
    reference: str, at: datetime, amount: int, currency: str, billing: Iterable[str], settled: int | None,
    shape: Mapping[str, Any],
) -> Paid:  # fmt: skip
    lines = (
        Line(tuple(named), minor, _period(covers), quantity, proration, line)
        for named, minor, covers, quantity, proration, line in shape.get("lines", ())
    )
    return Paid(
        reference, at, amount, currency, tuple(billing), tuple(shape.get("payer", ())), _period(shape.get("covers")),
        shape.get("due_minor"), settled, tuple(lines), shape.get("part", ""),
    )  # fmt: skip


def announced(reference: str, at: datetime, shape: Mapping[str, Any]) -> Announced:
    """The announcement that was kept in this shape."""
    ends = shape["at"]
    return Announced(reference, at, Change(shape["what"]), datetime.fromisoformat(ends) if ends else None)


_OF_REFERENCES = text("""
    SELECT id FROM payments WHERE endpoint = :endpoint AND reference = ANY(CAST(:references AS text[]))
""")


def of_references(session: Session, endpoint: str, references: Iterable[str]) -> list[Fact]:
    """All facts of the payments with these references."""
    values = {"endpoint": endpoint, "references": array(set(references))}
    payment_ids = list(session.scalars(_OF_REFERENCES, values))
    return [known.fact for _, known in of_payments(session, payment_ids)]


_OF_PAYMENTS = text("""
    SELECT f.payment_id, f.id, f.kind, p.reference, f.occurred_at, f.cause, f.amount_minor, f.currency,
           f.running_total, f.billing_references, o.reference AS other, f.settled_minor,
           CAST(f.shape AS text), f.recorded_at
    FROM payment_facts f
    JOIN payments p ON p.id = f.payment_id
    LEFT JOIN payments o ON o.id = f.other_payment_id
    WHERE f.payment_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY f.id
""")


def of_payments(session: Session, payment_ids: Sequence[int]) -> Iterator[tuple[int, KnownFact[Fact]]]:
    """All facts of these payments, each with its payment's id, in the order of fact ids."""
    for row in session.execute(_OF_PAYMENTS, {"ids": array(payment_ids)}).all():
        (
            payment_id, fact_id, kind, reference, at, cause, amount, currency, running, billing, other, settled, shape,
            recorded_at,
        ) = row  # fmt: skip
        shape = orjson.loads(shape) if shape else {}
        fact: Fact
        match kind:
            case FactKind.PAID:
                fact = _paid(reference, at, amount, currency, billing, settled, shape)
            case FactKind.REVERSED:
                fact = Reversed(reference, at, cause, amount, currency, running)
            case FactKind.RESTORED:
                fact = Restored(reference, at, cause, amount, currency)
            case FactKind.LINE_REFUNDED:
                fact = LineRefunded(reference, at, cause, shape["line"], amount, currency)
            case FactKind.NOTED:
                fact = Noted(reference, at, shape["what"])
            case FactKind.REPLACED:
                fact = Replaced(reference, at, other)
            case FactKind.DUES_FAILED:
                named, one_try = (tuple(billing), tuple(shape.get("payer", ()))), shape.get("is_one_try", False)
                fact = DuesFailed(reference, at, *named, amount, currency, one_try, cause == CLOSED)
            case FactKind.ANNOUNCED:
                fact = announced(reference, at, shape)
            case FactKind.CLAIMED:
                fact = Claimed(reference, at, cause, shape.get("from_link", False), amount, currency)
            case _:
                fact = Linked(reference, at, other)
        yield payment_id, KnownFact(fact_id, fact, recorded_at)
