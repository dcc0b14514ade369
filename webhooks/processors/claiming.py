"""What adapters say of the code of a membership that comes back with a payment, subscription or mandate.

The code stands where the gym's server or we put it: in metadata, in a field for the merchant's own reference, or at the
beginning of an id that the merchant chooses. Whatever else stands there is the gym's own, and no claim.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from models.members.memberships import CODE
from models.payments.facts import Claimed, DuesFailed, Fact, Paid

KEY = "membership_code"
"""Under which metadata and custom fields carry it."""


class CodeField(NamedTuple):
    """Where at a processor a membership's code is put, so that it comes back with the first payment."""

    where: str
    """In words for who sets up the payment."""
    snippet: str
    """Ready to copy, once `{code}` is filled in."""
    link: str = ""
    """What is added to a payment link of the gym's, as the query of a URL with `{code}` and `{email}`."""


class Checkout(NamedTuple):
    """The first payment of a membership, as a processor is asked to make a page for it."""

    code: str
    email: str
    what: str
    """The offer and payment term, as the payer reads it."""
    dues_minor: int
    currency: str
    interval: str
    interval_count: int


_BEGINS = re.compile(rf"({CODE})(?![a-z0-9])", re.ASCII)
_WITHIN = re.compile(rf"(?<![A-Za-z0-9_]){_BEGINS.pattern}", re.ASCII)


def begins(value: object) -> str | None:
    """The code with which an id or reference begins."""
    found = _BEGINS.match(value) if isinstance(value, str) else None
    return found[1] if found else None


def within(*texts: object) -> str | None:
    """The first code that stands in free text: a note, a description."""
    found = (_WITHIN.search(text) for text in texts if isinstance(text, str))
    return next((match[1] for match in found if match), None)


def in_metadata(*holders: object) -> str | None:
    """The code in the first of these objects whose `metadata` has one."""
    for holder in holders:
        metadata = holder.get("metadata") if isinstance(holder, dict) else None
        if isinstance(metadata, dict) and (code := begins(metadata.get(KEY))):
            return code
    return None


def of(reference: str, at: datetime, code: str | None) -> list[Fact]:
    """The claim of a reference; nothing without a code."""
    return [Claimed(reference, at, code)] if code else []


def closest(facts: Iterable[Fact], code: str | None, *, from_link: bool = False) -> list[Fact]:
    """The claim of what a payment, or a failed attempt at one, is looked up by; nothing without a code."""
    for fact in facts:
        if code and isinstance(fact, Paid | DuesFailed) and (named := fact.billing_references or fact.payer):
            due = (fact.due, fact.currency) if from_link and isinstance(fact, Paid) else (None, None)
            return [Claimed(named[0], fact.occurred_at, code, from_link, *due)]
    return []


def chosen(facts: Iterable[Fact]) -> list[Fact]:
    """The claim of a reference that the merchant chose: it is a code, or else begins with one."""
    for fact in facts:
        if isinstance(fact, Paid | DuesFailed):
            named: Sequence[str] = fact.billing_references or fact.payer
            for reference in sorted(named, key=lambda each: begins(each) != each):
                if code := begins(reference):
                    return [Claimed(reference, fact.occurred_at, code)]
    return []


def named_by(code: str | None, *references: str | None) -> tuple[str, ...]:
    """The references; of what names nobody, the code alone, which is then what it is looked up by."""
    named = tuple(dict.fromkeys(each for each in references if each))
    return named or ((code,) if code else ())
