"""An adjustment over the limit: nothing moves until another person has approved it."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.database.engine import make_engine, sessions
from models.errors import DayOver, NotFound, SamePerson, SppError, TooFewSessions, WrongState
from models.ledger import adjustments
from models.ledger.adjustments import Adjustment, AdjustmentReason
from models.members.memberships import Membership
from models.staff.actions import Actor
from tests.models.gym import BY, CLASSES, NOW, Gym, entries, paid, tell, together
from tests.models.ledger.test_adjustments import NOTE, acts, adjust, adjusted_grant, last_act, state, use

DAY = timedelta(days=1)
OTHER = Actor("ben@example.com", "192.0.2.8")
BEFORE = [(CLASSES, 0)]


@pytest.fixture
def member(gym: Gym) -> Membership:
    """With 8 classes."""
    membership = gym.join("sub")
    tell(gym.session, paid("in", "sub"))
    return membership


def ask(gym: Gym, member: Membership, quantity: int = 5, last_day: date | None = None, key: str = "big") -> Adjustment:
    return adjust(gym, member, quantity, alone_up_to=4, last_day=last_day, key=key)


def decide(gym: Gym, adjustment: Adjustment, approve: bool = True, by: Actor = OTHER, now: datetime = NOW) -> None:
    adjustments.decide(gym.session, adjustment.id, approve=approve, by=by, now=now)


def decision(gym: Gym, adjustment: Adjustment) -> tuple[bool | None, str | None, datetime | None]:
    gym.session.refresh(adjustment)
    return adjustment.approved, adjustment.decided_by, adjustment.decided_at


@pytest.mark.parametrize("quantity", [5, -5])
def test_over_the_limit_nothing_moves_until_it_is_approved(
    gym: Gym, session: Session, member: Membership, quantity: int
) -> None:
    adjustment = ask(gym, member, quantity)
    assert (state(gym, member), decision(gym, adjustment)) == (BEFORE, (None, None, None))
    assert list(adjustments.waiting(session)) == [adjustment]
    decide(gym, adjustment, now=NOW + DAY)
    assert state(gym, member) == ([(CLASSES, 0), (5, 0)] if quantity > 0 else [(CLASSES - 5, 0)])
    assert decision(gym, adjustment) == (True, OTHER.name, NOW + DAY)
    assert list(adjustments.waiting(session)) == []
    assert list(audit(session)) == []


@pytest.mark.parametrize("quantity", [4, -4])
def test_up_to_the_limit_one_person_is_enough(gym: Gym, member: Membership, quantity: int) -> None:
    assert adjust(gym, member, quantity, alone_up_to=4).approved
    assert state(gym, member) != BEFORE


def adjust_alone(gym: Gym, member: Membership, quantity: int, **changed: Any) -> bool:
    """Whether one person was enough."""
    return bool(adjust(gym, member, quantity, **{"alone_up_to": 10, **changed}).approved)


def test_what_one_person_adjusts_of_a_member_in_a_day_is_counted_together(gym: Gym, member: Membership) -> None:
    assert adjust_alone(gym, member, 6)
    assert adjust_alone(gym, member, -4)
    assert not adjust_alone(gym, member, 1)
    assert not adjust_alone(gym, member, -1)
    assert state(gym, member) == [(CLASSES - 4, 0), (6, 0)]


def test_what_a_second_person_sees_to_does_not_count(gym: Gym, member: Membership) -> None:
    approved, declined, _ = (adjust(gym, member, 11, alone_up_to=10, key=key) for key in ("one", "two", "three"))
    decide(gym, approved)
    decide(gym, declined, approve=False)
    assert adjust_alone(gym, member, 10)


@pytest.mark.parametrize(
    ("quantity", "of_another_member", "changed"),
    [
        (10, False, {"by": OTHER}),
        (10, True, {}),
        (10, False, {"now": datetime(2024, 3, 2, 6, tzinfo=UTC)}),
    ],
    ids=["another person", "another member", "the club's next day"],
)
def test_another_person_member_or_day_is_counted_apart(
    gym: Gym, member: Membership, quantity: int, of_another_member: bool, changed: dict[str, Any]
) -> None:
    assert adjust_alone(gym, member, 10, key="first")
    other = gym.join() if of_another_member else member
    assert adjust_alone(gym, other, quantity, **changed)


def test_until_the_club_s_midnight_it_is_one_day(gym: Gym, member: Membership) -> None:
    assert adjust_alone(gym, member, 10)
    assert not adjust_alone(gym, member, 1, now=datetime(2024, 3, 2, 5, 59, 59, tzinfo=UTC))


def test_the_same_key_counts_once(gym: Gym, member: Membership) -> None:
    for _ in range(3):
        assert adjust_alone(gym, member, 5, key="again")
    assert adjust_alone(gym, member, 5)


def test_many_at_once_are_counted_one_after_the_other(open_gym: Gym, engine: Engine) -> None:
    member = open_gym.join()
    open_gym.session.commit()
    values: dict[str, Any] = {
        "member_id": member.member_id,
        "item_id": open_gym.spin.id,
        "quantity": 4,
        "last_day": None,
        "reason": AdjustmentReason.OTHER,
        "note": NOTE,
        "alone_up_to": 10,
        "by": BY,
        "now": NOW,
    }

    def give(key: str, session: Session) -> bool:
        return bool(adjustments.adjust(session, **values, key=key).approved)

    results = together(engine, [partial(give, f"key {number}") for number in range(6)])
    assert sorted(map(str, results)) == ["False"] * 4 + ["True"] * 2


def test_taking_more_than_there_is_is_refused_at_once(gym: Gym, session: Session, member: Membership) -> None:
    before = acts(session)
    with pytest.raises(TooFewSessions, match=f"{CLASSES + 1} Spin sessions asked for, {CLASSES} usable"):
        ask(gym, member, -CLASSES - 1)
    assert (list(adjustments.waiting(session)), acts(session)) == ([], before)


def test_sessions_are_usable_from_their_approval(gym: Gym, session: Session, member: Membership) -> None:
    decide(gym, ask(gym, member), now=NOW + DAY)
    grant = adjusted_grant(gym, member)
    assert (grant.effective_at, grant.quantity) == (NOW + DAY, 5)
    assert [entry.occurred_at for entry in entries(session, grant)] == [NOW + DAY]


def test_both_persons_are_written_down(gym: Gym, session: Session, member: Membership) -> None:
    before = acts(session)
    adjustment = ask(gym, member)
    asked = last_act(session)
    decide(gym, adjustment)
    approved = last_act(session)
    assert acts(session) == before + 2
    assert (asked.actor, asked.origin, asked.verb, asked.member_id) == (*BY, "ask to adjust", member.member_id)
    assert asked.reason == f"goodwill: {NOTE}"
    assert (approved.actor, approved.origin, approved.verb, approved.member_id) == (*OTHER, "approve", member.member_id)
    assert approved.reason == f"goodwill: {NOTE} (asked for by {BY.name})"
    assert asked.subject == approved.subject == f"adjustment {adjustment.id}: +5 Spin"
    (entry,) = entries(session, adjusted_grant(gym, member))
    assert entry.action_id == approved.id


def test_who_asked_cannot_approve(gym: Gym, session: Session, member: Membership) -> None:
    adjustment = ask(gym, member)
    before = acts(session)
    with pytest.raises(SamePerson, match="a second person has to approve it"):
        decide(gym, adjustment, by=Actor(BY.name, "elsewhere"))
    assert (state(gym, member), decision(gym, adjustment)) == (BEFORE, (None, None, None))
    assert acts(session) == before


def test_the_database_refuses_the_same_person_too(gym: Gym, session: Session, member: Membership) -> None:
    adjustment = ask(gym, member)
    change = text("UPDATE adjustments SET approved = :approved, decided_by = asked_by, decided_at = now()")
    with pytest.raises(IntegrityError, match="ck_adjustments_second_person"), session.begin_nested():
        session.execute(change, {"approved": True})
    session.execute(change, {"approved": False})
    assert decision(gym, adjustment)[:2] == (False, BY.name)


def test_the_database_keeps_a_decision(gym: Gym, session: Session, member: Membership) -> None:
    decide(gym, ask(gym, member), approve=False, by=OTHER)
    with pytest.raises(IntegrityError, match="append-only"), session.begin_nested():
        session.execute(text("UPDATE adjustments SET approved = true"))


@pytest.mark.parametrize("by", [BY, OTHER], ids=["who asked", "another"])
def test_declined_nothing_moves(gym: Gym, session: Session, member: Membership, by: Actor) -> None:
    adjustment = ask(gym, member)
    decide(gym, adjustment, approve=False, by=by)
    act = last_act(session)
    assert (act.actor, act.verb, act.subject, act.member_id) == (
        by.name,
        "decline",
        f"adjustment {adjustment.id}: +5 Spin",
        member.member_id,
    )
    assert (state(gym, member), decision(gym, adjustment)) == (BEFORE, (False, by.name, NOW))
    assert list(adjustments.waiting(session)) == []


@pytest.mark.parametrize(("first", "word"), [(True, "approved"), (False, "declined")])
@pytest.mark.parametrize("second", [True, False])
def test_a_decision_is_final(gym: Gym, member: Membership, first: bool, second: bool, word: str) -> None:
    adjustment = ask(gym, member)
    decide(gym, adjustment, approve=first)
    before = state(gym, member)
    with pytest.raises(WrongState, match=f"{word} by {OTHER.name}, so it cannot be decided again"):
        decide(gym, adjustment, approve=second, by=Actor("cyd@example.com", "here"))
    assert state(gym, member) == before


def test_what_one_person_did_alone_is_not_to_be_decided(gym: Gym, member: Membership) -> None:
    adjustment = adjust(gym, member, 3)
    with pytest.raises(WrongState):
        decide(gym, adjustment)
    with pytest.raises(NotFound, match="no adjustment 0"):
        adjustments.decide(gym.session, 0, approve=True, by=OTHER, now=NOW)


def test_of_many_decisions_at_once_one_counts(open_gym: Gym, database_url: str) -> None:
    member = open_gym.join()
    adjustment = ask(open_gym, member)
    open_gym.session.commit()
    jobs: list[Callable[[Session], Adjustment]] = [
        partial(
            adjustments.decide,
            adjustment_id=adjustment.id,
            approve=number % 2 == 0,
            by=Actor(f"{number}@example.com", "here"),
            now=NOW,
        )
        for number in range(8)
    ]
    engine = make_engine(database_url, pool_size=8)
    answers = together(engine, jobs)
    engine.dispose()
    kinds = [type(answer) for answer in answers]
    assert (kinds.count(Adjustment), kinds.count(WrongState)) == (1, 7)
    approved, by, _ = decision(open_gym, adjustment)
    assert by == f"{kinds.index(Adjustment)}@example.com"
    assert state(open_gym, member) == ([(5, 0)] if approved else [])


def test_a_decision_made_since_it_was_read_counts(open_gym: Gym, engine: Engine) -> None:
    adjustment = ask(open_gym, open_gym.join())
    open_gym.session.commit()
    with sessions(engine).begin() as other:
        adjustments.decide(other, adjustment.id, approve=False, by=OTHER, now=NOW)
    assert adjustment.approved is None, "as it was read"
    with pytest.raises(WrongState, match=r"is declined by ben@example\.com"):
        decide(open_gym, adjustment, by=Actor("cyd@example.com", "here"))


def test_a_last_day_that_is_over_is_refused_at_once(gym: Gym, session: Session, member: Membership) -> None:
    with pytest.raises(DayOver):
        ask(gym, member, last_day=date(2024, 2, 29))
    assert list(adjustments.waiting(session)) == []


def refuse(gym: Gym, adjustment: Adjustment, error: type[SppError], now: datetime) -> None:
    """Approval fails and leaves no trace."""
    before = acts(gym.session)
    with pytest.raises(error):
        decide(gym, adjustment, now=now)
    assert (decision(gym, adjustment), acts(gym.session)) == ((None, None, None), before)


def test_sessions_whose_days_are_over_before_the_approval_can_only_be_declined(gym: Gym, member: Membership) -> None:
    adjustment = ask(gym, member, last_day=date(2024, 3, 9))
    refuse(gym, adjustment, DayOver, datetime(2024, 3, 10, 6, tzinfo=UTC))
    assert state(gym, member) == BEFORE
    decide(gym, adjustment, approve=False, now=datetime(2024, 3, 10, 6, tzinfo=UTC))
    in_time = ask(gym, member, last_day=date(2024, 3, 9), key="in time")
    decide(gym, in_time, now=datetime(2024, 3, 10, 5, 59, 59, 999999, tzinfo=UTC))
    assert state(gym, member) == [*BEFORE, (5, 0)]


def test_with_too_few_to_take_it_goes_on_waiting(gym: Gym, session: Session, member: Membership) -> None:
    adjustment = ask(gym, member, -CLASSES)
    use(gym, member, 1)
    refuse(gym, adjustment, TooFewSessions, NOW)
    assert state(gym, member) == [(CLASSES - 1, 0)]
    adjust(gym, member, 1)
    decide(gym, adjustment)
    assert state(gym, member) == [(0, 0), (0, 0)]


def test_the_same_key_asks_once(gym: Gym, session: Session, member: Membership) -> None:
    adjustment = ask(gym, member)
    assert ask(gym, member) is adjustment
    assert list(adjustments.waiting(session)) == [adjustment]
    decide(gym, adjustment)
    assert ask(gym, member).approved
    assert state(gym, member) == [*BEFORE, (5, 0)]


def test_those_that_wait_the_oldest_first(gym: Gym, session: Session, member: Membership) -> None:
    other = gym.join()
    first, second, third = (ask(gym, of, key=key) for of, key in ((member, "one"), (other, "two"), (member, "three")))
    assert list(adjustments.waiting(session)) == [first, second, third]
    assert list(adjustments.waiting(session, member.member_id)) == [first, third]


@pytest.mark.parametrize(
    "change",
    [
        *(
            f"UPDATE adjustments SET {column} = {column}"
            for column in (
                "id",
                "idempotency_key",
                "member_id",
                "item_id",
                "quantity",
                "expires_at",
                "reason",
                "note",
                "needs_second_person",
                "asked_by",
                "asked_at",
            )
        ),
        "DELETE FROM adjustments",
        "TRUNCATE adjustments",
    ],
)
def test_what_was_asked_for_stays_as_it_was(gym: Gym, session: Session, member: Membership, change: str) -> None:
    ask(gym, member)
    with pytest.raises(IntegrityError, match="adjustments is append-only"), session.begin_nested():
        session.execute(text(change))


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("approved = true", "decided_whole"),
        ("decided_by = 'x'", "decided_whole"),
        ("decided_at = now()", "decided_whole"),
        ("decided_at = now(), decided_by = 'x'", "decided_whole"),
    ],
)
def test_a_decision_is_whole(gym: Gym, session: Session, member: Membership, change: str, constraint: str) -> None:
    ask(gym, member)
    with pytest.raises(IntegrityError, match=constraint), session.begin_nested():
        session.execute(text(f"UPDATE adjustments SET {change}"))


def test_the_database_knows_what_an_adjustment_is(gym: Gym, session: Session, member: Membership) -> None:
    whole = {
        "idempotency_key": "k",
        "member_id": member.member_id,
        "item_id": gym.spin.id,
        "quantity": 5,
        "reason": AdjustmentReason.OTHER.value,
        "note": "n",
        "needs_second_person": True,
        "asked_by": "ada",
    }
    for wrong, constraint in (
        ({"quantity": 0}, "quantity_not_zero"),
        ({"quantity": -5, "expires_at": NOW}, "taken_sessions_have_no_expiry"),
        ({"reason": "because"}, "ck_adjustments_reason"),
        ({"note": ""}, "ck_adjustments_note"),
    ):
        with pytest.raises(IntegrityError, match=constraint), session.begin_nested():
            session.execute(insert(Adjustment).values(whole | wrong))
    session.execute(insert(Adjustment).values(whole))
