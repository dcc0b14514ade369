"""A payment for several memberships stands with each of them, and says which the others are."""

import pytest
from sqlalchemy.orm import Session

from models.inbox import search as events
from models.inbox.search import EventFilter
from models.members import search
from models.members.memberships import Membership, add_billing_reference
from models.payments.facts import Noted
from models.statements import dues, explanation, paid_for, payment_story, statement
from tests.models.gym import BY, CLASSES, DUES, ENDPOINT, NOW, Gym, paid, tell


@pytest.fixture
def household(gym: Gym, session: Session) -> list[Membership]:
    """Two members whose dues come as one payment."""
    both = [gym.join("sub"), gym.join()]
    add_billing_reference(session, both[1], ENDPOINT, "sub", by=BY, shared=True)
    tell(session, paid("in", "sub", amount=2 * DUES), paid("in_other", "nobody"))
    return both


def test_it_stands_with_each_membership_with_what_that_got(session: Session, household: list[Membership]) -> None:
    for one, other in (household, household[::-1]):
        [payment] = dues.page(session, one.id, limit=9).payments
        assert (payment.reference, payment.amount_minor) == ("in", 2 * DUES)
        assert [(gave.item, gave.quantity) for gave in payment.gave] == [("Spin", CLASSES), ("Training", 2)]
        assert [(row.membership_id, row.member_id) for row in payment.others] == [(other.id, other.member_id)]


def test_it_is_found_for_each_member_and_membership(session: Session, household: list[Membership]) -> None:
    for one in household:
        for condition in (paid_for.of_member(session, one.member_id), paid_for.is_for(session, [one.id])):
            [story] = payment_story.page(session, condition, limit=9).payments
            assert story.references == ["in"]
            assert [row.membership_id for row in story.memberships] == [row.id for row in household]
            assert story.member_id == household[0].member_id
            given = [(gave.membership_id, gave.item, gave.quantity) for gave in story.gave]
            assert given == [(row.id, *gave) for row in household for gave in (("Spin", CLASSES), ("Training", 2))]


def test_searching_for_it_finds_every_member(session: Session, household: list[Membership]) -> None:
    members = {one.member_id for one in household}
    for sought in ("in", "sub"):
        assert {found.member_id for found in search.search(session, sought, 9)} == members
    for one in household:
        [event] = events.page(session, EventFilter(member_id=one.member_id), limit=9).events
        assert event.event_id


def test_an_explanation_names_every_membership(session: Session, household: list[Membership]) -> None:
    second = household[1]
    entry = statement.entries(session, second.member_id)[0]
    why = explanation.explain(session, second.member_id, entry.entry_id, NOW)
    assert why is not None
    assert why.history is not None
    assert why.grant.membership_id == second.id
    assert [(one.membership_id, one.member_id) for one in why.history.memberships] == [
        (one.id, one.member_id) for one in household
    ]


def test_a_problem_of_it_is_told_to_each_member(session: Session, household: list[Membership]) -> None:
    tell(session, paid("in", "sub", amount=DUES))
    for one in household:
        [troubled] = explanation.troubled(session, one.member_id, 9)
        assert (troubled.payment, "by another" in troubled.problem) == ("in", True)


def test_a_note_is_no_payment(session: Session, household: list[Membership]) -> None:
    tell(session, Noted("in", NOW, "a part of it went back"))
    [story] = payment_story.page(session, payment_story.named("in"), limit=9).payments
    assert [type(known.fact) for known in story.facts][1:] == [Noted]
    assert story.reversed_minor == 0


def test_nobody_owns_what_nobody_matches(session: Session, household: list[Membership]) -> None:
    [story] = payment_story.page(session, payment_story.named("in_other"), limit=9).payments
    assert (story.memberships, story.member_id) == ([], None)
