"""What facts entitle one membership to that has every reference, and dues that any payment is enough for."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from models.catalogue.terms import Interval
from models.payments import entitlement as rules
from models.payments.entitlement import Buyer
from models.payments.facts import Fact, Paid
from models.payments.money_back import NO_FEE, FeeKept
from models.payments.worth import ItemTerms
from models.payments.worth import Terms as Version

Terms = ItemTerms
CLUBS_FEE = FeeKept(5, 1000)
"""What clubs begin with."""
SINCE = datetime(2000, 1, 1, tzinfo=UTC)


class Owed(NamedTuple):
    """Sessions of an item, of which some are reversed."""

    item_id: int
    quantity: int
    days_to_expire: int
    reversed: int


def entitlement(facts: Sequence[Fact], terms: Iterable[ItemTerms], fee_kept: FeeKept = NO_FEE) -> list[Owed]:
    """What the payment with these facts gives under these terms; nothing before it is paid."""
    version = Version(SINCE, 1, Interval.ONCE, items=tuple(one for one in terms if one.quantity))
    told = [replace(fact, billing_references=("sub",)) if isinstance(fact, Paid) else fact for fact in facts]
    found = rules.entitlement(told, {"sub": [1]}, {1: Buyer([version], "UTC", fee_kept)})
    return [Owed(one.item_id, one.quantity, one.days_to_expire, one.reversed) for one in found.owed]
