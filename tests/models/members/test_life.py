"""Freezes, closures and ends as people record them: what is refused, what is kept, and two people at once."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from gettext import NullTranslations

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.clubs import Club
from models.catalogue.days import last_day
from models.catalogue.offers import edit_term
from models.catalogue.terms import OnEnd
from models.database.engine import make_engine, sessions
from models.errors import (
    AlreadyEnded,
    DaysBackwards,
    EndsTooEarly,
    LastDayMissing,
    NotChanged,
    ReasonMissing,
    SppError,
    TooLong,
    WrongState,
    YearWrong,
)  # fmt: skip
from models.members import life
from models.members.life import Done, LifeAct, Scope
from models.members.memberships import Membership
from models.payments import living, settlement
from models.staff.actions import Action
from runtime.language import Language, speaking
from runtime.settings import DatabaseRole
from tests.database_roles import as_role
from tests.models.gym import BY, NOW, PAID_AT, Gym, expire_all, grant_of, paid, tell, together
from tests.models.members.plans import move

ZONE = "America/Chicago"
OF_TODAY = timedelta(0)
"""Nothing is credited late."""


def march(day: int) -> date:
    return date(2024, 3, day)


def freeze(session: Session, held: Membership, first: date, last: date | None, reason: str = "hurt") -> LifeAct:
    return life.freeze(session, held, first=first, last=last, reason=reason, by=BY, now=NOW).act


def end(session: Session, held: Membership, last: date) -> LifeAct:
    return life.end(session, held, last=last, reason="moves away", by=BY, now=NOW).act


def close(session: Session, club: Club, first: date, last: date) -> LifeAct:
    return life.close(session, club, scope=Scope.ALL, first=first, last=last, reason="snow", by=BY, now=NOW).act


def change(session: Session, act: LifeAct, last: date | None) -> LifeAct:
    return life.change(session, act, last=last, reason="longer", by=BY, now=NOW).act


def undo(session: Session, act: LifeAct) -> LifeAct:
    return life.undo(session, act, reason="a mistake", by=BY, now=NOW).act


class TestBadInput:
    @pytest.mark.parametrize(
        ("act", "error", "says", "field"),
        [
            (
                lambda g, m: freeze(g.session, m, march(9), march(8)),
                DaysBackwards,
                "Mar 8, 2024, is before",
                "last_day",
            ),
            (lambda g, m: freeze(g.session, m, date(2042, 3, 9), None), YearWrong, "Check the year", "first_day"),
            (lambda g, m: freeze(g.session, m, date(204, 3, 9), None), YearWrong, "Mar 9, 204 is more", "first_day"),
            (lambda g, m: freeze(g.session, m, march(9), date(2042, 3, 9)), YearWrong, "5 years", "last_day"),
            (lambda g, m: freeze(g.session, m, march(9), date(2028, 3, 9)), TooLong, "three years", "last_day"),
            (lambda g, m: freeze(g.session, m, march(9), None, " "), ReasonMissing, "Say why", "reason"),
            (lambda g, _: close(g.session, g.club, march(9), march(8)), DaysBackwards, "is before", "last_day"),
            (lambda g, _: close(g.session, g.club, march(9), date(2034, 3, 9)), YearWrong, "5 years", "last_day"),
            (lambda g, _: close(g.session, g.club, march(9), date(2026, 3, 9)), TooLong, "a year", "last_day"),
            (lambda g, m: end(g.session, m, date(2042, 3, 9)), YearWrong, "Check the year", "last_day"),
            (lambda g, m: end(g.session, m, date(2024, 2, 29)), EndsTooEarly, "began on Mar 1, 2024", "last_day"),
        ],
    )
    def test_it_is_refused_in_words_beside_its_field_and_nothing_is_written(
        self, gym: Gym, member: Membership, act: Callable[[Gym, Membership], object], error: type[SppError], says: str,
        field: str,
    ) -> None:  # fmt: skip
        before = written(gym.session)
        with pytest.raises(error, match=says) as refused:
            act(gym, member)
        assert refused.value.field == field
        assert written(gym.session) == before

    def test_the_day_of_the_sign_up_is_the_earliest_end(self, gym: Gym, member: Membership) -> None:
        act = end(gym.session, member, march(1))
        with pytest.raises(EndsTooEarly):
            change(gym.session, act, date(2024, 2, 29))

    def test_a_membership_ends_once(self, gym: Gym, member: Membership) -> None:
        act = end(gym.session, member, march(20))
        with pytest.raises(AlreadyEnded, match="its last day is Mar 20, 2024"):
            end(gym.session, member, march(25))
        undo(gym.session, act)
        assert end(gym.session, member, march(25)).last_day == march(25)

    def test_what_was_changed_or_undone_by_now_is_not_changed_again(self, gym: Gym, member: Membership) -> None:
        act = freeze(gym.session, member, march(5), march(9))
        later = change(gym.session, act, march(12))
        for again in (lambda: change(gym.session, act, march(10)), lambda: undo(gym.session, act)):
            with pytest.raises(WrongState, match="changed or undone by now"):
                again()
        undone = undo(gym.session, later)
        for again in (lambda: undo(gym.session, later), lambda: undo(gym.session, undone)):
            with pytest.raises(WrongState, match="so it cannot be undone"):
                again()

    def test_the_same_day_again_is_no_change(self, gym: Gym, member: Membership) -> None:
        act = freeze(gym.session, member, march(5), march(9))
        with pytest.raises(NotChanged):
            change(gym.session, act, march(9))

    def test_a_change_is_checked_like_the_first(self, gym: Gym, member: Membership) -> None:
        frozen = freeze(gym.session, member, march(5), march(9))
        with pytest.raises(DaysBackwards):
            change(gym.session, frozen, march(4))
        for act in (end(gym.session, member, march(20)), close(gym.session, gym.club, march(5), march(9))):
            with pytest.raises(LastDayMissing):
                change(gym.session, act, None)
        assert change(gym.session, frozen, None).days == "from Mar 5, 2024 on"

    def test_a_thousand_overlapping_freezes_are_one(self, gym: Gym, member: Membership) -> None:
        tell(gym.session, paid("in", "sub"))
        for number in range(30):
            freeze(gym.session, member, march(2 + number), march(31))
        gym.session.execute(_FORTY_TIMES)
        settlement.settle_matched(gym.session, now=NOW, late_credit=OF_TODAY)
        assert usable_to(gym, member) == date(2024, 4, 30)
        assert list(audit(gym.session)) == []


_FORTY_TIMES = text("""
    INSERT INTO life_acts (kind, membership_id, first_day, last_day, undone, action_id)
    SELECT kind, membership_id, first_day, last_day, false, action_id FROM life_acts, generate_series(1, 40)
