"""What a member has, what they had at any moment, and the running balance of their entries."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.ledger import adjustments
from models.ledger.adjustments import AdjustmentReason
from models.ledger.redemptions import give_back, redeem
from models.ledger.tables import CreditGrant
from models.members.memberships import Membership
from models.payments.facts import Fact, Linked, Reversed
from models.statements import statement
from models.statements.statement import Balance, EntryLine, GrantLine
from tests.models.gym import (
    BY,
    CLASSES,
    DUES,
    NOW,
    PAID_AT,
    TRAININGS,
    Gym,
    deliver,
    events,
    expire_all,
    fresh,
    grant_of,
    paid,
)
from tests.models.ledger.test_invariants import MemberOfAGym
from tests.models.yearly import MONTHS, by_the_year

DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
MODEST = settings(max_examples=8, stateful_step_count=20)
FEW = settings(MODEST, max_examples=3)


@pytest.fixture
def gym(gym: Gym) -> Gym:
    """Where entries are recorded by a clock that the test sets; until it does, at NOW."""
    default = (
        "ALTER TABLE ledger_entries ALTER recorded_at SET DEFAULT CAST(current_setting('test.clock') AS timestamptz)"
    )
    gym.session.execute(text(default))
    record_at(gym.session, NOW)
    gym.session.commit()
    return gym


def record_at(session: Session, now: datetime) -> None:
    session.execute(text("SELECT set_config('test.clock', :now, false)"), {"now": now.isoformat()})


def tell_at(session: Session, now: datetime, *said: Fact, late_credit: timedelta = timedelta(0)) -> None:
    record_at(session, now)
    deliver(session, events(*said), now=now, late_credit=late_credit)


def extend(session: Session, grant: CreditGrant, last_day: date, now: datetime) -> None:
    record_at(session, now)
    adjustments.extend(session, grant.id, last_day=last_day, reason="for the test", by=BY, now=now)


class Shown(NamedTuple):
    """All that a member was shown at a moment."""

    at: datetime
    balances: Sequence[Balance]
    grants: Sequence[GrantLine]
    entries: Sequence[EntryLine]


def show_now(session: Session, member: int, now: datetime) -> Shown:
    return Shown(
        now,
        statement.balances(session, member, now),
        statement.grants(session, member, now),
        statement.entries(session, member),
    )


def show_as_of(session: Session, member: int, at: datetime) -> Shown:
    return Shown(
        at,
        statement.balances(session, member, at, as_of=at),
        statement.grants(session, member, at, as_of=at),
        statement.entries(session, member, as_of=at),
    )


class RememberedMember(MemberOfAGym):
    """The same member, whose page somebody prints now and then."""

    def __init__(self) -> None:
        super().__init__()
        record_at(self.session, self.now)
        self.printed: list[Shown] = []

    @rule(days=st.integers(1, 20))
    def time_passes(self, days: int) -> None:
        self.printed.append(show_now(self.session, self.member, self.now))
        self.now += timedelta(days=days)
        record_at(self.session, self.now)

    def teardown(self) -> None:
        try:
            now = show_now(self.session, self.member, self.now)
            for shown in [*self.printed, now]:
                assert show_as_of(self.session, self.member, shown.at) == shown
            balance: dict[str, int] = {}
            of_grant: dict[int, int] = {}
            for entry in now.entries:
                balance[entry.item] = balance.get(entry.item, 0) + entry.quantity
                of_grant[entry.grant_id] = of_grant.get(entry.grant_id, 0) + entry.quantity
                assert (entry.balance, entry.grant_balance) == (balance[entry.item], of_grant[entry.grant_id])
            assert of_grant == {grant.grant_id: grant.remaining for grant in now.grants}
            assert now.entries == sorted(now.entries, key=lambda entry: (entry.occurred_at, entry.entry_id))
            assert balance == {
                item: sum(grant.remaining for grant in now.grants if grant.item == item) for item in balance
            }
            assert all(grant.forgiven <= (grant.reversed if self.forgiving else 0) for grant in now.grants)
        finally:
            super().teardown()


@pytest.mark.parametrize("tranches", [1, MONTHS])
@pytest.mark.parametrize("forgiving", [False, True], ids=["repaid", "forgiven"])
def test_as_of_any_moment_is_what_was_shown_at_that_moment(
    gym: Gym, session: Session, forgiving: bool, tranches: int
) -> None:
    class Machine(RememberedMember):
        pass

    if tranches > 1:
        by_the_year(gym)
    Machine.tranches = tranches
    Machine.gym, Machine.session, Machine.forgiving = gym, session, forgiving
    run_state_machine_as_test(Machine, settings=MODEST if tranches == 1 else FEW)


@pytest.fixture
def member(gym: Gym, session: Session) -> Membership:
    """Paid on the 1st: 8 classes until midnight of the 31st, 2 trainings for ever."""
    membership = gym.join("sub")
    tell_at(session, NOW, paid("in", "sub"))
    return membership


def usable(session: Session, member: Membership, at: datetime) -> dict[str, int]:
    return {row.item: row.usable for row in statement.balances(session, member.member_id, at, as_of=at)}


def test_what_was_recorded_later_is_not_in_it(gym: Gym, session: Session, member: Membership) -> None:
    """A refund of Monday that reached us on Wednesday is not in Tuesday's balance."""
    tell_at(session, NOW + 2 * DAY, Reversed("in", NOW, "refund:re", DUES, "USD"))
    assert usable(session, member, NOW - INSTANT) == {}
    assert usable(session, member, NOW) == {"Spin": CLASSES, "Training": TRAININGS}
    assert usable(session, member, NOW + 2 * DAY - INSTANT) == {"Spin": CLASSES, "Training": TRAININGS}
    assert usable(session, member, NOW + 2 * DAY) == {"Spin": 0, "Training": 0}
    for at, kinds in ((NOW + DAY, {"grant"}), (NOW + 2 * DAY, {"grant", "clawback"})):
        assert {entry.kind for entry in statement.entries(session, member.member_id, as_of=at)} == kinds


