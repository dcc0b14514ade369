"""The list of members: each filter alone and as it is counted, each order leafed through both ways."""

from datetime import date, timedelta

import pytest
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.ledger.redemptions import redeem
from models.members import life
from models.members.memberships import Membership
from models.payments.facts import DuesFailed
from models.statements import member_list
from models.statements.member_list import DuesState, MemberFilter, Order, State
from tests.models.gym import BY, NOW, Gym, paid, tell

TODAY = date(2024, 3, 1)
DAY = timedelta(days=1)


@pytest.fixture
def people(gym: Gym) -> dict[str, Membership]:
    """Ann (frozen), Bo (used all up), Cy (ended), Di (overdue) and Eve (never paid, at another club)."""
    session = gym.session
    joined = {name: gym.join(f"sub_{name}") for name in ("Eve", "Di", "Cy", "Bo", "Ann")}
    for name, membership in joined.items():
        membership.member.name = name
    other = Club(name="Other", time_zone="Europe/Madrid", currency="USD", shortfall_policy="repay")
    session.add(other)
    session.flush()
    joined["Eve"].club = other
    tell(session, *(paid(f"in_{name}", f"sub_{name}") for name in ("Ann", "Bo", "Cy", "Di")))
    for item, quantity in ((gym.spin, 8), (gym.training, 2)):
        redeem(
            session, member_id=joined["Bo"].member_id, item_id=item.id, quantity=quantity, key=item.name, by=BY, now=NOW
        )
    redeem(session, member_id=joined["Di"].member_id, item_id=gym.spin.id, quantity=3, key="Di", by=BY, now=NOW)
    life.freeze(session, joined["Ann"], first=TODAY, last=None, reason="Travels", by=BY, now=NOW)
    life.end(session, joined["Cy"], last=TODAY, reason="Moved away", by=BY, now=NOW)
    tell(session, DuesFailed("in_late", NOW, ("sub_Di",)))
    session.flush()
    return joined


def names(session: Session, wanted: MemberFilter, **more: object) -> list[str]:
    leaf = member_list.page(session, wanted, now=NOW + DAY, limit=9, **more)
    return [row.member.name for row in member_list.rows(session, leaf.member_ids, now=NOW + DAY)]


def test_each_filter_shows_whom_it_counts(gym: Gym, session: Session, people: dict[str, Membership]) -> None:
    counts = member_list.counts(session, now=NOW + DAY)
    home, away = gym.club.id, people["Eve"].club_id
    for asked, found, counted in (
        (MemberFilter(), ["Ann", "Bo", "Cy", "Di", "Eve"], counts.all),
        (MemberFilter(club_id=home), ["Ann", "Bo", "Cy", "Di"], counts.clubs[home]),
        (MemberFilter(club_id=away), ["Eve"], counts.clubs[away]),
        (MemberFilter(offer_id=gym.offer.id), ["Ann", "Bo", "Cy", "Di", "Eve"], counts.offers[gym.offer.id]),
        (MemberFilter(offer_id=gym.offer.id + 999), [], 0),
        (MemberFilter(state=State.ACTIVE), ["Bo", "Di", "Eve"], counts.states[State.ACTIVE]),
        (MemberFilter(state=State.FROZEN), ["Ann"], counts.states[State.FROZEN]),
        (MemberFilter(state=State.ENDED), ["Cy"], counts.states[State.ENDED]),
        (MemberFilter(dues=DuesState.OVERDUE), ["Di"], counts.dues[DuesState.OVERDUE]),
        (MemberFilter(dues=DuesState.GOOD), ["Ann", "Bo", "Cy", "Eve"], counts.dues[DuesState.GOOD]),
        (MemberFilter(nothing_left=True), ["Bo", "Eve"], counts.nothing_left),
        (MemberFilter(expiring_days=30), ["Ann", "Cy", "Di"], counts.expiring[30]),
        (MemberFilter(expiring_days=7), [], counts.expiring[7]),
        (MemberFilter(club_id=home, state=State.ACTIVE, nothing_left=True), ["Bo"], 1),
    ):
        assert names(session, asked) == found, asked
        assert counted == len(found) == member_list.count(session, asked, now=NOW + DAY), asked
    assert names(session, MemberFilter(), club_ids=[away]) == ["Eve"]
    assert member_list.counts(session, now=NOW + DAY, club_ids=[away]).clubs == {away: 1}


@pytest.mark.parametrize("order", Order)
def test_leaves_meet_without_a_gap_in_every_order(
    session: Session, people: dict[str, Membership], order: Order
) -> None:
    def leaf(limit: int, **cursor: int) -> member_list.Leaf:
        return member_list.page(session, now=NOW + DAY, limit=limit, order=order, **cursor)

    every = list(leaf(9).member_ids)
    by_name = [people[name].member_id for name in ("Ann", "Bo", "Cy", "Di", "Eve")]
    assert (
        every
        == {
            Order.ID: by_name[::-1],
            Order.JOINED: by_name,
            Order.NAME: by_name,
            Order.EXPIRES: [by_name[3], by_name[2], by_name[0], by_name[4], by_name[1]],
            Order.LEFT: [by_name[4], by_name[1], by_name[3], by_name[2], by_name[0]],
        }[order]
    )
    for limit in (1, 2, 5):
        forth, here = [], leaf(limit)
        assert here.before is None
        while True:
            forth.append(list(here.member_ids))
            if here.after is None:
                break
            here = leaf(limit, after=here.after)
        assert [member for page in forth for member in page] == every
        back = [forth[-1]]
        while here.before is not None:
            here = leaf(limit, before=here.before)
            back.insert(0, list(here.member_ids))
        assert back == forth
    assert leaf(9, after=10**9) == leaf(9)


def test_a_row_says_what_is_left_frozen_and_overdue(session: Session, people: dict[str, Membership]) -> None:
    leaf = member_list.page(session, now=NOW + DAY, limit=9)
    rows = {row.member.name: row for row in member_list.rows(session, leaf.member_ids, now=NOW + DAY)}
    left = {name: [(one.item, one.usable, one.frozen) for one in row.left] for name, row in rows.items()}
    assert left["Ann"] == [("Spin", 0, 8), ("Training", 0, 2)]
    assert left["Di"] == [("Spin", 5, 0), ("Training", 2, 0)]
    assert (left["Bo"], left["Eve"]) == ([], [])
    assert [one.since for one in rows["Di"].overdue] == [NOW]
    assert rows["Ann"].life == {people["Ann"].id: ["Frozen until further notice"]}
