"""Entries, grants and facts in another language: nothing of their words stays English."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from gettext import NullTranslations
from typing import Any

import pytest

from local.translations import extracted
from models.ledger import clawback
from models.ledger.adjustments import AdjustmentReason
from models.ledger.clawback import Grant
from models.ledger.kinds import EntryKind
from models.payments.recorded import FactKind
from models.statements import entry_wording
from models.statements.entry_wording import fact_in_words, grant_states, note_in_words, occasion_in_words
from models.statements.statement import Balance, Coming, EntryLine, GrantLine
from runtime.language import Language, speaking

NOW = datetime(2026, 11, 30, tzinfo=UTC)


class Marked(NullTranslations):
    """Texts of the catalogues in brackets; what stands outside of them is in none."""

    def __init__(self) -> None:
        super().__init__()
        self._known = {text for one in extracted() for text in ((one.id,) if isinstance(one.id, str) else one.id)}

    def gettext(self, message: str) -> str:
        return f"<{message}>" if message in self._known else message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


@pytest.fixture(scope="module")
def marked() -> Language:
    return Language("en_GB", Marked())


@pytest.fixture(autouse=True)
def another_language(marked: Language) -> Iterator[None]:
    with speaking(marked):
        yield


def english(words: str) -> str:
    """The letters of what stands outside brackets."""
    inside = re.compile(r"<[^<>]*>")
    while inside.search(words):
        words = inside.sub("", words)
    return re.sub(r"[^A-Za-z]", "", words)


def entry(kind: str, quantity: int = 1, **more: Any) -> EntryLine:
    nothing: dict[str, Any] = dict.fromkeys(EntryLine._fields)
    return EntryLine(**nothing | {"kind": kind, "quantity": quantity, "shortfall": 0, **more})


def grant(**more: Any) -> GrantLine:
    nothing: dict[str, Any] = dict.fromkeys(GrantLine._fields, 0)
    return GrantLine(**nothing | {"quantity": 8, "effective_at": NOW, **more})


CAUSES = [None, "refund", "dispute: lost", "chargeback", "void", "cancellation", "failure", "whatever"]


@pytest.mark.parametrize("quantity", [-1, 0, 1])
@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("kind", EntryKind)
def test_an_entry_of_every_kind(kind: EntryKind, cause: str | None, quantity: int) -> None:
    for more in ({}, {"enlarges": True, "shortens": True, "expires_at": NOW, "counter_grant_id": 1}):
        one = entry(kind, quantity, cause=cause, note="no_show: Kim was ill", **more)
        assert english(entry_wording.entry_in_words(one)) == ""
        assert english(entry_wording.repayment_in_words(one)) == ""


@pytest.mark.parametrize("reason", [*AdjustmentReason, *entry_wording.MOVED_IN])
def test_an_adjustment_of_every_reason_and_what_a_person_noted(reason: str) -> None:
    one = entry(EntryKind.ADJUSTMENT, note=f"{reason}: Kim was ill")
    assert english(entry_wording.entry_in_words(one)) == english(entry_wording.reason_in_words(one.note)[0]) == ""
    assert note_in_words(one) == "Kim was ill"


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("kind", FactKind)
def test_a_fact_of_every_kind(kind: FactKind, cause: str | None) -> None:
    assert english(fact_in_words(kind, cause)) == ""


def test_what_settling_noted_is_told_again_and_what_people_wrote_is_not() -> None:
    held = Grant(1, 1, 1, 1, 1, 0, 8, 2, 0, 0, None, NOW, NOW, expired={None: 1})
    moves = list(clawback.reverse(held, 8, policy="repay", fact_id=1, occurred_at=NOW, now=NOW, note="a shop's own"))
    moves += clawback.reverse(held, 0, policy="repay", fact_id=2, occurred_at=NOW, now=NOW)
    noted = [note_in_words(entry(move.kind, move.quantity, note=move.note, fact_id=move.fact_id)) for move in moves]
    assert [english(one.replace("a shop's own", "")) for one in noted] == ["", ""]
    assert "a shop's own; <" in noted[0]
    assert note_in_words(entry(EntryKind.REDEMPTION, note="frozen until further notice")) == (
        "frozen until further notice"
    )


def test_the_states_of_a_grant_and_which_are_bad_whatever_they_are_called() -> None:
    states = [
        *grant_states(grant(effective_at=NOW.replace(month=12), is_expired=True, reversed=2, shortfall=1), NOW),
        *grant_states(grant(used=8, reversed=8), NOW),
    ]
    assert [english(one.words) for one in states] == [""] * 6
    assert [one.is_bad for one in states] == [False, False, True, True, False, True]


def test_a_balance_and_an_occasion() -> None:
    days = [Coming(NOW.date(), NOW, 8), Coming(NOW.date(), NOW, 9)]
    for coming in (days, days[:1]):
        said = entry_wording.coming_in_words(Balance(1, "", 0, 0, None, 0, 0, None, coming), str)
        assert english(said) == ""
    assert english(entry_wording.came_to([grant(quantity=8, used=3, expired=1, remaining=2)])) == ""
    assert english(entry_wording.shortfall_in_words(1) + entry_wording.shortfall_in_words(2)) == ""
    assert english(occasion_in_words(entry("redemption", class_reference="7", trainer="9", club="5"))) == ""