def test_expiring_goes_by_the_moment_written_down_or_not(gym: Gym, session: Session, member: Membership) -> None:
    expires = grant_of(session, member, gym.spin).expires_at
    assert expires is not None
    for _ in range(2):
        assert usable(session, member, expires - INSTANT) == {"Spin": CLASSES, "Training": TRAININGS}
        assert usable(session, member, expires) == {"Spin": 0, "Training": TRAININGS}
        record_at(session, expires + DAY)
        expire_all(session, expires + DAY)
    (before, _), (after, _) = (
        statement.grants(session, member.member_id, at, as_of=at) for at in (expires, expires + DAY)
    )
    assert (before.is_expired, before.remaining) == (True, CLASSES)
    assert (after.is_expired, after.remaining) == (True, 0)


def test_an_extension_counts_from_when_it_was_recorded(gym: Gym, session: Session, member: Membership) -> None:
    spin = grant_of(session, member, gym.spin)
    first = spin.expires_at
    assert first is not None
    extend(session, spin, date(2024, 4, 5), NOW + DAY)
    extend(session, spin, date(2024, 4, 9), NOW + 2 * DAY)
    seen = {
        at: statement.grants(session, member.member_id, at, as_of=at)[0].expires_at
        for at in (NOW, NOW + DAY - INSTANT, NOW + DAY, NOW + 2 * DAY)
    }
    assert list(seen.values()) == [first, first, first + 5 * DAY, first + 9 * DAY]
    (spin_now, _) = statement.balances(session, member.member_id, NOW, as_of=NOW)
    assert (spin_now.expires_next, spin_now.next_expiry) == (CLASSES, first)


def test_sessions_given_and_taken_by_hand_count_from_when_they_were(
    gym: Gym, session: Session, member: Membership
) -> None:
    for days, quantity in ((1, 3), (2, -1)):
        record_at(session, NOW + days * DAY)
        adjustments.adjust(
            session,
            member_id=member.member_id,
            item_id=gym.spin.id,
            quantity=quantity,
            last_day=date(2024, 3, 9),
            reason=AdjustmentReason.OTHER,
            note="for the test",
            alone_up_to=3,
            key=fresh("key"),
            by=BY,
            now=NOW + days * DAY,
        )
    moments = [NOW, NOW + DAY - INSTANT, NOW + DAY, NOW + 2 * DAY - INSTANT, NOW + 2 * DAY]
    assert [usable(session, member, at)["Spin"] for at in moments] == [8, 8, 11, 11, 10]
    seen = [statement.grants(session, member.member_id, at, as_of=at)[2:] for at in moments]
    assert [[(grant.quantity, grant.remaining) for grant in given] for given in seen] == [
        [],
        [],
        [(3, 3)],
        [(3, 3)],
        [(3, 2)],
    ]


def test_the_first_expiry_of_late_credited_sessions(gym: Gym, session: Session) -> None:
    """Their days count from the day they were credited, and did so before they were extended."""
    membership = gym.join("late")
    credited = PAID_AT + 10 * DAY
    tell_at(session, credited, paid("in_late", "late"), late_credit=DAY)
    spin = grant_of(session, membership, gym.spin)
    first = spin.expires_at
    assert first is not None
    assert first - credited > 30 * DAY
    extend(session, spin, first.date() + 5 * DAY, credited + DAY)
    assert statement.grants(session, membership.member_id, credited, as_of=credited)[0].expires_at == first


