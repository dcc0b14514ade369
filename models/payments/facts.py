"""Payment facts: what a webhook event means for a payment, in terms that no processor owns.

Each fact names its payment by the processor's reference; the endpoint is that of the event. Facts are kept for ever and
never change. An entitlement is a function of their set, so it does not matter when, in which order or how often they
arrive.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.arrays import Batch, array
from models.database.base import Base, RecordedAt, one_of


@dataclass(frozen=True, slots=True)
class Paid:
    """A member's dues were paid."""

    payment: str
    occurred_at: datetime
    amount_minor: int
    currency: str
    billing_references: tuple[str, ...] = ()
    """The references by which to find the membership, the most specific first."""


@dataclass(frozen=True, slots=True)
class Reversed:
    """Money of a payment went back, for a cause that has its own id (a refund, a dispute)."""

    payment: str
    occurred_at: datetime
    cause: str
    amount_minor: int | None = None
    """None: all of it."""
    currency: str | None = None
    running_total: bool = False
    """The amount is all that was refunded so far; each later fact has a larger total."""


@dataclass(frozen=True, slots=True)
class Restored:
    """Money that had gone back for a cause is there again: a refund failed, a dispute was won."""

    payment: str
    occurred_at: datetime
    cause: str
    amount_minor: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Linked:
    """Two references name the same payment."""

    payment: str
    occurred_at: datetime
    other: str


Fact = Paid | Reversed | Restored | Linked


class FactKind(StrEnum):
    """The values of the column `kind`."""

    PAID = "paid"
    REVERSED = "reversed"
    RESTORED = "restored"
    LINKED = "linked"


KIND_OF: dict[type[Fact], FactKind] = {
    Paid: FactKind.PAID,
    Reversed: FactKind.REVERSED,
    Restored: FactKind.RESTORED,
    Linked: FactKind.LINKED,
}

FACTS_PER_EVENT = 256
"""A fact's id is its event's id times this, plus its position, so that interpreting an event again is idempotent."""


class PaymentFact(Base):
    """One fact of one event. A trigger refuses every change."""

    __tablename__ = "payment_facts"
    __table_args__ = (
        CheckConstraint(one_of("kind", FactKind), "kind"),
        CheckConstraint("amount_minor >= 0", "amount_not_negative"),
        CheckConstraint(
            "CASE kind WHEN 'paid' THEN amount_minor > 0 AND currency IS NOT NULL AND billing_references IS NOT NULL"
            " WHEN 'linked' THEN other_payment_id IS NOT NULL ELSE cause IS NOT NULL END",
            "complete",
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[int] = mapped_column(ForeignKey("webhook_events.id"))
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), index=True)
    kind: Mapped[str]
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[RecordedAt]
    """When it was recorded, by the worker's clock."""
    cause: Mapped[str | None]
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None] = mapped_column(String(3))
    running_total: Mapped[bool] = mapped_column(default=False)
    billing_references: Mapped[list[str] | None] = mapped_column(ARRAY(String))
    other_payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"))


_INSERT = Batch(
    """
    INSERT INTO payment_facts (id, event_id, payment_id, kind, occurred_at, cause, amount_minor, currency,
                               running_total, billing_references, other_payment_id, recorded_at)
    SELECT id, event_id, payment_id, kind, occurred_at, cause, amount_minor, currency, running_total,
           string_to_array(billing_references, E'\\n'), other_payment_id, :now
    FROM ROWS
    ON CONFLICT (id) DO NOTHING
    """,
    id="bigint", event_id="bigint", payment_id="bigint", kind="text", occurred_at="timestamptz", cause="text",
    amount_minor="bigint", currency="text", running_total="boolean", billing_references="text",
    other_payment_id="bigint",
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
            if isinstance(fact, Linked):
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
                    content = None, fact.amount_minor, fact.currency, False, "\n".join(fact.billing_references), None
                case Reversed():
                    content = fact.cause, fact.amount_minor, fact.currency, fact.running_total, None, None
                case Restored():
                    content = fact.cause, fact.amount_minor, fact.currency, False, None, None
                case Linked():
                    content = None, None, None, False, None, payment_ids[endpoint, fact.other]
            fact_id, payment_id = event_id * FACTS_PER_EVENT + place, payment_ids[endpoint, fact.payment]
            rows.append((fact_id, event_id, payment_id, KIND_OF[type(fact)].value, fact.occurred_at, *content))
    if rows:
        _INSERT.execute(session, rows, now=now)


_OF_REFERENCES = text("""
    SELECT id FROM payments WHERE endpoint = :endpoint AND reference = ANY(CAST(:references AS text[]))
""")


def of_references(session: Session, endpoint: str, references: Iterable[str]) -> list[Fact]:
    """All facts of the payments with these references."""
    values = {"endpoint": endpoint, "references": array(set(references))}
    payment_ids = list(session.scalars(_OF_REFERENCES, values))
    return [known.fact for _, known in of_payments(session, payment_ids)]


F = TypeVar("F", bound=Fact, covariant=True)


class KnownFact(NamedTuple, Generic[F]):
    """A recorded fact: its id, the fact, and when it was recorded."""

    id: int
    fact: F
    recorded_at: datetime


_OF_PAYMENTS = text("""
    SELECT f.payment_id, f.id, f.kind, p.reference, f.occurred_at, f.cause, f.amount_minor, f.currency,
           f.running_total, f.billing_references, o.reference AS other, f.recorded_at
    FROM payment_facts f
    JOIN payments p ON p.id = f.payment_id
    LEFT JOIN payments o ON o.id = f.other_payment_id
    WHERE f.payment_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY f.id
""")


def of_payments(session: Session, payment_ids: Sequence[int]) -> Iterator[tuple[int, KnownFact[Fact]]]:
    """All facts of these payments, each with its payment's id, in the order of fact ids."""
    for row in session.execute(_OF_PAYMENTS, {"ids": array(payment_ids)}).all():
        payment_id, fact_id, kind, reference, at, cause, amount, currency, running, billing, other, recorded_at = row
        fact: Fact
        match kind:
            case "paid":
                fact = Paid(reference, at, amount, currency, tuple(billing))
            case "reversed":
                fact = Reversed(reference, at, cause, amount, currency, running)
            case "restored":
                fact = Restored(reference, at, cause, amount, currency)
            case _:
                fact = Linked(reference, at, other)
        yield payment_id, KnownFact(fact_id, fact, recorded_at)
