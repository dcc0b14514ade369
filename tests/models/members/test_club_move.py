"""A membership moves to another club: payments count by the club of their day, in whatever order all is told."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import permutations

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.clubs import Club, create_club, delete_club, edit_club
from models.errors import ClubInUse, KeyReused, ReasonMissing, SameClub, WrongCurrency
from models.ledger import adjustments
from models.ledger.redemptions import redeem
from models.members import club_move
from models.members.memberships import Membership
from models.members.signing_up import sign_up
from models.payments import settlement
from models.payments.facts import Restored, Reversed
from models.staff.actions import Action
from models.statements import statement
from tests.models.days import expires_at
from tests.models.gym import BY, CLASS_DAYS, CLASSES, DUES, Gym, grants_of, paid, refused, tell
from tests.models.yearly import by_the_year

CHICAGO, HONOLULU = "America/Chicago", "Pacific/Honolulu"
EVENING = datetime(2024, 3, 11, 4, 30, tzinfo=UTC)
"""March 10 in Honolulu, and in Chicago."""
NIGHT = datetime(2024, 3, 11, 6, tzinfo=UTC)
"""March 11 in Chicago, and still the 10th in Honolulu."""
MOVED = NIGHT + timedelta(hours=1)
LATER = MOVED + timedelta(hours=1)
LAST = datetime(2024, 3, 20, tzinfo=UTC)


@pytest.fixture
def member(gym: Gym) -> Membership:
    return gym.join("sub")


@pytest.fixture
def island(gym: Gym) -> Club:
    """Forgives shortfalls, and takes no refund as a whole one."""
    club = create_club(
        gym.session, name="Island", time_zone=HONOLULU, currency="USD", refund_fee_percent=0, refund_fee_most_minor=0
    )
    club.shortfall_policy = "forgive"
    gym.session.flush()
    return club


def move(gym: Gym, member: Membership, club: Club, now: datetime = MOVED) -> str:
    return club_move.move_club(gym.session, member, club, reason="moved house", by=BY, now=now)


def zones(session: Session, member: Membership) -> list[tuple[str | None, str | None]]:
    """Payment and zone of the days of each grant of classes."""
    lines = statement.grants(session, member.member_id, LAST)
    return [(one.payment, one.time_zone) for one in lines if one.item == "Spin"]


def last_moments(gym: Gym, member: Membership) -> list[datetime | None]:
    return [grant.expires_at for grant in grants_of(gym.session, member, gym.spin)]


def test_payments_from_then_on_count_by_the_days_of_the_new_club(gym: Gym, member: Membership, island: Club) -> None:
    tell(gym.session, paid("before", "sub", at=NIGHT), now=NIGHT)
    move(gym, member, island)
    tell(gym.session, paid("after", "sub", at=LATER), now=LATER)
    assert last_moments(gym, member) == [
        expires_at(NIGHT, CLASS_DAYS, CHICAGO),
        expires_at(LATER, CLASS_DAYS, HONOLULU),
    ]
    assert zones(gym.session, member) == [("before", CHICAGO), ("after", HONOLULU)]
    assert (member.club, member.club_at(NIGHT), member.club_at(MOVED)) == (island, gym.club, island)
    assert list(audit(gym.session)) == []


def test_in_whatever_order_it_is_told(gym: Gym, island: Club) -> None:
    """The payment before, the payment after, and the move: every order gives the same."""
    seen = set()
    for order, steps in enumerate(permutations(range(3))):
        member, told = gym.join(f"sub{order}"), [f"{order}before", f"{order}after"]
        acts: list[Callable[[], object]] = [
            lambda: tell(gym.session, paid(told[0], f"sub{order}", at=NIGHT), now=LAST),  # noqa: B023 -- called here
            lambda: tell(gym.session, paid(told[1], f"sub{order}", at=LATER), now=LAST),  # noqa: B023
            lambda: move(gym, member, island),  # noqa: B023
        ]
        for step in steps:
            acts[step]()
        settlement.settle(gym.session, _roots(gym.session, told), now=LAST, late_credit=timedelta(0))
        lines = {
            one.payment: one for one in statement.grants(gym.session, member.member_id, LAST) if one.item == "Spin"
        }
        seen.add(tuple((lines[one].expires_at, lines[one].time_zone, lines[one].quantity) for one in told))
    assert seen == {
        (
            (expires_at(NIGHT, CLASS_DAYS, CHICAGO), CHICAGO, CLASSES),
            (expires_at(LATER, CLASS_DAYS, HONOLULU), HONOLULU, CLASSES),
        )
    }


def _roots(session: Session, references: list[str]) -> list[int]:
    query = text("SELECT id FROM payments WHERE reference = ANY(:references)")
    return list(session.scalars(query, {"references": references}))


def test_settling_again_shifts_no_day_of_what_was_paid_before(gym: Gym, island: Club) -> None:
    """Not of the payment, nor of its tranches, whose numbers are local days."""
    by_the_year(gym)
    member = gym.join("sub")
    tell(gym.session, paid("year", "sub", at=NIGHT), now=NIGHT)
    before = [(one.id, one.tranche, one.effective_at, one.expires_at) for one in grants_of(gym.session, member)]
    assert len(before) == 24
    move(gym, member, island)
    tell(gym.session, Reversed("year", LATER, "re", 1, "USD"), Restored("year", LATER, "re", 1, "USD"), now=LATER)
    assert [(one.id, one.tranche, one.effective_at, one.expires_at) for one in grants_of(gym.session, member)] == before
    assert list(audit(gym.session)) == []


def test_the_rules_for_money_back_are_those_of_the_payments_club(gym: Gym, member: Membership, island: Club) -> None:
    """What is short of a full refund by a fee, and what was used: owed before the move, forgiven after."""
    for payment, at in (("before", NIGHT), ("after", LATER)):
        if payment == "after":
            move(gym, member, island)
        tell(gym.session, paid(payment, "sub", at=at), now=at)
        redeem(
            gym.session, member_id=member.member_id, item_id=gym.spin.id, quantity=CLASSES, key=payment, by=BY, now=at
        )
    for payment in ("before", "after"):
        tell(gym.session, Reversed(payment, LAST, payment, DUES - 100, "USD"), now=LAST)
    shown = {
        one.payment: (one.reversed, one.shortfall, one.forgiven)
        for one in statement.grants(gym.session, member.member_id, LAST)
        if one.item == "Spin"
    }
    assert shown == {"before": (CLASSES, CLASSES, 0), "after": (CLASSES - 1, 0, CLASSES - 1)}


def test_an_earlier_telling_can_bring_a_payment_back_to_the_old_club(
    gym: Gym, member: Membership, island: Club
) -> None:
    move(gym, member, island)
    tell(gym.session, paid("in", "sub", at=LATER), now=LATER)
    tell(gym.session, paid("in", "sub", at=NIGHT), now=LAST)
    assert last_moments(gym, member) == [expires_at(NIGHT, CLASS_DAYS, CHICAGO)]
    assert zones(gym.session, member) == [("in", CHICAGO)]


def test_there_and_back_and_on(gym: Gym, member: Membership, island: Club) -> None:
    """Also where two moves are entered for one moment, or the second machine's clock is behind."""
    move(gym, member, island)
    move(gym, member, gym.club, MOVED - timedelta(seconds=5))
    move(gym, member, island, LATER)
    gym.session.expire(member)
    moments = (NIGHT, MOVED - timedelta(seconds=1), MOVED, LATER)
    assert [member.club_at(at) for at in moments] == [gym.club, gym.club, gym.club, island]
    tell(gym.session, paid("in", "sub", at=MOVED), now=LAST)
    assert zones(gym.session, member) == [("in", CHICAGO)]