def test_a_lot_says_by_which_clubs_days_it_expires(gym: Gym, session: Session, member: Membership) -> None:
    """Of whose dues gave it, though they turned out to be part of another's payment."""
    island = Club(name="Island", time_zone="Pacific/Kiritimati", currency="USD")
    session.add(island)
    session.flush()
    islander = gym.join("island", club=island)
    tell_at(session, NOW, paid("under another name", "island"))
    tell_at(session, NOW, Linked("in", NOW, "under another name"))
    zones = [
        {(grant.time_zone, grant.given_by) for grant in statement.grants(session, one.member_id, NOW)}
        for one in (member, islander)
    ]
    assert zones == [{("America/Chicago", None)}, {("Pacific/Kiritimati", None)}]


def test_owed_used_and_left_as_they_stood(gym: Gym, session: Session, member: Membership) -> None:
    member_id, item_id = member.member_id, gym.spin.id
    record_at(session, NOW + DAY)
    used = redeem(session, member_id=member_id, item_id=item_id, quantity=5, key=fresh("key"), by=BY, now=NOW + DAY)
    record_at(session, NOW + 2 * DAY)
    give_back(session, redemption_id=used.redemption_id, key=fresh("key"), by=BY, now=NOW + 2 * DAY, quantity=1)
    tell_at(session, NOW + 3 * DAY, Reversed("in", NOW, "refund:re", DUES, "USD"))
    stood = [
        (grant.used, grant.remaining, grant.shortfall)
        for days in range(4)
        for grant in statement.grants(session, member_id, NOW, as_of=NOW + days * DAY)[:1]
    ]
    assert stood == [(0, 8, 0), (5, 3, 0), (4, 4, 0), (4, 0, 4)]
    owed = [statement.balances(session, member_id, NOW, as_of=NOW + days * DAY)[0].shortfall for days in range(4)]
    assert owed == [0, 0, 0, 4]


def test_a_grant_says_what_became_of_it(gym: Gym, session: Session) -> None:
    """5 used; the money of all 8 went back: owed where the club has shortfalls repaid, and else forgiven."""
    forgiving = gym.forgiving_club()
    for club, forgiven, owed in ((gym.club, 0, 5), (forgiving, 5, 0)):
        membership = gym.join(reference := fresh("sub"), club=club)
        tell_at(session, NOW, paid(f"in {reference}", reference))
        member_id = membership.member_id
        redeem(session, member_id=member_id, item_id=gym.spin.id, quantity=5, key=fresh("key"), by=BY, now=NOW)
        tell_at(session, NOW + DAY, Reversed(f"in {reference}", NOW + DAY, "refund:re", DUES, "USD"))
        spin, training = statement.grants(session, member_id, NOW + DAY)
        assert (spin.membership_id, spin.club_id, spin.club) == (membership.id, club.id, club.name)
        assert (spin.used, spin.reversed, spin.expired) == (5, CLASSES, 0)
        assert (spin.shortfall, spin.forgiven) == (owed, forgiven)
        assert (training.reversed, training.shortfall, training.forgiven) == (TRAININGS, 0, 0)


@pytest.mark.parametrize("forgiving", [False, True], ids=["repaid", "forgiven"])
def test_what_had_expired_or_was_taken_by_hand_is_not_forgiven(gym: Gym, session: Session, forgiving: bool) -> None:
    membership = gym.join("sub", club=gym.forgiving_club() if forgiving else gym.club)
    member_id, late = membership.member_id, NOW + 40 * DAY
    tell_at(session, NOW, paid("in", "sub"))
    redeem(session, member_id=member_id, item_id=gym.spin.id, quantity=2, key=fresh("key"), by=BY, now=NOW)
    adjustments.adjust(
        session,
        member_id=member_id,
        item_id=gym.spin.id,
        quantity=-1,
        last_day=None,
        reason=AdjustmentReason.OTHER,
        note="for the test",
        alone_up_to=3,
        key=fresh("key"),
        by=BY,
        now=NOW,
    )
    expire_all(session, late)
    tell_at(session, late, Reversed("in", late, "refund:re", DUES, "USD"))
    spin = statement.grants(session, member_id, late)[0]
    assert (spin.used, spin.expired, spin.reversed) == (2, CLASSES - 3, CLASSES)
    assert (spin.shortfall, spin.forgiven) == ((0, 2) if forgiving else (2, 0))


