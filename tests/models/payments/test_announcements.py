"""What the processor says of a subscription: proposals, their answers, and the order of all that."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import permutations

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.catalogue.clubs import edit_club
from models.errors import AnnouncementOver
from models.members import life
from models.members.memberships import Membership, add_billing_reference
from models.payments import announcements
from models.payments.announcements import Announcement
from models.payments.facts import Announced, Change, Fact, Paid, Replaced
from models.payments.proposals import Does
from models.payments.references import Payment
from models.staff.actions import BY_THE_PROVIDER, Action
from runtime.language import speaking
from tests.models.gym import BY, DUES, ENDPOINT, Gym, tell
from tests.models.speech import spanish

PROCESSORS = {ENDPOINT: "stripe"}
NOW = datetime(2026, 1, 20, 18, tzinfo=UTC)


def january(day: int, hour: int = 18, month: int = 1) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


JAN_31 = january(31)


def ends(told: int, at: datetime = JAN_31, reference: str = "sub") -> Announced:
    return Announced(reference, january(told), Change.ENDS, at)


def says(told: int, what: Change, reference: str = "sub") -> Announced:
    return Announced(reference, january(told), what)


def open_of(gym: Gym, held: Membership) -> list[Announcement]:
    """Those of the membership, which are the same as in the list of all."""
    found = announcements.of_memberships(gym.session, [held.id], PROCESSORS)
    every = announcements.every(gym.session, PROCESSORS)
    assert [one for one in every if one.membership_id == held.id] == found
    return found


def effects(gym: Gym, held: Membership) -> list[tuple[object, ...]]:
    return [one.proposal.effect[:3] for one in open_of(gym, held)]


def apply(gym: Gym, held: Membership) -> None:
    (one,) = open_of(gym, held)
    announcements.apply(gym.session, one, by=BY, now=NOW)


def dismiss(gym: Gym, held: Membership) -> None:
    (one,) = open_of(gym, held)
    announcements.dismiss(gym.session, one, by=BY, now=NOW)


def lived(gym: Gym, held: Membership) -> list[tuple[str, date | None, date | None]]:
    acts = life.in_force(gym.session, membership_id=held.id)
    return [(act.kind, act.first_day, act.last_day) for act in acts]


def test_an_end_is_a_proposal_until_it_is_applied(gym: Gym) -> None:
    held = gym.join("sub")
    tell(gym.session, ends(5))
    (one,) = open_of(gym, held)
    assert one.words(NOW) == "Stripe says that this subscription ends on Jan 31, 2026"
    assert one.words(january(2, month=2)) == "Stripe says that this subscription ended on Jan 31, 2026"
    assert lived(gym, held) == []
    apply(gym, held)
    assert lived(gym, held) == [("end", None, date(2026, 1, 31))]
    assert open_of(gym, held) == []
    act = gym.session.scalars(select(Action).order_by(Action.id.desc())).first()
    assert act
    assert (act.verb, act.actor, act.reason) == ("end membership", BY.name, one.words(NOW))


def test_its_last_day_is_a_day_of_the_club(gym: Gym) -> None:
    held = gym.join("sub")
    tell(gym.session, ends(5, january(1, 6, month=2)))  # midnight in Chicago
    assert effects(gym, held) == [(Does.END, None, date(2026, 1, 31))]


def test_dismissed_it_stays_closed_however_often_it_is_told(gym: Gym) -> None:
    held = gym.join("sub")
    tell(gym.session, ends(5))
    dismiss(gym, held)
    tell(gym.session, ends(6), ends(4))
    assert open_of(gym, held) == []
    assert lived(gym, held) == []


def test_what_is_kept_of_an_answer_is_in_english(gym: Gym) -> None:
    held = gym.join("sub")
    tell(gym.session, ends(5))
    said = "{who} says that this subscription ends on {last}"
    with speaking(spanish({said: "{who} dice que termina el {last}"})):
        assert open_of(gym, held)[0].words(NOW) == "Stripe dice que termina el 31 ene 2026"
        dismiss(gym, held)
    act = gym.session.scalars(select(Action).order_by(Action.id.desc())).first()
    assert act
    assert act.reason == "Stripe says that this subscription ends on Jan 31, 2026"


def test_told_anew_after_it_was_taken_back_it_is_open_again(gym: Gym) -> None:
    held = gym.join("sub")
    tell(gym.session, ends(5))
    dismiss(gym, held)
    tell(gym.session, ends(8), says(7, Change.GOES_ON))
    assert effects(gym, held) == [(Does.END, None, date(2026, 1, 31))]


def test_taken_back_it_proposes_to_reopen_only_what_it_had_ended(gym: Gym) -> None:
    held, other = gym.join("sub"), gym.join("other")
    tell(gym.session, ends(5), ends(5, reference="other"))
    apply(gym, held)
    life.end(gym.session, other, last=date(2026, 2, 5), reason="moves", by=BY, now=NOW)
    tell(gym.session, says(7, Change.GOES_ON), says(7, Change.GOES_ON, "other"))
    assert effects(gym, held) == [(Does.REOPEN, None, None)]
    assert open_of(gym, other) == []
    apply(gym, held)
    assert lived(gym, held) == []
    assert open_of(gym, held) == []


def test_an_end_that_staff_recorded_already_is_no_news(gym: Gym) -> None:
    held = gym.join("sub")
    life.end(gym.session, held, last=date(2026, 1, 31), reason="moves", by=BY, now=NOW)
    tell(gym.session, ends(5))
    assert open_of(gym, held) == []


def test_an_end_on_another_day_moves_it(gym: Gym) -> None:
    held = gym.join("sub")
    tell(gym.session, ends(5))
    apply(gym, held)
    tell(gym.session, ends(9, january(12)))
    assert effects(gym, held) == [(Does.MOVE_END, None, date(2026, 1, 12))]
    apply(gym, held)
    assert lived(gym, held) == [("end", None, date(2026, 1, 12))]


def test_a_mandate_that_ends_after_the_membership_is_no_news(gym: Gym) -> None:
    held = gym.join("sub", "mandate")
    tell(gym.session, ends(5))
    apply(gym, held)
    tell(gym.session, ends(10, january(3, month=3), "mandate"))
    assert open_of(gym, held) == []


def test_a_pause_and_its_end(gym: Gym) -> None:
    held = gym.join("sub")
    tell(gym.session, says(5, Change.PAUSED))
    (one,) = open_of(gym, held)
    assert one.words(NOW) == "Stripe says that this subscription is paused since Jan 5, 2026"
    apply(gym, held)
    assert lived(gym, held) == [("freeze", date(2026, 1, 5), None)]
    tell(gym.session, says(12, Change.RESUMED))
    assert effects(gym, held) == [(Does.END_FREEZE, None, date(2026, 1, 11))]
    apply(gym, held)
    assert lived(gym, held) == [("freeze", date(2026, 1, 5), date(2026, 1, 11))]
    assert open_of(gym, held) == []


def test_a_pause_of_which_we_hear_when_it_is_over(gym: Gym) -> None:
    held = gym.join("sub")
    tell(gym.session, says(12, Change.RESUMED))
    assert open_of(gym, held) == []
    tell(gym.session, says(5, Change.PAUSED))
    assert effects(gym, held) == [(Does.FREEZE, date(2026, 1, 5), date(2026, 1, 11))]
    apply(gym, held)
    assert lived(gym, held) == [("freeze", date(2026, 1, 5), date(2026, 1, 11))]


def test_a_pause_of_less_than_a_day_is_undone(gym: Gym) -> None:
    held = gym.join("sub")
    tell(gym.session, says(5, Change.PAUSED))
    apply(gym, held)
    tell(gym.session, Announced("sub", january(5, 20), Change.RESUMED))
    assert effects(gym, held) == [(Does.UNDO_FREEZE, None, None)]
    apply(gym, held)
    assert lived(gym, held) == []


def test_a_dismissed_pause_is_not_proposed_again_when_it_ends(gym: Gym) -> None:
    held = gym.join("sub")
    tell(gym.session, says(5, Change.PAUSED))
    dismiss(gym, held)
    tell(gym.session, says(12, Change.RESUMED))
    assert open_of(gym, held) == []


def test_days_that_staff_froze_are_no_news(gym: Gym) -> None:
    held = gym.join("sub")
    life.freeze(gym.session, held, first=date(2026, 1, 4), last=None, reason="hurt", by=BY, now=NOW)
    tell(gym.session, says(5, Change.PAUSED))
    assert open_of(gym, held) == []


def test_a_reference_that_comes_later_hears_it_too(gym: Gym) -> None:
    tell(gym.session, ends(5))
    held = gym.join("other")
    assert open_of(gym, held) == []
    add_billing_reference(gym.session, held, ENDPOINT, "sub", by=BY)
    assert effects(gym, held) == [(Does.END, None, date(2026, 1, 31))]


def test_what_replaced_a_reference_is_heard_and_what_it_replaced_is_not(gym: Gym) -> None:
    held = gym.join("old")
    tell(gym.session, ends(5, reference="old"), ends(9, january(20), "new"))
    tell(gym.session, Replaced("old", january(4), "new"))
    assert effects(gym, held) == [(Does.END, None, date(2026, 1, 20))]


def test_each_membership_of_a_reference_is_asked_for_itself(gym: Gym) -> None:
    held, other = gym.join("sub"), gym.join("other")
    add_billing_reference(gym.session, other, ENDPOINT, "sub", by=BY, shared=True)
    tell(gym.session, ends(5))
    dismiss(gym, held)
    assert open_of(gym, held) == []
    assert len(open_of(gym, other)) == 1


def test_the_second_answer_is_refused(gym: Gym) -> None:
    held = gym.join("sub")
    tell(gym.session, ends(5))
    (one,) = open_of(gym, held)
    announcements.dismiss(gym.session, one, by=BY, now=NOW)
    with pytest.raises(AnnouncementOver):
        announcements.apply(gym.session, one, by=BY, now=NOW)
    assert lived(gym, held) == []


def test_an_answer_to_what_was_said_before_is_refused(gym: Gym) -> None:
    held = gym.join("sub")
    tell(gym.session, ends(5))
    (one,) = open_of(gym, held)
    tell(gym.session, ends(6, january(25)))
    with pytest.raises(AnnouncementOver):
        announcements.apply(gym.session, one, by=BY, now=NOW)


def test_the_payment_that_has_only_this_stays_quiet(gym: Gym) -> None:
    gym.join("sub")
    tell(gym.session, ends(5), says(6, Change.PAUSED))
    row = gym.session.scalars(select(Payment).where(Payment.reference == "sub")).one()
    assert (row.state, row.problem, row.settle_again) == ("heard_of", None, False)
    assert gym.session.scalar(text("SELECT count(*) FROM payment_reviews")) == 0


def test_a_payment_of_the_same_name_is_not_touched(gym: Gym) -> None:
    gym.join("sub")
    problems = tell(gym.session, Paid("sub", january(1), DUES, "USD", ("sub",)), ends(5), now=NOW)
    row = gym.session.scalars(select(Payment).where(Payment.reference == "sub")).one()
    assert (row.state, row.problem, problems) == ("settled", None, {})


def test_of_two_words_of_one_moment_what_is_certain_counts(gym: Gym) -> None:
    first, second = gym.join("first"), gym.join("second")
    tell(gym.session, ends(5, reference="first"), says(5, Change.GOES_ON, "first"))
    tell(gym.session, says(5, Change.GOES_ON, "second"), ends(5, reference="second"))
    assert effects(gym, first) == effects(gym, second) == [(Does.END, None, date(2026, 1, 31))]


WORDS: Sequence[Fact] = [ends(5), says(7, Change.GOES_ON), ends(9, january(25)), says(6, Change.PAUSED)]


def test_the_order_in_which_it_is_told_does_not_matter(gym: Gym) -> None:
    found = set()
    for place, order in enumerate(permutations([*WORDS, says(8, Change.RESUMED)])):
        name = f"sub{place}"
        halves = [Announced(name, one.occurred_at, one.what, one.at) for one in order if isinstance(one, Announced)]
        tell(gym.session, *halves[:2])
        held = gym.join(name)
        tell(gym.session, *halves[2:], halves[0])
        found.add(tuple(effects(gym, held)))
    assert found == {((Does.END, None, date(2026, 1, 25)), (Does.FREEZE, date(2026, 1, 6), date(2026, 1, 7)))}


class TestByThemselves:
    def test_only_ends_and_only_where_the_club_says_so(self, gym: Gym) -> None:
        held = gym.join("sub")
        tell(gym.session, ends(5), says(6, Change.PAUSED))
        assert self.swept(gym.session) == 0
        edit_club(gym.session, gym.club, apply_announcements=True)
        assert self.swept(gym.session) == 1
        assert lived(gym, held) == [("end", None, date(2026, 1, 31))]
        act = gym.session.scalars(select(Action).order_by(Action.id.desc())).first()
        assert act
        assert act.actor == BY_THE_PROVIDER.name
        assert effects(gym, held) == [(Does.FREEZE, date(2026, 1, 6), None)]
        assert self.swept(gym.session) == 0

    def test_an_end_that_is_taken_back_is_undone(self, gym: Gym) -> None:
        held = gym.join("sub")
        edit_club(gym.session, gym.club, apply_announcements=True)
        tell(gym.session, ends(5))
        self.swept(gym.session)
        tell(gym.session, says(7, Change.GOES_ON))
        assert self.swept(gym.session) == 1
        assert lived(gym, held) == []

    def test_an_end_that_a_person_set_is_left_to_people(self, gym: Gym) -> None:
        held = gym.join("sub")
        edit_club(gym.session, gym.club, apply_announcements=True)
        life.end(gym.session, held, last=date(2026, 2, 5), reason="moves", by=BY, now=NOW)
        tell(gym.session, ends(5))
        assert self.swept(gym.session) == 0
        assert effects(gym, held) == [(Does.MOVE_END, None, date(2026, 1, 31))]

    def test_the_end_of_a_subscription_that_pays_no_more_is_left_to_people(self, gym: Gym) -> None:
        held = gym.join("sub", "new")
        edit_club(gym.session, gym.club, apply_announcements=True)
        tell(gym.session, Paid("in", january(6), DUES, "USD", ("new",)), ends(5), now=NOW)
        assert self.swept(gym.session) == 0
        assert effects(gym, held) == [(Does.END, None, date(2026, 1, 31))]

    def test_an_end_that_cannot_be_is_left_to_people(self, gym: Gym) -> None:
        held = gym.join("sub")
        edit_club(gym.session, gym.club, apply_announcements=True)
        tell(gym.session, ends(5, NOW + timedelta(days=9000)))
        assert self.swept(gym.session) == 0
        assert len(open_of(gym, held)) == 1

    @staticmethod
    def swept(session: Session) -> int:
        return announcements.apply_ends(session, PROCESSORS, now=NOW)