""")


def written(session: Session) -> tuple[int, ...]:
    return tuple(session.scalar(select(func.count()).select_from(table)) or 0 for table in (LifeAct, Action))


def usable_to(gym: Gym, held: Membership) -> date | None:
    gym.session.expire_all()
    expires = grant_of(gym.session, held, gym.spin).expires_at
    return last_day(expires, ZONE) if expires else None


def test_the_terms_of_its_last_day_decide_also_about_what_was_paid_under_earlier_ones(
    gym: Gym, member: Membership
) -> None:
    tell(gym.session, paid("in", "sub"))
    end(gym.session, member, march(20))
    settlement.settle_matched(gym.session, now=NOW, late_credit=OF_TODAY)
    assert usable_to(gym, member) == march(31)
    edit_term(gym.session, gym.term, on_end=OnEnd.LAST_DAY)
    move(gym, member)
    settlement.settle_matched(gym.session, now=NOW, late_credit=OF_TODAY)
    assert usable_to(gym, member) == march(20)
    assert list(audit(gym.session)) == []


@pytest.mark.parametrize(
    ("scope", "first", "last", "until"),
    [
        (Scope.CLASS, march(31), date(2024, 4, 1), date(2024, 4, 2)),
        (Scope.ALL, march(1), march(2), date(2024, 4, 1)),
        (Scope.ALL, date(2024, 4, 1), date(2024, 4, 9), march(31)),
        (Scope.PERSONAL_TRAINING, march(5), march(9), march(31)),
    ],
)
def test_a_closure_moves_what_can_be_used_on_its_days(
    gym: Gym, member: Membership, scope: Scope, first: date, last: date, until: date
) -> None:
    tell(gym.session, paid("in", "sub"))
    life.close(gym.session, gym.club, scope=scope, first=first, last=last, reason="snow", by=BY, now=NOW)
    settlement.settle_closures(gym.session, now=NOW, late_credit=OF_TODAY)
    assert usable_to(gym, member) == until
    assert list(audit(gym.session)) == []


class TestHistory:
    def test_every_version_is_kept_with_who_and_why(self, gym: Gym, member: Membership) -> None:
        first = freeze(gym.session, member, march(5), None)
        second = change(gym.session, first, march(9))
        third = undo(gym.session, second)
        kept = gym.session.scalars(select(LifeAct).order_by(LifeAct.id)).all()
        assert [(act.replaces, act.last_day, act.undone) for act in kept] == [
            (None, None, False),
            (first.id, march(9), False),
            (second.id, march(9), True),
        ]
        assert [(act.action.actor, act.action.verb, act.action.reason, act.action.subject) for act in kept] == [
            (BY[0], "freeze", "hurt", f"membership {member.id}, from Mar 5, 2024 on"),
            (BY[0], "change freeze", "longer", f"membership {member.id}, from Mar 5, 2024 to Mar 9, 2024"),
            (BY[0], "undo freeze", "a mistake", f"membership {member.id}, from Mar 5, 2024 to Mar 9, 2024"),
        ]
        assert {act.action.member_id for act in kept} == {member.member_id}
        assert third.undone
        assert life.in_force(gym.session, membership_id=member.id) == []

    def test_the_log_is_in_english_whoever_acts(self, gym: Gym, member: Membership) -> None:
        with speaking(Language("es", NullTranslations())):
            act = freeze(gym.session, member, march(5), march(9))
            assert act.days == "from 5 mar 2024 to 9 mar 2024"
        assert act.action.subject == f"membership {member.id}, from Mar 5, 2024 to Mar 9, 2024"

    def test_what_counts_is_listed_by_its_days(self, gym: Gym, member: Membership) -> None:
        later, sooner = freeze(gym.session, member, march(20), None), freeze(gym.session, member, march(5), march(9))
        closure = close(gym.session, gym.club, march(7), march(7))
        assert life.in_force(gym.session, membership_id=member.id) == [sooner, later]
        assert life.in_force(gym.session, club_id=gym.club.id) == [closure]

    @pytest.mark.parametrize("change", ["UPDATE life_acts SET last_day = last_day + 1", "DELETE FROM life_acts"])
    def test_no_act_is_ever_changed(self, gym: Gym, member: Membership, change: str) -> None:
        freeze(gym.session, member, march(5), march(9))
        with pytest.raises(DBAPIError, match="append-only"), gym.session.begin_nested():
            gym.session.execute(text(change))


class TestAtOnce:
    """Real threads, each with a transaction of its own."""

    def test_of_two_people_who_end_it_one_is_told_that_it_ended(self, open_gym: Gym, engine: Engine) -> None:
        held = open_gym.join("sub")
        open_gym.session.commit()
        ended = together(engine, [lambda s: end(s, s.get_one(Membership, held.id), march(20)).id] * 4)
        assert sorted(type(one).__name__ for one in ended) == ["AlreadyEnded"] * 3 + ["int"]

    def test_of_two_people_who_change_or_undo_it_one_is_told_that_it_changed(
        self, open_gym: Gym, engine: Engine
    ) -> None:
        held = open_gym.join("sub")
        act = freeze(open_gym.session, held, march(5), march(9))
        open_gym.session.commit()
        jobs = [
            lambda s: change(s, s.get_one(LifeAct, act.id), march(12)).id,
            lambda s: undo(s, s.get_one(LifeAct, act.id)).id,
        ]
        ended = together(engine, jobs * 2)
        assert sorted(type(one).__name__ for one in ended) == ["WrongState"] * 3 + ["int"]

    def test_a_payment_that_settles_while_it_is_frozen_misses_no_day(self, open_gym: Gym, engine: Engine) -> None:
        session = open_gym.session
        held = [open_gym.join(f"sub_{number}") for number in range(6)]
        session.commit()

        def told(number: int) -> Callable[[Session], object]:
            return lambda s: tell(s, paid(f"in_{number}", f"sub_{number}"))

        def frozen(number: int) -> Callable[[Session], object]:
            return lambda s: freeze(s, s.get_one(Membership, held[number].id), march(5), march(9)).id

        ended = together(engine, [job(number) for number in range(6) for job in (told, frozen)])
        assert not [one for one in ended if isinstance(one, Exception)]
        settlement.settle_matched(session, now=NOW, late_credit=OF_TODAY)
        session.commit()
        assert [usable_to(open_gym, one) for one in held] == [date(2024, 4, 5)] * 6
        assert list(audit(session)) == []


class TestRoles:
    """Each process by its own role in the database."""

    def test_the_console_freezes_and_settles_at_once_also_what_had_expired(self, open_gym: Gym, engine: Engine) -> None:
        session, held = open_gym.session, open_gym.join("sub")
        tell(session, paid("in", "sub"))
        expire_all(session, datetime(2024, 6, 1, tzinfo=PAID_AT.tzinfo))
        session.commit()

        def act(console: Session) -> Done:
            mine = console.get_one(Membership, held.id)
            return life.freeze(console, mine, first=march(5), last=march(9), reason="hurt", by=BY, now=NOW)

        as_one_of(
            engine, DatabaseRole.CONSOLE, lambda s: living.apply(s, lambda: act(s), now=NOW, late_credit=OF_TODAY)
        )
        assert usable_to(open_gym, held) == date(2024, 4, 5)
        assert grant_of(session, held, open_gym.spin).remaining == 8

    def test_the_worker_settles_a_closure_and_changes_no_act(self, open_gym: Gym, engine: Engine) -> None:
        session, held = open_gym.session, open_gym.join("sub")
        tell(session, paid("in", "sub"))
        session.commit()

        def closes(console: Session) -> LifeAct:
            act = close(console, console.get_one(Club, open_gym.club.id), march(5), march(8))
            return change(console, act, march(9))

        as_one_of(engine, DatabaseRole.CONSOLE, closes)
        assert session.scalar(text("SELECT count(*) FROM closure_walks")) == 1, "one walk in the place of the other"
        session.commit()
        as_one_of(engine, DatabaseRole.WORKER, lambda s: settlement.settle_closures(s, now=NOW, late_credit=OF_TODAY))
        assert usable_to(open_gym, held) == date(2024, 4, 5)
        with pytest.raises(DBAPIError, match="permission denied"):
            as_one_of(engine, DatabaseRole.WORKER, lambda s: s.execute(text("UPDATE life_acts SET last_day = now()")))


def as_one_of(engine: Engine, role: DatabaseRole, work: Callable[[Session], object]) -> None:
    mine = make_engine(as_role(engine.url.render_as_string(hide_password=False), role))
    try:
        with sessions(mine).begin() as session:
            work(session)
    finally:
        mine.dispose()
