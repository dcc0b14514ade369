"""PURE: how a grant loses sessions whose money went back, and how it gets them again.

A clawback takes the remaining sessions and leaves those that had expired or been taken by hand; used sessions become
shortfall. A reinstatement undoes that in the opposite order: it cancels shortfall first, then what the clawback had
left, and gives back the rest. When a grant turns out to expire later, its expired sessions come back, except those that
count as reversed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from models.catalogue.clubs import ShortfallPolicy
from models.ledger.entries import Move
from models.ledger.kinds import EntryKind
from runtime.language import stored

WORTH_MORE = stored("the payment turned out to be worth more")
GONE = stored("{n} had expired or been taken by hand")
FORGIVEN, SHORT = stored("{n} already used, forgiven by the club"), stored("{n} already used: shortfall")
CANCELLED = stored("{n} of shortfall cancelled")
NOT_GIVEN = stored("{n} had expired, been taken by hand or been forgiven")


@dataclass(slots=True)
class Grant:
    """A grant while its moves are planned; `apply` keeps it up to date."""

    id: int
    payment_id: int | None
    member_id: int
    membership_id: int | None
    item_id: int
    tranche: int
    quantity: int
    remaining: int
    shortfall: int
    reversed: int
    expires_at: datetime | None
    recorded_at: datetime
    effective_at: datetime
    late_after_s: int = 0
    # Sums of its entries; read only for grants whose reversed sessions or expiry change.
    expired: "dict[int | None, int]" = field(default_factory=dict)
    """Expired sessions by the expiry run that recorded them; None if no run did."""
    taken_by_hand: int = 0
    clawed_back: int = 0
    repayments: "list[tuple[Grant, int]]" = field(default_factory=list)
    """The grants that repaid its shortfall, each with how much, the last first."""

    def apply(self, move: Move) -> Move:
        """Book the move on this grant, and return it."""
        self.remaining += move.quantity
        if move.kind == EntryKind.GRANT:
            self.quantity += move.quantity
        self.shortfall += move.shortfall
        self.reversed += move.reversed
        if move.kind == EntryKind.EXPIRY:
            run = move.expiry_run_id
            self.expired[run] = self.expired.get(run, 0) - move.quantity
        if move.kind == EntryKind.EXTENSION:
            self.expires_at = move.expires_at
        return move

    @property
    def key(self) -> tuple[int | None, int, int]:
        """What a payment makes one grant for: membership, item and tranche."""
        return self.membership_id, self.item_id, self.tranche

    @property
    def gone(self) -> int:
        """Sessions that neither remain nor were used: expired, or taken by staff."""
        return sum(self.expired.values()) + self.taken_by_hand


def reverse(
    grant: Grant, target: int, *, policy: str, fact_id: int, occurred_at: datetime, now: datetime,
    note: str | None = None,
) -> Iterator[Move]:  # fmt: skip
    """The moves that bring `grant.reversed` to `target`; a clawback says the note."""
    if target > grant.reversed:
        yield from _claw_back(grant, target - grant.reversed, policy, fact_id, occurred_at, now, note)
    elif target < grant.reversed:
        yield from _reinstate(grant, grant.reversed - target, fact_id, occurred_at)


def enlarge(grant: Grant, quantity: int, *, fact_id: int, occurred_at: datetime) -> Move:
    """The move by which a grant turns out to be of more sessions."""
    kind, expires_at = EntryKind.GRANT, grant.expires_at
    return grant.apply(
        Move(grant.id, kind, quantity, occurred_at, expires_at=expires_at, fact_id=fact_id, note=WORTH_MORE)
    )


def _claw_back(
    grant: Grant, quantity: int, policy: str, fact_id: int, occurred_at: datetime, now: datetime, note: str | None
) -> Iterator[Move]:
    if grant.remaining and grant.expires_at is not None and grant.expires_at <= now:
        # Expired by the clock: record that first, so that the result does not depend on when the expiry job runs.
        yield grant.apply(Move(grant.id, EntryKind.EXPIRY, -grant.remaining, grant.expires_at))
    taken = min(quantity, grant.remaining)
    left = min(quantity - taken, max(0, grant.gone - _left_before(grant)))
    used = quantity - taken - left
    notes = [note] if note else []
    if left:
        notes.append(GONE.format(n=left))
    if used:
        notes.append((FORGIVEN if policy == ShortfallPolicy.FORGIVE else SHORT).format(n=used))
    yield grant.apply(
        Move(
            grant.id,
            EntryKind.CLAWBACK,
            -taken,
            occurred_at,
            shortfall=0 if policy == ShortfallPolicy.FORGIVE else used,
            reversed=quantity,
            fact_id=fact_id,
            note="; ".join(notes) or None,
        )
    )


def _reinstate(grant: Grant, quantity: int, fact_id: int, occurred_at: datetime) -> Iterator[Move]:
    cancelled = min(quantity, grant.shortfall)
    left = min(quantity - cancelled, _left_before(grant))
    given = quantity - cancelled - left
    for payer, paid in grant.repayments:
        if undone := min(given, paid):
            yield from _repay(payer, grant, -undone, occurred_at)
            given -= undone
            cancelled += undone
    notes = []
    if cancelled:
        notes.append(CANCELLED.format(n=cancelled))
    if left:
        notes.append(NOT_GIVEN.format(n=left))
    yield grant.apply(
        Move(
            grant.id,
            EntryKind.REINSTATEMENT,
            given,
            occurred_at,
            shortfall=-cancelled,
            reversed=-quantity,
            fact_id=fact_id,
            note="; ".join(notes) or None,
        )
    )


def _left_before(grant: Grant) -> int:
    """Reversed sessions that were neither taken back nor repaid, and are not owed: gone, or forgiven."""
    return grant.reversed - grant.shortfall - grant.clawed_back - sum(paid for _, paid in grant.repayments)


def bring_back(
    grant: Grant, occurred_at: datetime, *, fact_id: int | None = None, action_id: int | None = None, note: str
) -> Iterator[Move]:
    """The moves that bring back the expired sessions of a grant that is usable again, except those reversed."""
    wanted = max(0, sum(grant.expired.values()) - _left_before(grant))
    for run, expired in list(grant.expired.items()):
        if back := min(wanted, expired):
            wanted -= back
            yield grant.apply(
                Move(
                    grant.id, EntryKind.EXPIRY, back, occurred_at, fact_id=fact_id, action_id=action_id, note=note,
                    expiry_run_id=run,
                )
            )  # fmt: skip


def repay(grant: Grant, given: int, debts: Iterable[Grant], occurred_at: datetime) -> Iterator[Move]:
    """The moves by which what was just given on a grant repays open shortfalls, in the order given."""
    left = min(given, grant.remaining)
    for debt in debts:
        if paid := min(left, debt.shortfall):
            left -= paid
            yield from _repay(grant, debt, paid, occurred_at)


def _repay(payer: Grant, debtor: Grant, quantity: int, occurred_at: datetime) -> Iterator[Move]:
    """The pair of entries by which one grant repays another's shortfall; a negative quantity undoes that."""
    # Sessions that come back to a grant with a shortfall of its own repay that first.
    own = min(-quantity, payer.shortfall) if quantity < 0 and payer is not debtor else 0
    note = f"shortfall of grant {debtor.id} repaid" if quantity > 0 else f"its repayment to grant {debtor.id} undone"
    kind = EntryKind.DEBT_REPAYMENT
    yield payer.apply(
        Move(
            payer.id, kind, -quantity - own, occurred_at, shortfall=-own, counter_grant_id=debtor.id, note=note
        )
    )  # fmt: skip
    note = f"by grant {payer.id}" if quantity > 0 else f"repayment by grant {payer.id} undone"
    yield debtor.apply(Move(debtor.id, kind, 0, occurred_at, shortfall=-quantity, counter_grant_id=payer.id, note=note))
