"""Sessions are good at the home club, at listed clubs or at all: the item says so, and each grant keeps it."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue import clubs, items
from models.catalogue.clubs import Club
from models.catalogue.items import GoodAt, Item, ItemKind, SessionType
from models.errors import ClubInUse, ClubsMissing, NotAtThisClub, NotFound, TooFewSessions
from models.ledger import adjustments, entries
from models.ledger.adjustments import AdjustmentReason
from models.ledger.entries import Opening
from models.ledger.occasions import MANAGER_BACK, Occasion
from models.ledger.redemptions import Answer, Redemption, redeem
from models.members import club_move
from models.members.memberships import Membership
from models.staff import actions
from models.statements import statement, why_not
from models.statements.why_not import Reason
from tests.models.gym import BY, CLASSES, NOW, Gym, fresh, grants_of, paid, refused, tell

DAY = timedelta(days=1)


def another(session: Session, name: str, zone: str = "America/New_York") -> Club:
    return clubs.create_club(session, name=fresh(name), time_zone=zone, currency="USD")


def edit(session: Session, item: Item, good_at: GoodAt, *club_ids: int) -> None:
    kind, sort = ItemKind(item.kind), SessionType(item.session_type or "")
    items.edit_item(session, item, name=item.name, kind=kind, session_type=sort, good_at=good_at, club_ids=club_ids)
    session.flush()


def use(gym: Gym, member: Membership, club: Club | None, quantity: int = 1) -> Answer:
    return redeem(
        gym.session, member_id=member.member_id, item_id=gym.spin.id, quantity=quantity, key=fresh("key"), by=BY,
        now=NOW + DAY, occasion=Occasion(club_id=club.id if club else None), back=MANAGER_BACK,
    )  # fmt: skip


def usable(gym: Gym, member: Membership, club: Club) -> int:
    with pytest.raises(TooFewSessions) as refusal, gym.session.begin_nested():
        use(gym, member, club, 99)
    return int(refusal.value.details["usable"])


def test_mg8_good_at_two_clubs_used_at_the_second_and_refused_at_a_third(gym: Gym, session: Session) -> None:
    uptown, airport = another(session, "Uptown"), another(session, "Airport")
    edit(session, gym.spin, GoodAt.LISTED, uptown.id, gym.club.id)
    member = gym.join("sub")
    tell(session, paid("in", "sub"))
    used = session.get_one(Redemption, use(gym, member, uptown).redemption_id)
    assert (used.club_id, statement.entries(session, member.member_id)[-1].club) == (uptown.id, uptown.name)
    with refused(session, NotAtThisClub, f"at {airport.name}, 7 more only at Downtown and {uptown.name}"):
        use(gym, member, airport)
    with refused(session, TooFewSessions, "0 usable: nothing was taken"):
        use(gym, member, airport, CLASSES)
    there = {"member_id": member.member_id, "item_id": gym.spin.id, "now": NOW + DAY}
    assert why_not.why_not(session, **there, club_id=uptown.id) is None
    why = why_not.why_not(session, **there, club_id=airport.id)
    assert why
    assert (why.reason, why.sentence) == (
        Reason.NOT_AT_THIS_CLUB,
        f"7 Spin sessions can be used at Downtown and {uptown.name} only, not at this club.",
    )
    # 30 days after Mar 1 in Chicago, though New York is an hour ahead.
    [grant] = grants_of(session, member, gym.spin)
    assert grant.expires_at == datetime(2024, 4, 1, 5, tzinfo=UTC)
    assert not list(audit(session))


def test_home_is_the_club_of_the_membership_when_it_was_paid(gym: Gym, session: Session) -> None:
    """And stays so for what was paid before a move; sessions of a member's other clubs are passed over."""
    uptown = another(session, "Uptown")
    edit(session, gym.spin, GoodAt.HOME)
    member = gym.join("sub")
    tell(session, paid("in", "sub"))
    club_move.move_club(session, member, uptown, reason="moved", by=BY, now=NOW)
    tell(session, paid("later", "sub", at=NOW + timedelta(hours=1)))
    first, second = grants_of(session, member, gym.spin)
    assert [draw.grant_id for draw in use(gym, member, uptown).draws] == [second.id]
    assert [draw.grant_id for draw in use(gym, member, gym.club).draws] == [first.id]
    with refused(session, NotAtThisClub, "7 Spin sessions can be used at Downtown, 7 more only at"):
        use(gym, member, gym.club, CLASSES)
    assert {draw.grant_id for draw in use(gym, member, None, 14).draws} == {first.id, second.id}


@pytest.mark.parametrize("where", GoodAt)
def test_every_kind_of_grant_keeps_what_its_item_said(gym: Gym, session: Session, where: GoodAt) -> None:
    """A payment's, one given by hand, and an opening balance; a change of the item counts from then on."""
    uptown = another(session, "Uptown")
    edit(session, gym.spin, where, uptown.id)
    member = gym.join("sub")
    tell(session, paid("in", "sub"))
    adjustments.adjust(
        session, member_id=member.member_id, item_id=gym.spin.id, quantity=2, last_day=None,
        reason=AdjustmentReason.GOODWILL, note="a gift", alone_up_to=5, key=fresh("key"), by=BY, now=NOW,
    )  # fmt: skip
    act = actions.log(session, BY, "import", "balances")
    opening = Opening(1, member.member_id, gym.spin.id, 3, 1, None, None, "opening balance")
    entries.open_balances(session, [opening], action_id=act, used_before="used before", now=NOW)
    edit(session, gym.spin, GoodAt.LISTED, another(session, "Later").id)
    assert tuple(usable(gym, member, club) for club in (gym.club, uptown)) == {
        GoodAt.HOME: (12, 0), GoodAt.LISTED: (0, 12), GoodAt.ALL: (12, 12),
    }[where]  # fmt: skip


def test_a_club_that_an_item_lists_stays(gym: Gym, session: Session) -> None:
    uptown = another(session, "Uptown")
    with refused(session, ClubsMissing, "at least one club"):
        edit(session, gym.spin, GoodAt.LISTED)
    with refused(session, NotFound, "club"):
        edit(session, gym.spin, GoodAt.LISTED, 404)
    edit(session, gym.spin, GoodAt.LISTED, uptown.id)
    with refused(session, ClubInUse, r"items \(Spin\)"):
        clubs.delete_club(session, uptown)
    edit(session, gym.spin, GoodAt.ALL)
    clubs.delete_club(session, uptown)