def test_what_was_given_by_hand_keeps_its_club(gym: Gym, member: Membership, island: Club) -> None:
    adjustments.adjust(
        gym.session, member_id=member.member_id, item_id=gym.spin.id, quantity=1, last_day=date(2024, 5, 1),
        reason=adjustments.AdjustmentReason.GOODWILL, note="gift", alone_up_to=9, key="g", by=BY, now=NIGHT,
    )  # fmt: skip
    move(gym, member, island)
    zone = text("SELECT time_zone FROM grant_clubs JOIN credit_grants g ON g.id = grant_id WHERE g.member_id = :member")
    assert list(gym.session.scalars(zone, {"member": member.member_id})) == [CHICAGO]


def test_the_preview_says_what_stays(gym: Gym, member: Membership, island: Club) -> None:
    tell(gym.session, paid("in", "sub", at=NIGHT), now=NIGHT)
    words = club_move.preview(gym.session, member, island)
    assert "from now on count by the days of Island." in words
    assert "the club forgives them" in words
    assert "keep the days and rules of Downtown: 2 grants with sessions left keep their last day" in words
    assert move(gym, member, island) == words
    act = gym.session.scalars(select(Action).where(Action.verb == "move club")).one()
    assert (act.subject, act.reason, act.member_id) == (
        f"membership {member.id} from club {gym.club.id}, Downtown, to club {island.id}, Island",
        "moved house",
        member.member_id,
    )


def test_what_cannot_be_moved(gym: Gym, member: Membership) -> None:
    euros = create_club(gym.session, name="Paris", time_zone="Europe/Paris", currency="EUR")
    with refused(gym.session, WrongCurrency, "the club 'Paris' in EUR"):
        move(gym, member, euros)
    with refused(gym.session, SameClub, "is at 'Downtown' already"):
        move(gym, member, gym.club)
    with refused(gym.session, ReasonMissing, "Say why"):
        club_move.move_club(gym.session, member, euros, reason=" ", by=BY, now=MOVED)
    gym.session.expire(member)
    assert (member.club, member.earlier_clubs) == (gym.club, [])


def test_a_club_that_a_membership_had_stays(gym: Gym, member: Membership, island: Club) -> None:
    move(gym, member, island)
    with refused(gym.session, ClubInUse, "1 membership"):
        delete_club(gym.session, gym.club)
    with refused(gym.session, ClubInUse, "its currency stays USD"):
        edit_club(gym.session, gym.club, currency="EUR")


def test_a_sign_up_that_is_sent_again_after_the_move(gym: Gym, island: Club) -> None:
    def again(club: Club) -> Membership:
        return sign_up(
            gym.session, email="ada@example.com", name="Ada", club=club, term=gym.term, picks=[gym.spin, gym.training],
            by=BY, now=NIGHT, key="k",
        )  # fmt: skip

    made = again(gym.club)
    gym.session.refresh(made)
    move(gym, made, island, datetime.now(UTC))
    assert again(gym.club) is made
    with pytest.raises(KeyReused):
        again(island)
