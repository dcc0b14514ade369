"""The kinds of entry: one table of what each does, from which the table's checks and the statements are built.

A new kind is a member of `EntryKind` and a row of `TRAITS`, a migration that replaces the checks by what
`CHECKS` has then, and its words in `models.statements.entry_wording`.

The SQL here names the entry `e`.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple


class EntryKind(StrEnum):
    """Why sessions moved."""

    GRANT = "grant"
    REDEMPTION = "redemption"
    RETURN = "return"
    EXPIRY = "expiry"
    CLAWBACK = "clawback"
    REINSTATEMENT = "reinstatement"
    ADJUSTMENT = "adjustment"
    DEBT_REPAYMENT = "debt_repayment"
    EXTENSION = "extension"


class Traits(NamedTuple):
    """What entries of one kind do. `moves` and `cause` are conditions in SQL that the database checks."""

    moves: str
    cause: str = "true"
    opens: bool = False
    """With a positive quantity, it is the first entry of a new grant."""
    dates: bool = False
    """It sets when the grant expires, as an opening entry does."""
    used: bool = False
    """Its quantity counts as used by the member. Such an entry names its redemption, and no other does."""
    gone: bool = False
    """Unless it opens a grant, its quantity counts as neither there nor used: expired, or taken by hand."""
    takes_back: bool = False
    """It follows the payment's money: sessions taken back, or given again."""


FACT, PERSON, FACT_OR_PERSON = "fact_id IS NOT NULL", "action_id IS NOT NULL", "num_nonnulls(fact_id, action_id) = 1"

TRAITS = {
    EntryKind.GRANT: Traits("quantity > 0", FACT, opens=True),
    EntryKind.REDEMPTION: Traits("quantity < 0", PERSON, used=True),
    EntryKind.RETURN: Traits("quantity > 0", PERSON, used=True),
    # A positive expiry brings expired sessions back; the clock alone causes a negative one.
    EntryKind.EXPIRY: Traits("quantity <> 0", f"quantity < 0 OR {FACT_OR_PERSON}", gone=True),
    EntryKind.CLAWBACK: Traits("quantity <= 0 AND reversed > 0", FACT, takes_back=True),
    EntryKind.REINSTATEMENT: Traits("quantity >= 0 AND reversed < 0", FACT, takes_back=True),
    EntryKind.ADJUSTMENT: Traits("quantity <> 0", PERSON, opens=True, gone=True),
    EntryKind.DEBT_REPAYMENT: Traits("counter_grant_id IS NOT NULL"),
    # Without an expiry it makes the grant usable without end: while its membership is frozen until further notice.
    EntryKind.EXTENSION: Traits("quantity = 0", FACT_OR_PERSON, dates=True),
}


def _is(trait: Callable[[Traits], bool], kind: str = "e.kind") -> str:
    """SQL: the entry is of a kind with that trait."""
    return f"{kind} IN ({', '.join(repr(one.value) for one, traits in TRAITS.items() if trait(traits))})"


def _each(condition: Callable[[Traits], str]) -> str:
    """SQL: the entry satisfies the condition of its kind."""
    return f"CASE kind {' '.join(f'WHEN {kind.value!r} THEN {condition(TRAITS[kind])}' for kind in EntryKind)} END"


CHECKS = {
    "kind": _is(lambda _: True, "kind"),
    "moves": _each(lambda traits: traits.moves),
    "cause": _each(lambda traits: traits.cause),
    "redemption": f"({_is(lambda traits: traits.used, 'kind')}) = (redemption_id IS NOT NULL)",
}
"""The constraints of `ledger_entries`, by name."""

OPENS = f"({_is(lambda traits: traits.opens)} AND e.quantity > 0)"
EXTENDS = _is(lambda traits: traits.dates)
DATES = f"({OPENS} OR {EXTENDS})"
USED = _is(lambda traits: traits.used)
GONE = f"({_is(lambda traits: traits.gone)} AND NOT {OPENS})"
EXPIRED = f"e.kind = '{EntryKind.EXPIRY.value}'"
TAKES_BACK = _is(lambda traits: traits.takes_back)

SUMS = f"""
    coalesce(sum(e.quantity) FILTER (WHERE {OPENS}), 0) AS quantity, coalesce(sum(e.quantity), 0) AS remaining,
    coalesce(sum(e.shortfall), 0) AS shortfall, coalesce(sum(e.reversed), 0) AS reversed,
    (array_agg(e.expires_at ORDER BY e.id DESC) FILTER (WHERE {DATES}))[1] AS expires_at
"""
"""What a grant comes to by its entries; the columns are named as in `credit_grants`."""
