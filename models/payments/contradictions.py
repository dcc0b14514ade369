"""PURE: contradictions between the facts of one payment, in words for staff.

A contradiction changes nothing about what counts, which is the same in every order of arrival. It puts the payment on
the list that staff look at, with both figures.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from models.payments import money_back, sentences
from models.payments.facts import Fact, Linked, Paid, Reversed
from models.wording import money


class Contradiction(NamedTuple):
    """A contradiction in words, and the facts that contradict each other."""

    what: str
    facts: frozenset[Fact]


def contradictions(facts: Sequence[Fact]) -> list[Contradiction]:
    """The contradictions between the facts of a payment; none before it is paid."""
    if len(facts) < 2 or all(isinstance(fact, Linked) for fact in facts[1:]):
        return []
    counts = money_back.first_paid(facts)
    return [*_between_paid_facts(facts, counts), *_of_money_back(facts, counts)] if counts else []


def _between_paid_facts(facts: Sequence[Fact], counts: Paid) -> Iterator[Contradiction]:
    """`Paid` facts with different amounts, or for different billing references."""
    every = frozenset(fact for fact in facts if isinstance(fact, Paid))
    if len(every) < 2:
        return
    for part in sorted({one.part for one in every}):
        of_part = [one for one in every if one.part == part]
        first = money_back.first_paid(of_part) or counts
        amount = money(first.settled, first.currency)
        others = {money(one.settled, one.currency) for one in of_part} - {amount}
        if others:
            what = sentences.PAID_TWICE.format(amount=amount, others=" and ".join(sorted(others)))
            yield Contradiction(what, every)
    ours = counts.billing_references
    for theirs in sorted({one.billing_references for one in every if ours and one.billing_references}):
        if theirs[0] not in ours and ours[0] not in theirs:
            yield Contradiction(sentences.PAID_FOR_TWO.format(reference=ours[0], other=theirs[0]), every)


def _of_money_back(facts: Sequence[Fact], counts: Paid) -> Iterator[Contradiction]:
    """Money that went back in a currency in which nothing was paid, or more of it than was paid."""
    if foreign := frozenset(fact for fact in facts if money_back.contradicts(facts, fact)):
        yield Contradiction(sentences.BACK_IN_OTHER_CURRENCY.format(currency=counts.currency), foreign)
    paid = [fact for fact in facts if isinstance(fact, Paid)]
    refunds: list[Fact] = [fact for fact in facts if money_back.is_of_a_refund(fact)]
    # Refunds add up; whatever else took money back (a dispute) may overlap them, but is not more than was paid either.
    others: list[list[Fact]] = [[fact] for fact in facts if isinstance(fact, Reversed) and fact not in refunds]
    for moves in (refunds, *others):
        share = money_back.largest_share([*paid, *moves])
        if share > 1:
            least = money_back.least_paid(facts)[counts.currency]
            back, whole = money(int(share * least), counts.currency), money(least, counts.currency)
            what = sentences.BACK_MORE.format(back=back, paid=whole)
            yield Contradiction(what, frozenset(fact for fact in moves if isinstance(fact, Reversed)))
