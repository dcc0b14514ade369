"""The items of a sale as lines of its payment, so that a gym can mark one of them as not dues.

What was paid is divided by what the items cost: each gets its part of taxes and discounts on the whole sale. So lines
never say that more was due than was paid. Read leniently: where one item cannot be read there are no lines at all,
since the others would get its part.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import NamedTuple

from models.payments.facts import Line, Paid
from webhooks.processors import strict

_NUMBER = re.compile(r"[0-9]{1,13}(?:\.[0-9]{1,6})?", re.ASCII)
REFERENCE = "item:{}"
"""What an item is called: not by its bare number, which may be a customer's, too."""


class Item(NamedTuple):
    """One item: what the processor calls it, what it costs in any unit, how many there are of it, its own id."""

    name: object
    cost: Fraction | None
    """None where it cannot be read."""
    quantity: Fraction | None = None
    id: str = ""


def number(value: object) -> Fraction | None:
    """A number that is not below zero, written as one or as text; None for anything else."""
    text = str(value) if type(value) is int or isinstance(value, str | Decimal) else ""
    return Fraction(text) if _NUMBER.fullmatch(text) else None


def with_items(paid: Paid, items: Iterable[Item]) -> Paid:
    """The payment with its items as lines."""
    priced = [item for item in items if item.cost != 0]
    costs = [item.cost for item in priced if item.cost is not None]
    if not priced or len(costs) < len(priced):
        return paid
    bounds = [int(paid.amount_minor * cost / sum(costs)) for cost in accumulate(costs, initial=Fraction(0))]
    return replace(paid, lines=tuple(_line(paid, *each) for each in zip(priced, pairwise(bounds), strict=True)))


def _line(paid: Paid, item: Item, bounds: tuple[int, int]) -> Line:
    own = REFERENCE.format(item.name)
    named = (*paid.billing_references, *((own,) if item.name and strict.is_name(own) else ()))
    many = item.quantity is not None and item.quantity.denominator == 1 and item.quantity > 0
    return Line(named, bounds[1] - bounds[0], quantity=int(item.quantity or 1) if many else 1, id=item.id)
