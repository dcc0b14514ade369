"""PURE: entries, grants and facts in the words of the desk."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

from models.ledger.kinds import EntryKind
from models.payments.recorded import CLOSED, FactKind
from models.statements.statement import Balance, EntryLine, GrantLine

_CAUSES = {
    "refund": ("refunded", "the refund failed"),
    "dispute": ("disputed", "the dispute was won"),
    "chargeback": ("charged back", "the chargeback was undone"),
    "void": ("voided", "the void was undone"),
    "cancellation": ("cancelled", "the cancellation was undone"),
    "failure": ("failed after all", "it was paid after all"),
}
"""By family of causes: the words for the reversal, and for the money coming back."""


MOVED_IN = {
    "opening balance": "Opening balance", "used before": "Used before", "import undone": "Import undone",
}  # fmt: skip
"""What an import writes, by how its notes begin; the reasons of adjustments by hand are others."""


def entry_in_words(entry: EntryLine) -> str:
    """What happened, in a few words: `Taken back: payment refunded`."""
    match EntryKind(entry.kind):
        case EntryKind.GRANT:
            return "Payment worth more than was known" if entry.enlarges else "Payment credited"
        case EntryKind.REDEMPTION:
            return "Redeemed"
        case EntryKind.RETURN:
            return "Given back"
        case EntryKind.EXPIRY:
            return "Expired" if entry.quantity < 0 else "Expired sessions brought back"
        case EntryKind.CLAWBACK:
            return f"Taken back: payment {_what_became(entry.cause)}" if entry.cause else "Taken back"
        case EntryKind.REINSTATEMENT:
            return f"Given again: {_what_came_back(entry.cause)}" if entry.cause else "Given again"
        case EntryKind.ADJUSTMENT:
            reason, _ = reason_in_words(entry.note)
            return MOVED_IN.get(reason) or f"Adjusted: {reason}"
        case EntryKind.EXTENSION:
            if entry.expires_at is None:
                return "Does not expire"
            return "Expires sooner" if entry.shortens else "Expires later"
        case EntryKind.DEBT_REPAYMENT:
            return _repayment(entry)


def in_parts(entries: Sequence[EntryLine], apart: int | None = None) -> list[list[EntryLine]]:
    """The entries in their order, those of one payment's tranches of an item together, but for that with id `apart`."""
    groups: dict[object, list[EntryLine]] = {}
    for entry in entries:
        is_part = entry.kind == EntryKind.GRANT and not entry.enlarges and entry.entry_id != apart
        key = (entry.fact_id, entry.item_id) if is_part else entry.entry_id
        groups.setdefault(key, []).append(entry)
    return list(groups.values())


def balance_after(group: Sequence[EntryLine], *, of_grant: bool = False) -> int:
    """The balance after all entries of a group, whatever order they stand in; of their grant alone, if wanted."""
    last = max(group, key=lambda entry: (entry.occurred_at, entry.entry_id))
    return last.grant_balance if of_grant else last.balance


def reason_in_words(note: str | None) -> tuple[str, str]:
    """An adjustment's reason in words, and its note."""
    reason, _, noted = (note or "").partition(": ")
    return reason.replace("_", " "), noted


def note_in_words(entry: EntryLine) -> str:
    """The note of an entry, without what `entry_in_words` returns already."""
    if entry.kind == EntryKind.DEBT_REPAYMENT or entry.enlarges:
        return ""
    return reason_in_words(entry.note)[1] if entry.kind == EntryKind.ADJUSTMENT else entry.note or ""


def occasion_in_words(entry: EntryLine, hour: str = "") -> str:
    """For which class sessions were used: `Pilates, Tue 6:00 PM, with Kim, at Uptown`; empty if nobody said.

    `hour` is when that was, as written on the page.
    """
    name = entry.class_name or (entry.class_reference and f"class {entry.class_reference}")
    parts = [
        name, hour if name else "", entry.trainer and f"with {entry.trainer}", entry.club and f"at {entry.club}",
    ]  # fmt: skip
    words = ", ".join(part for part in parts if part)
    return words[:1].upper() + words[1:]


def entered_later(entry: EntryLine) -> bool:
    """Whether it was recorded more than a day after it happened, so that nobody saw it in its place at the time."""
    return entry.recorded_at - entry.occurred_at > timedelta(days=1)