def test_a_grant_given_by_hand_is_of_no_membership(gym: Gym, session: Session, member: Membership) -> None:
    adjustments.adjust(
        session,
        member_id=member.member_id,
        item_id=gym.spin.id,
        quantity=1,
        last_day=None,
        reason=AdjustmentReason.GOODWILL,
        note="for the test",
        alone_up_to=3,
        key=fresh("key"),
        by=BY,
        now=NOW,
    )
    *_, given = statement.grants(session, member.member_id, NOW)
    assert (given.membership_id, given.club_id, given.club, given.given_by) == (None, None, None, BY.name)
    assert statement.grant(session, member.member_id, given.grant_id, NOW) == given
    assert statement.grant(session, gym.join().member_id, given.grant_id, NOW) is None


def test_pages_go_forward_through_all_grants(gym: Gym, session: Session, member: Membership) -> None:
    """The oldest first, by when they begin, whatever order they were made in."""
    for days in (3, 1, 2):
        tell_at(session, NOW + 4 * DAY, paid(f"in_{days}", "sub", at=PAID_AT + days * DAY))
    every = statement.grants(session, member.member_id, NOW)
    assert [grant.effective_at for grant in every] == sorted(grant.effective_at for grant in every)
    assert [grant.grant_id for grant in every] != sorted(grant.grant_id for grant in every)
    for as_of, expected in ((None, every), (NOW, statement.grants(session, member.member_id, NOW, as_of=NOW))):
        for limit in (1, 2, 3, len(expected), 100):
            found: list[GrantLine] = []
            cursor = None
            while True:
                page = statement.grant_page(session, member.member_id, NOW, limit=limit, after=cursor, as_of=as_of)
                assert 0 < len(page.grants) <= limit
                found += page.grants
                cursor = page.newer
                if cursor is None:
                    break
            assert found == list(expected)


def test_pages_go_back_through_all_entries(gym: Gym, session: Session, member: Membership) -> None:
    for days in range(5):
        record_at(session, NOW + days * DAY)
        redeem(
            session,
            member_id=member.member_id,
            item_id=gym.spin.id,
            quantity=1,
            key=fresh("key"),
            by=BY,
            now=NOW + days * DAY,
        )
    every = statement.entries(session, member.member_id)
    assert [entry.balance for entry in every if entry.item == "Spin"] == [8, 7, 6, 5, 4, 3]
    assert [entry.balance for entry in every if entry.item == "Training"] == [2]
    for as_of, expected in ((None, every), (NOW + 2 * DAY, every[:5])):
        for limit in (1, 2, 3, len(expected), 100):
            found: list[EntryLine] = []
            cursor = None
            while True:
                page = statement.page(session, member.member_id, limit=limit, before=cursor, as_of=as_of)
                assert 0 < len(page.entries) <= limit
                found += page.entries
                cursor = page.older
                if cursor is None:
                    break
            assert found == [*reversed(expected)]


def test_what_came_late_stands_where_it_happened(gym: Gym, session: Session, member: Membership) -> None:
    """A payment that reached us a week late stands before what was used meanwhile, and balances run in that order."""
    late = paid("in_late", "sub", at=NOW + DAY)
    record_at(session, NOW + 2 * DAY)
    redeem(
        session, member_id=member.member_id, item_id=gym.spin.id, quantity=3, key=fresh("key"), by=BY, now=NOW + 2 * DAY
    )
    seen = statement.entries(session, member.member_id)
    tell_at(session, NOW + 7 * DAY, late)
    spin = [one for one in statement.entries(session, member.member_id) if one.item == "Spin"]
    assert [(one.quantity, one.balance, one.grant_balance) for one in spin] == [(8, 8, 8), (8, 16, 8), (-3, 13, 5)]
    pages = [statement.page(session, member.member_id, limit=1, item_id=gym.spin.id)]
    while pages[-1].older:
        pages.append(statement.page(session, member.member_id, limit=1, item_id=gym.spin.id, before=pages[-1].older))
    assert [one.entries[0].entry_id for one in pages] == [one.entry_id for one in reversed(spin)]
    assert statement.entries(session, member.member_id, as_of=NOW + 3 * DAY) == seen
    assert statement.entry(session, member.member_id, spin[2].entry_id) == spin[2]


def test_nobody_elses_entries(gym: Gym, session: Session, member: Membership) -> None:
    other = gym.join("other")
    assert statement.page(session, other.member_id, limit=10) == ([], None)
    assert show_as_of(session, other.member_id, NOW) == (NOW, [], [], [])
