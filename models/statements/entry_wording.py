"""PURE: entries, grants and facts in the words of the desk."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from models import retelling
from models.ledger.kinds import EntryKind
from models.payments.recorded import CLOSED, FactKind
from models.statements.statement import Balance, EntryLine, GrantLine
from runtime.language import Texts, grouped, say, say_n

_REVERSED: Texts = {
    "refund": "refunded",
    "dispute": "disputed",
    "chargeback": "charged back",
    "void": "voided",
    "cancellation": "cancelled",
    "failure": "failed after all",
    "": "reversed",
}
"""By family of causes, what became of the payment; the last is of any other cause."""
_RESTORED: Texts = {
    "refund": "the refund failed",
    "dispute": "the dispute was won",
    "chargeback": "the chargeback was undone",
    "void": "the void was undone",
    "cancellation": "the cancellation was undone",
    "failure": "it was paid after all",
    "": "the money came back",
}
"""The same where the money came back."""


MOVED_IN: Texts = {
    "opening balance": "Opening balance", "used before": "Used before", "import undone": "Import undone",
}  # fmt: skip
"""What an import writes, by how its notes begin; the reasons of adjustments by hand are others."""


def entry_in_words(entry: EntryLine) -> str:
    """What happened, in a few words: `Taken back: payment refunded`."""
    match EntryKind(entry.kind):
        case EntryKind.GRANT:
            return say("Payment worth more than was known" if entry.enlarges else "Payment credited")
        case EntryKind.REDEMPTION:
            return say("Redeemed")
        case EntryKind.RETURN:
            return say("Given back")
        case EntryKind.EXPIRY:
            return say("Expired" if entry.quantity < 0 else "Expired sessions brought back")
        case EntryKind.CLAWBACK:
            if not entry.cause:
                return say("Taken back")
            return say("Taken back: payment {reversed}", reversed=_by_family(_REVERSED, entry.cause))
        case EntryKind.REINSTATEMENT:
            if not entry.cause:
                return say("Given again")
            return say("Given again: {why}", why=_by_family(_RESTORED, entry.cause))
        case EntryKind.ADJUSTMENT:
            reason, _ = _reason_and_note(entry.note)
            if reason in MOVED_IN:
                return say(MOVED_IN[reason])
            return say("Adjusted: {reason}", reason=reason_in_words(entry.note)[0])
        case EntryKind.EXTENSION:
            if entry.expires_at is None:
                return say("Does not expire")
            return say("Expires sooner" if entry.shortens else "Expires later")
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
    reason, own = _reason_and_note(note)
    words = say(MOVED_IN.get(reason) or reason.replace("_", " ").capitalize())
    return words[:1].lower() + words[1:], own


def _reason_and_note(note: str | None) -> tuple[str, str]:
    reason, _, own = (note or "").partition(": ")
    return reason, own


def note_in_words(entry: EntryLine) -> str:
    """The note of an entry, without what `entry_in_words` returns already."""
    if entry.kind == EntryKind.DEBT_REPAYMENT or entry.enlarges:
        return ""
    if entry.kind == EntryKind.ADJUSTMENT:
        return _reason_and_note(entry.note)[1]
    return retelling.retold(entry.note) if entry.fact_id else entry.note or ""


def source_note(grant: GrantLine) -> str:
    """What settling noted when a payment gave the grant."""
    return retelling.retold(grant.note)


def occasion_in_words(entry: EntryLine, hour: str = "") -> str:
    """For which class sessions were used: `Pilates, Tue 6:00 PM, with Kim, at Uptown`; empty if not recorded.

    `hour` is when that was, as written on the page.
    """
    name = entry.class_name or (entry.class_reference and say("class {name}", name=entry.class_reference))
    parts = [
        name, hour if name else "", entry.trainer and say("with {trainer}", trainer=entry.trainer),
        entry.club and say("at {club}", club=entry.club),
    ]  # fmt: skip
    words = ", ".join(part for part in parts if part)
    return words[:1].upper() + words[1:]


def entered_later(entry: EntryLine) -> bool:
    """Whether it was recorded more than a day after it happened, so that nobody saw it in its place at the time."""
    return entry.recorded_at - entry.occurred_at > timedelta(days=1)


def _repayment(entry: EntryLine) -> str:
    if entry.counter_grant_id == entry.grant_id:
        return say("Shortfall repaid by the returned sessions")
    if entry.quantity < 0:
        return say("Shortfall of another grant repaid")
    if entry.quantity > 0 or entry.shortfall > 0:
        return say("Repayment of a shortfall undone")
    return say("Shortfall repaid by another grant")


def repayment_in_words(entry: EntryLine) -> str:
    """What a debt repayment means."""
    if entry.counter_grant_id == entry.grant_id:
        return say("The payment of the returned sessions had been reversed, so they repaid what was owed for it.")
    if entry.quantity < 0:
        return say("Sessions of another grant had been used before they were taken back. These repaid them.")
    if entry.quantity > 0 or entry.shortfall > 0:
        return say("The money of the reversed payment came back, so what another grant had repaid was undone.")
    return say("These sessions had been used before they were taken back. Another grant repaid them.")


def fact_in_words(kind: str, cause: str | None) -> str:
    """What a payment fact means: `Paid`, `Refunded`, `The dispute was won`."""
    match FactKind(kind):
        case FactKind.PAID:
            return say("Paid")
        case FactKind.LINKED:
            return say("Known by a second reference")
        case FactKind.REPLACED:
            return say("Billing reference replaced")
        case FactKind.NOTED:
            return say("To look at")
        case FactKind.DUES_FAILED:
            return say("Owed no more" if cause == CLOSED else "Could not be collected")
        case FactKind.ANNOUNCED:
            return say("Said of its subscription")
        case FactKind.CLAIMED:
            return say("A membership's code came with it")
        case FactKind.LINE_REFUNDED:
            return say("Refunded for one of its lines")
        case FactKind.REVERSED:
            words = _by_family(_REVERSED, cause)
        case FactKind.RESTORED:
            words = _by_family(_RESTORED, cause)
    return words[0].upper() + words[1:]


def _by_family(words: Texts, cause: str | None) -> str:
    family = (cause or "").partition(":")[0].partition(" ")[0]
    return say(words.get(family) or words[""])


def money_moved(kind: str) -> bool:
    """Whether a fact of this kind is about money: without an amount it is about all of it."""
    return kind in {FactKind.PAID, FactKind.REVERSED, FactKind.RESTORED, FactKind.LINE_REFUNDED}


def coming_in_words(balance: Balance, day: Callable[[date], str]) -> str:
    """What becomes usable later: `88 coming, next 8 on Feb 28`; empty if nothing does. `day` writes a local day."""
    first = balance.comes_next
    if first is None:
        return ""
    if first.sessions == balance.coming:
        return say_n("{n} coming on {day}", "{n} coming on {day}", balance.coming, day=day(first.day))
    return say_n(
        "{n} coming, next {first} on {day}", "{n} coming, next {first} on {day}",
        balance.coming, first=grouped(first.sessions), day=day(first.day),
    )  # fmt: skip


def came_to(grants: Sequence[GrantLine]) -> str:
    """How what is left of these grants came about: `Of 8 given: 4 used, 1 expired.`; empty if all is left."""
    given = sum(grant.quantity for grant in grants)
    used, expired = sum(grant.used for grant in grants), sum(grant.expired for grant in grants)
    taken = given - used - expired - sum(grant.remaining for grant in grants)
    parts = [
        *([say_n("{n} used", "{n} used", used)] if used else []),
        *([say_n("{n} expired", "{n} expired", expired)] if expired else []),
        *([say_n("{n} taken", "{n} taken", taken)] if taken else []),
    ]
    return say("Of {given} given: {parts}.", given=grouped(given), parts=", ".join(parts)) if parts else ""


def shortfall_in_words(number: int) -> str:
    """What a shortfall means for the member."""
    return say_n(
        "{n} session was used before they were taken back; the next grant repays it.",
        "{n} sessions were used before they were taken back; the next grant repays them.",
        number,
    )


class State(NamedTuple):
    """A state of a grant in words."""

    words: str
    is_bad: bool
    """The money of its sessions went back."""


def grant_states(grant: GrantLine, now: datetime) -> list[State]:
    """The states of a grant at that moment, such as expired, used up, reversed or short; often none."""
    states = []
    if grant.effective_at > now:
        states.append(State(say("coming"), False))
    if grant.is_expired:
        states.append(State(say("expired"), False))
    elif not grant.remaining and grant.used == grant.quantity:
        states.append(State(say("used up"), False))
    if grant.reversed:
        is_all, number = grant.reversed == grant.quantity, grant.reversed
        states.append(State(say("reversed") if is_all else say_n("{n} reversed", "{n} reversed", number), True))
    if grant.shortfall:
        states.append(State(say("shortfall {number}", number=grouped(grant.shortfall)), True))
    return states
