"""Two members who are one person: what moves, what comes back, and what is refused."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.audit import chain
from models.audit.checks import audit
from models.database.engine import make_engine
from models.errors import (
    MergedAlready,
    MergedWithItself,
    NotFound,
    NotUndoable,
    ReasonMissing,
    SppError,
)
from models.ledger import adjustments, merging, redemptions
from models.ledger.adjustments import AdjustmentReason
from models.ledger.tables import CreditGrant
from models.members import search
from models.members.lookup import find_member
from models.members.memberships import Member, Membership, with_merged
from models.members.signing_up import sign_up
from models.payments.facts import Reversed
from models.staff import actions
from models.statements import member_list, statement
from tests.models.gym import BY, DUES, NOW, PAID_AT, Gym, deliver, events, fresh, grants_of, paid, tell, together

DAY = timedelta(days=1)
WHY = "the same person, twice"


@pytest.fixture
def two(gym: Gym) -> tuple[Membership, Membership]:
    """Two members, each with 8 classes and 2 trainings of a payment."""
    one, other = gym.join("sub_1"), gym.join("sub_2")
    tell(gym.session, paid("in_1", "sub_1"), paid("in_2", "sub_2"))
    return one, other


def merge(gym: Gym, gone: int, stays: int) -> merging.Merge:
    made = merging.merge(gym.session, gone, stays, reason=WHY, by=BY, now=NOW)
    gym.session.commit()
    return made


def undo(gym: Gym, gone: int) -> None:
    merging.undo(gym.session, gone, reason="they are two after all", by=BY, now=NOW + timedelta(hours=1))
    gym.session.commit()


def usable(gym: Gym, member_id: int) -> dict[str, int]:
    return {row.item: row.usable for row in statement.balances(gym.session, member_id, NOW)}


def redeem(gym: Gym, member_id: int, quantity: int, key: str | None = None) -> redemptions.Answer:
    answer = redemptions.redeem(
        gym.session,
        member_id=member_id,
        item_id=gym.spin.id,
        quantity=quantity,
        key=key or fresh("key"),
        by=BY,
        now=NOW,
    )
    gym.session.commit()
    return answer


def test_what_one_has_goes_to_the_other(gym: Gym, two: tuple[Membership, Membership]) -> None:
    gone, stays = (one.member_id for one in two)
    redeem(gym, gone, 3)
    told = merging.plan(gym.session, gone, stays, now=NOW).words
    assert told.startswith(
        "1 membership, 1 billing reference, and 2 grants with 5 Spin sessions and 2 Training sessions"
    )
    assert merge(gym, gone, stays).words == told
    assert usable(gym, stays) == {"Spin": 13, "Training": 4}
    assert usable(gym, gone) == {}
    assert [one.id for one in gym.session.get_one(Member, stays).memberships] == [two[0].id, two[1].id]
    tell(gym.session, paid("in_3", "sub_1"))
    assert usable(gym, stays) == {"Spin": 21, "Training": 6}
    verbs = [act.verb for act in actions.page(gym.session, limit=9, member_ids=with_merged(gym.session, stays)).acts]
    assert verbs[:2] == ["merge members", "redeem"]
    assert verbs.count("sign up") == 2
    assert list(audit(gym.session)) == []


def test_nothing_is_posted_and_what_was_sealed_stays_right(gym: Gym, two: tuple[Membership, Membership]) -> None:
    gone, stays = (one.member_id for one in two)
    redeem(gym, gone, 1)
    gym.session.execute(text("ALTER TABLE ledger_entries DISABLE TRIGGER append_only"))
    gym.session.execute(text("UPDATE ledger_entries SET recorded_at = recorded_at - interval '2 hours'"))
    gym.session.execute(text("ALTER TABLE ledger_entries ENABLE TRIGGER append_only"))
    count = gym.session.scalar(text("SELECT count(*) FROM ledger_entries"))
    assert chain.seal(gym.session) == count
    merge(gym, gone, stays)
    assert chain.walk(gym.session, 0).broken == []
    undo(gym, gone)
    assert chain.walk(gym.session, 0).broken == []
    assert gym.session.scalar(text("SELECT count(*) FROM ledger_entries")) == count
    assert list(audit(gym.session)) == []


def test_the_undo_moves_back_what_the_merge_moved(gym: Gym, two: tuple[Membership, Membership]) -> None:
    gone, stays = (one.member_id for one in two)
    given = adjustments.adjust(
        gym.session,
        member_id=gone,
        item_id=gym.spin.id,
        quantity=4,
        last_day=None,
        reason=AdjustmentReason.GOODWILL,
        note="a cold shower",
        alone_up_to=9,
        key=fresh("key"),
        by=BY,
        now=NOW,
    )
    merge(gym, gone, stays)
    tell(gym.session, paid("in_3", "sub_1"), paid("in_4", "sub_2"))
    redeem(gym, stays, 10)
    before = {grant.id: grant.remaining for grant in gym.session.scalars(select(CreditGrant))}
    undo(gym, gone)
    gym.session.expire_all()
    after = {grant.id: grant.remaining for grant in gym.session.scalars(select(CreditGrant))}
    assert before == after
    assert usable(gym, gone)["Training"] == 4
    assert usable(gym, stays)["Training"] == 4
    assert usable(gym, gone)["Spin"] + usable(gym, stays)["Spin"] == 4 + 4 * 8 - 10
    assert {one.member_id for one in grants_of(gym.session, two[0])} == {gone}
    assert given.action_id in {one.action_id for one in grants_of(gym.session, two[0])}
    assert two[0].member_id == gone
    assert two[1].member_id == stays
    assert list(audit(gym.session)) == []


def test_shortfalls_and_grants_meet_only_with_the_next_grant(gym: Gym, two: tuple[Membership, Membership]) -> None:
    gone, stays = (one.member_id for one in two)
    redeem(gym, gone, 8)
    tell(gym.session, Reversed("in_1", PAID_AT, "refund:re", DUES, "USD"))
    merge(gym, gone, stays)
    (spin,) = [row for row in statement.balances(gym.session, stays, NOW) if row.item == "Spin"]
    assert (spin.usable, spin.shortfall) == (8, 8)
    tell(gym.session, paid("in_3", "sub_2"))
    (spin,) = [row for row in statement.balances(gym.session, stays, NOW) if row.item == "Spin"]
    assert (spin.usable, spin.shortfall) == (8, 0)
    undo(gym, gone)
    assert list(audit(gym.session)) == []


def test_the_old_id_and_address_lead_to_the_one_that_stays(gym: Gym, two: tuple[Membership, Membership]) -> None:
    gone, stays = (one.member_id for one in two)
    old = gym.session.get_one(Member, gone).email
    answer = redeem(gym, gone, 1, key="booking-1")
    merge(gym, gone, stays)
    found = find_member(gym.session, old)
    assert found is not None
    assert found.id == stays
    assert redeem(gym, gone, 1, key="booking-1") == answer
    redeem(gym, gone, 9)
    assert usable(gym, stays)["Spin"] == 16 - 10
    signed = sign_up(
        gym.session, email=old, name="Ada", club=gym.club, term=gym.term, picks=[gym.spin], by=BY, now=NOW, key="k"
    )
    assert signed.member_id == stays
    again = sign_up(
        gym.session, email=old, name="Ada", club=gym.club, term=gym.term, picks=[gym.spin], by=BY, now=NOW, key="k"
    )
    assert again is signed
    assert [row.member_id for row in search.search(gym.session, "ada", 9)] == [stays]
    for sought in (old, str(gone), f"#{gone}", str(stays)):
        assert [row.member_id for row in search.search(gym.session, sought, 9)] == [stays], sought
    assert member_list.page(gym.session, now=NOW, limit=9).member_ids == [stays]


def test_what_waits_for_a_second_person_is_applied_to_the_one_that_stays(
    gym: Gym, two: tuple[Membership, Membership]
) -> None:
    gone, stays = (one.member_id for one in two)
    asked = adjustments.adjust(
        gym.session,
        member_id=gone,
        item_id=gym.spin.id,
        quantity=5,
        last_day=None,
        reason=AdjustmentReason.GOODWILL,
        note="a cold shower",
        alone_up_to=1,
        key=fresh("key"),
        by=BY,
        now=NOW,
    )
    assert "1 adjustment waiting for a second person" in merge(gym, gone, stays).words
    assert [one.id for one in adjustments.waiting(gym.session, stays)] == [asked.id]
    adjustments.decide(gym.session, asked.id, approve=True, by=BY._replace(name="ben@example.com"), now=NOW)
    assert usable(gym, stays)["Spin"] == 21


def test_merges_in_a_row_are_undone_from_the_last(gym: Gym, two: tuple[Membership, Membership]) -> None:
    third = gym.join("sub_3")
    first, second = (one.member_id for one in two)
    merge(gym, first, second)
    merge(gym, second, third.member_id)
    assert usable(gym, third.member_id) == {"Spin": 16, "Training": 4}
    with pytest.raises(NotUndoable, match="undo that first"):
        undo(gym, first)
    undo(gym, second)
    assert usable(gym, second) == {"Spin": 16, "Training": 4}
    undo(gym, first)
    assert usable(gym, first) == usable(gym, second) == {"Spin": 8, "Training": 2}
    assert list(audit(gym.session)) == []


def test_what_is_refused(gym: Gym, two: tuple[Membership, Membership]) -> None:
    one, other = (membership.member_id for membership in two)

    def refused(error: type[SppError], gone: int, stays: int, why: str = WHY, field: str | None = None) -> None:
        with pytest.raises(error) as caught:
            merging.merge(gym.session, gone, stays, reason=why, by=BY, now=NOW)
        assert caught.value.field == field

    refused(MergedWithItself, one, one, field="from_member_id")
    refused(NotFound, 999, one, field="from_member_id")
    refused(NotFound, one, 999)
    refused(ReasonMissing, one, other, why=" ", field="reason")
    merge(gym, one, other)
    refused(MergedAlready, one, other, field="from_member_id")
    refused(MergedAlready, other, one)
    with pytest.raises(NotUndoable, match="a day ago"):
        merging.undo(gym.session, one, reason=WHY, by=BY, now=NOW + DAY)
    with pytest.raises(NotUndoable, match="not merged"):
        merging.undo(gym.session, other, reason=WHY, by=BY, now=NOW)
    undo(gym, one)
    assert usable(gym, one) == {"Spin": 8, "Training": 2}


def test_redemptions_and_payments_that_race_a_merge_lose_and_double_nothing(open_gym: Gym, database_url: str) -> None:
    gym, session = open_gym, open_gym.session
    one, other = gym.join("sub_1"), gym.join("sub_2")
    gone, stays = one.member_id, other.member_id
    tell(session, *(paid(f"in_{number}", f"sub_{1 + number % 2}") for number in range(4)))
    spin = gym.spin.id

    def use(member_id: int, key: str, session: Session) -> int:
        taken = redemptions.redeem(session, member_id=member_id, item_id=spin, quantity=3, key=key, by=BY, now=NOW)
        return len(taken.draws)

    def pay(payment: str, session: Session) -> None:
        deliver(session, events(paid(payment, "sub_1")))

    def join(session: Session) -> None:
        merging.merge(session, gone, stays, reason=WHY, by=BY, now=NOW)

    jobs = [partial(use, [gone, stays][number % 2], f"key_{number}") for number in range(6)]
    engine = make_engine(database_url, pool_size=12)
    results = together(engine, [*jobs[:3], partial(pay, "in_8"), join, *jobs[3:], partial(pay, "in_9")])
    engine.dispose()
    assert [result for result in results if isinstance(result, Exception)] == []
    session.expire_all()
    assert usable(gym, stays)["Spin"] == 6 * 8 - 6 * 3
    assert session.scalars(select(CreditGrant).where(CreditGrant.member_id == gone)).all() == []
    assert list(audit(session)) == []


def test_only_a_merge_moves_a_grant_or_a_membership(gym: Gym, two: tuple[Membership, Membership]) -> None:
    for table in ("credit_grants", "memberships"):
        for change in (
            f"member_id = {two[1].member_id}",
            f"member_id = {two[1].member_id}, first_member_id = {two[0].member_id}",
        ):
            with pytest.raises(Exception, match="append-only"), gym.session.begin_nested():
                gym.session.execute(text(f"UPDATE {table} SET {change} WHERE member_id = {two[0].member_id}"))