def _repayment(entry: EntryLine) -> str:
    if entry.counter_grant_id == entry.grant_id:
        return "Shortfall repaid by the returned sessions"
    if entry.quantity < 0:
        return "Shortfall of another grant repaid"
    if entry.quantity > 0 or entry.shortfall > 0:
        return "Repayment of a shortfall undone"
    return "Shortfall repaid by another grant"


def repayment_in_words(entry: EntryLine) -> str:
    """What a debt repayment means."""
    if entry.counter_grant_id == entry.grant_id:
        return "The payment of the returned sessions had been reversed, so they repaid what was owed for it."
    if entry.quantity < 0:
        return "Sessions of another grant had been used before they were taken back. These repaid them."
    if entry.quantity > 0 or entry.shortfall > 0:
        return "The money of the reversed payment came back, so what another grant had repaid was undone."
    return "These sessions had been used before they were taken back. Another grant repaid them."


def fact_in_words(kind: str, cause: str | None) -> str:
    """What a payment fact means: `Paid`, `Refunded`, `The dispute was won`."""
    match FactKind(kind):
        case FactKind.PAID:
            return "Paid"
        case FactKind.LINKED:
            return "Known by a second reference"
        case FactKind.REPLACED:
            return "Billing reference replaced"
        case FactKind.NOTED:
            return "To look at"
        case FactKind.DUES_FAILED:
            return "Owed no more" if cause == CLOSED else "Could not be collected"
        case FactKind.ANNOUNCED:
            return "Said of its subscription"
        case FactKind.CLAIMED:
            return "A membership's code came with it"
        case FactKind.LINE_REFUNDED:
            return "Refunded for one of its lines"
        case FactKind.REVERSED:
            words = _what_became(cause)
        case FactKind.RESTORED:
            words = _what_came_back(cause)
    return words[0].upper() + words[1:]


def _what_became(cause: str | None) -> str:
    return _CAUSES.get(_family(cause), ("reversed", ""))[0]


def _what_came_back(cause: str | None) -> str:
    return _CAUSES.get(_family(cause), ("", "the money came back"))[1]


def _family(cause: str | None) -> str:
    return (cause or "").partition(":")[0].partition(" ")[0]


def money_moved(kind: str) -> bool:
    """Whether a fact of this kind is about money: without an amount it is about all of it."""
    return kind in {FactKind.PAID, FactKind.REVERSED, FactKind.RESTORED, FactKind.LINE_REFUNDED}


def coming_in_words(balance: Balance, day: Callable[[date], str]) -> str:
    """What becomes usable later: `88 coming, next 8 on Feb 28`; empty if nothing does. `day` writes a local day."""
    first = balance.comes_next
    if first is None:
        return ""
    if first.sessions == balance.coming:
        return f"{balance.coming} coming on {day(first.day)}"
    return f"{balance.coming} coming, next {first.sessions} on {day(first.day)}"


def came_to(grants: Sequence[GrantLine]) -> str:
    """How what is left of these grants came about: `Of 8 given: 4 used, 1 expired.`; empty if all is left."""
    given = sum(grant.quantity for grant in grants)
    used, expired = sum(grant.used for grant in grants), sum(grant.expired for grant in grants)
    taken = given - used - expired - sum(grant.remaining for grant in grants)
    parts = [f"{number} {what}" for number, what in ((used, "used"), (expired, "expired"), (taken, "taken")) if number]
    return f"Of {given} given: {', '.join(parts)}." if parts else ""


def shortfall_in_words(number: int) -> str:
    """What a shortfall means for the member."""
    used = "1 session was" if number == 1 else f"{number} sessions were"
    return f"{used} used before they were taken back; the next grant repays {'it' if number == 1 else 'them'}."


def grant_states(grant: GrantLine, now: datetime) -> list[str]:
    """The states of a grant at that moment, such as expired, used up, reversed or short; often none."""
    states = []
    if grant.effective_at > now:
        states.append("coming")
    if grant.is_expired:
        states.append("expired")
    elif not grant.remaining and grant.used == grant.quantity:
        states.append("used up")
    if grant.reversed:
        states.append("reversed" if grant.reversed == grant.quantity else f"{grant.reversed} reversed")
    if grant.shortfall:
        states.append(f"shortfall {grant.shortfall}")
    return states
