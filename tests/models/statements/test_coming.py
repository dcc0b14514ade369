"""Sessions of later tranches are told as coming, with their days, until each of these days begins."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.members.memberships import Membership
from models.payments.facts import Paid, Reversed
from models.statements import dues, entry_wording, expiring, explanation, statement
from models.statements.dues import Gave
from models.statements.statement import Balance, Coming, GrantLine
from tests.models.gym import CLASSES, DUES, Gym, expire_all, paid, tell
from tests.models.statements.test_statement import record_at, tell_at
from tests.models.yearly import FEB_28, MONTHS, PAID, by_the_year, yearly_member

DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)
MAR_5 = datetime(2023, 3, 5, 18, tzinfo=UTC)
LAST_DAY = date(2023, 12, 31)


@pytest.fixture
def gym(gym: Gym) -> Gym:
    """Where entries are recorded by a clock that the test sets."""
    default = (
        "ALTER TABLE ledger_entries ALTER recorded_at SET DEFAULT CAST(current_setting('test.clock') AS timestamptz)"
    )
    gym.session.execute(text(default))
    record_at(gym.session, PAID)
    gym.session.commit()
    return gym


@pytest.fixture
def member(gym: Gym) -> Membership:
    return yearly_member(gym)


def spin(session: Session, member: Membership, now: datetime, as_of: datetime | None = None) -> Balance:
    return next(row for row in statement.balances(session, member.member_id, now, as_of=as_of) if row.item == "Spin")


def spins(session: Session, member: Membership, now: datetime) -> list[GrantLine]:
    return [grant for grant in statement.grants(session, member.member_id, now) if grant.item == "Spin"]


def test_what_is_coming_stands_beside_what_is_usable(session: Session, member: Membership) -> None:
    balance = spin(session, member, PAID)
    assert (balance.usable, balance.coming) == (CLASSES, CLASSES * 11)
    assert balance.comes_next == Coming(date(2023, 2, 28), FEB_28, CLASSES)
    days = [one.day for one in balance.coming_days]
    assert days[:3] == [date(2023, 2, 28), date(2023, 3, 31), date(2023, 4, 30)]
    assert (len(days), days[-1]) == (11, LAST_DAY)


def test_it_is_usable_from_the_beginning_of_its_day(session: Session, member: Membership) -> None:
    assert [
        (one.usable, one.coming) for one in (spin(session, member, FEB_28 - INSTANT), spin(session, member, FEB_28))
    ] == [
        (CLASSES, CLASSES * 11),
        (CLASSES * 2, CLASSES * 10),
    ]
    grants = spins(session, member, FEB_28)
    assert [grant.is_coming for grant in grants] == [False, False] + [True] * 10
    assert [grant.usable_from for grant in grants[:2]] == [None, date(2023, 2, 28)]


def test_it_is_no_part_of_what_expires_next(session: Session, member: Membership) -> None:
    balance = spin(session, member, PAID)
    assert (balance.expires_next, balance.next_expiry) == (CLASSES, datetime(2023, 3, 3, 6, tzinfo=UTC))
    expire_all(session, balance.next_expiry or PAID)
    assert spin(session, member, PAID + 40 * DAY).coming == CLASSES * 10


def test_nothing_is_coming_where_all_is_usable_at_once(gym: Gym, session: Session) -> None:
    other = gym.join("monthly")
    tell(session, paid("in", "monthly", at=PAID), now=PAID)
    balance = spin(session, other, PAID)
    assert (balance.coming, balance.comes_next, entry_wording.coming_in_words(balance, str)) == (0, None, "")


def test_as_of_a_moment_it_is_what_was_coming_then(gym: Gym, session: Session, member: Membership) -> None:
    shown = {at: spin(session, member, at) for at in (PAID, FEB_28)}
    tell_at(session, MAR_5, Reversed("in", MAR_5, "refund:re", DUES // 2, "USD"))
    shown[MAR_5] = spin(session, member, MAR_5)
    assert [one.coming // CLASSES for one in shown.values()] == [11, 10, 4]
    for at, balance in shown.items():
        assert spin(session, member, MAR_5 + DAY, as_of=at) == balance


def test_in_words_with_the_next_day(session: Session, member: Membership) -> None:
    words = [
        entry_wording.coming_in_words(spin(session, member, at), str)
        for at in (PAID, datetime(2023, 12, 5, tzinfo=UTC))
    ]
    assert words == ["88 coming, next 8 on 2023-02-28", "8 coming on 2023-12-31"]
    states = {grant.is_coming: entry_wording.grant_states(grant, PAID) for grant in spins(session, member, PAID)}
    assert states == {False: [], True: [entry_wording.State("coming", False)]}


def test_each_entry_names_the_day_of_its_tranche(session: Session, member: Membership) -> None:
    entries = [one for one in statement.entries(session, member.member_id) if one.item == "Spin"]
    assert [one.usable_from for one in entries[:2]] == [None, date(2023, 2, 28)]
    assert {entry_wording.entry_in_words(one) for one in entries} == {"Payment credited"}
    assert [one.balance for one in entries] == [CLASSES * each for each in range(1, MONTHS + 1)]


def test_the_pages_of_a_membership_tell_the_parts_and_the_period(gym: Gym, session: Session) -> None:
    by_the_year(gym)
    member = gym.join("sub")
    covers = (PAID, datetime(2024, 1, 31, 18, tzinfo=UTC))
    tell(session, Paid("in", PAID, DUES, "USD", ("sub",), covers=covers), now=PAID)
    [payment] = dues.page(session, member.id, limit=9).payments
    assert payment.gave == [Gave("Spin", 96, 0, MONTHS, LAST_DAY), Gave("Training", 24, 0, MONTHS, LAST_DAY)]
    assert payment.covers == covers


def test_an_explanation_tells_the_tranche_and_what_was_paid(gym: Gym, session: Session) -> None:
    by_the_year(gym)
    member = gym.join("sub")
    told = Paid("in", PAID, DUES - 500, "USD", ("sub",), due_minor=DUES + 500, settled_minor=DUES)
    tell(session, told, now=PAID)
    entry = statement.entries(session, member.member_id)[-1]
    why = explanation.explain(session, member.member_id, entry.entry_id, PAID)
    assert why is not None
    assert why.history is not None
    assert (why.grant.usable_from, why.grant.is_coming, why.history.paid) == (LAST_DAY, True, told)
    assert [one.membership_id for one in why.history.memberships] == [member.id]


class TestMoreThanFirstKnown:
    """Half of the dues were told first: the other half makes the grant larger."""

    @pytest.fixture
    def member(self, gym: Gym, session: Session) -> Membership:
        member = gym.join("sub")
        for days, part in ((0, "card"), (2, "voucher")):
            tell_at(session, PAID + days * DAY, Paid("in", PAID, DUES // 2, "USD", ("sub",), part=part))
        return member

    def test_as_of_a_moment_before_the_grant_is_as_it_was(self, session: Session, member: Membership) -> None:
        seen = [statement.grants(session, member.member_id, PAID, as_of=PAID + days * DAY)[0] for days in (1, 2)]
        assert [(one.quantity, one.remaining) for one in seen] == [(CLASSES // 2,) * 2, (CLASSES,) * 2]
        assert statement.grants(session, member.member_id, PAID + 2 * DAY)[0] == seen[1]
        assert (seen[1].payment, seen[1].note) == ("in", None)

    def test_the_entry_says_so(self, session: Session, member: Membership) -> None:
        entries = [one for one in statement.entries(session, member.member_id) if one.item == "Spin"]
        told = [(entry_wording.entry_in_words(one), entry_wording.note_in_words(one), one.balance) for one in entries]
        assert told == [("Payment credited", "", 4), ("Payment worth more than was known", "", CLASSES)]


class TestExpiring:
    def test_a_coming_one_counts_by_its_own_last_day(self, gym: Gym, session: Session, member: Membership) -> None:
        assert [(one.item, one.sessions) for one in expiring.summary(session, PAID, days=31)] == [("Spin", CLASSES)]
        found = expiring.batch(session, PAID, days=60)
        assert [(one.last_day, one.usable_from) for one in found] == [
            (date(2023, 3, 2), None),
            (date(2023, 3, 30), date(2023, 2, 28)),
        ]


def test_the_audit_compares_what_is_coming_too(session: Session, member: Membership) -> None:
    coming = spins(session, member, PAID)[-1].grant_id
    with session.begin_nested() as undone:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        later = "UPDATE credit_grants SET effective_at = now() + interval '1 day', expires_at = NULL WHERE id = :id"
        session.execute(text(later), {"id": coming})
        session.execute(text("UPDATE credit_grants SET remaining = remaining - 1 WHERE id = :id"), {"id": coming})
        told = [one.what for one in audit(session) if one.what.startswith("member")]
        assert len(told) == 1
        assert ", 7 coming, short 0; the entries come to " in told[0]
        assert told[0].endswith(", 8 coming, short 0")
        undone.rollback()
