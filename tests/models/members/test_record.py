"""A member's name and e-mail address: edited, and shared by a family."""

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from models.errors import (
    AddressKnown,
    InvalidEmail,
    KeyReused,
    NameMissing,
    NotFound,
    SeveralMembers,
    SeveralMemberships,
    TextTooLong,
)
from models.members.lookup import find_member, the_membership, with_email
from models.members.memberships import Member, Membership
from models.members.record import edit_member
from models.members.signing_up import sign_up
from models.staff.actions import Action
from tests.models.gym import BY, NOW, Gym, fresh, refused, together


def join(gym: Gym, email: str, name: str = "Ben", **more: object) -> Membership:
    picks = [gym.spin, gym.training]
    session = gym.session
    return sign_up(session, email=email, name=name, club=gym.club, term=gym.term, picks=picks, by=BY, now=NOW, **more)


@pytest.fixture
def ann(gym: Gym) -> Member:
    return join(gym, fresh("lee") + "@example.com", "Ann").member


@pytest.fixture
def ben(gym: Gym, ann: Member) -> Member:
    """Has Ann's address."""
    return join(gym, ann.email.upper(), "Ben", another_person=True).member


def acts(session: Session, member: Member) -> list[tuple[str, str | None]]:
    wanted = select(Action).where(Action.member_id == member.id, Action.verb == "edit member").order_by(Action.id)
    return [(act.subject, act.reason) for act in session.scalars(wanted)]


class TestEditing:
    def test_old_and_new_stand_in_the_action_log(self, gym: Gym, ann: Member) -> None:
        old = ann.email
        changed = edit_member(gym.session, ann, name=" Ann  Lee", email="ANN@new.org", reason="misspelt", by=BY)
        assert (ann.name, ann.email) == ("Ann  Lee", "ANN@new.org")
        assert changed == ["name Ann -> Ann  Lee", f"email {old} -> ANN@new.org"]
        assert acts(gym.session, ann) == [(f"member {ann.id}: {one}", "misspelt") for one in changed]
        assert find_member(gym.session, "ann@NEW.org") is ann
        assert find_member(gym.session, old) is None

    def test_what_is_the_same_is_no_edit(self, gym: Gym, ann: Member) -> None:
        assert edit_member(gym.session, ann, name=ann.name, email=ann.email, by=BY) == []
        assert acts(gym.session, ann) == []

    def test_the_reason_may_be_left_out(self, gym: Gym, ann: Member) -> None:
        edit_member(gym.session, ann, name="Anne", by=BY)
        assert acts(gym.session, ann) == [(f"member {ann.id}: name Ann -> Anne", None)]

    @pytest.mark.parametrize(
        ("given", "error"),
        [
            ({"name": " \u200b"}, NameMissing),
            ({"name": "x" * 201}, TextTooLong),
            ({"email": "ann"}, InvalidEmail),
            ({"email": "a b@example.com"}, InvalidEmail),
            ({"name": "Anne", "reason": "x" * 1001}, TextTooLong),
        ],
    )
    def test_what_no_one_is_called(self, gym: Gym, ann: Member, given: dict[str, str], error: type[Exception]) -> None:
        with refused(gym.session, error, "."):
            edit_member(gym.session, ann, by=BY, **given)
        assert (ann.name, acts(gym.session, ann)) == ("Ann", [])

    def test_the_address_of_somebody_else_only_where_it_is_said(self, gym: Gym, ann: Member) -> None:
        eve = gym.join().member
        with refused(gym.session, AddressKnown, f"Member {ann.id} has this address already"):
            edit_member(gym.session, eve, email=ann.email.upper(), by=BY)
        edit_member(gym.session, eve, email=ann.email, another_person=True, by=BY)
        assert [one.id for one in with_email(gym.session, ann.email)] == [ann.id, eve.id]
        edit_member(gym.session, eve, email="eve@new.org", by=BY)
        assert not eve.shares_email
        assert find_member(gym.session, ann.email) is ann


class TestSharing:
    def test_lookups_ask_which(self, gym: Gym, ann: Member, ben: Member) -> None:
        assert ben.id != ann.id
        with pytest.raises(SeveralMembers, match=rf"say which one by the id: {ann.id} \(Ann\), {ben.id} \(Ben\)"):
            find_member(gym.session, ann.email)
        with pytest.raises(SeveralMembers):
            the_membership(gym.session, ann.email, now=NOW)

    @pytest.mark.parametrize("text", ["{}", "#{}", " {} "])
    def test_an_id_says_who(self, gym: Gym, ben: Member, text: str) -> None:
        named = text.format(ben.id)
        assert find_member(gym.session, named) is ben
        assert the_membership(gym.session, named, now=NOW).member is ben

    def test_no_such_id(self, gym: Gym) -> None:
        assert find_member(gym.session, "999999999999999999") is None
        assert find_member(gym.session, "9" * 40) is None
        with pytest.raises(NotFound):
            the_membership(gym.session, "#999999", now=NOW)

    def test_the_id_of_a_membership_says_whose_too(self, gym: Gym, ann: Member, ben: Member) -> None:
        (wanted,) = ben.memberships
        assert the_membership(gym.session, ann.email, wanted.id, now=NOW) is wanted
        join(gym, ben.email, member_id=ben.id)
        gym.session.expire(ben)
        with pytest.raises(SeveralMemberships):
            the_membership(gym.session, str(ben.id), now=NOW)

    def test_a_further_membership_is_of_whom_is_named(self, gym: Gym, ann: Member, ben: Member) -> None:
        with refused(gym.session, SeveralMembers, "Ann"):
            join(gym, ann.email)
        assert join(gym, ann.email, member_id=ben.id).member is ben
        with refused(gym.session, NotFound, "member with the address"):
            join(gym, "other@example.com", member_id=ben.id)
        assert join(gym, ann.email, "Cem", another_person=True).member.name == "Cem"

    def test_another_person_with_a_new_address_is_just_a_new_member(self, gym: Gym) -> None:
        assert not join(gym, "new@example.com", another_person=True).member.shares_email

    def test_the_same_key_makes_one_other_person(self, gym: Gym, ann: Member) -> None:
        first, again = (join(gym, ann.email, another_person=True, key="once") for _ in range(2))
        assert first is again
        with pytest.raises(KeyReused):
            join(gym, "other@example.com", another_person=True, key="once")

    def test_who_is_left_with_an_address_is_found_by_it(self, gym: Gym, ann: Member, ben: Member) -> None:
        edit_member(gym.session, ann, email="ann@new.org", by=BY)
        assert find_member(gym.session, ben.email) is ben
        assert join(gym, ben.email).member is ben


def test_of_people_who_sign_up_at_once_with_one_address_one_is_made(open_gym: Gym, engine: Engine) -> None:
    def new(session: Session) -> int:
        here = Gym(session, *(session.merge(one) for one in (
            open_gym.club, open_gym.spin, open_gym.training, open_gym.towel, open_gym.offer, open_gym.term
        )))  # fmt: skip
        return join(here, "both@example.com").member_id

    made = together(engine, [new] * 4)
    assert len({*made}) == 1
    assert isinstance(made[0], int)
    counted = select(func.count()).select_from(Member).where(Member.email == "both@example.com")
    assert open_gym.session.scalar(counted) == 1


def test_of_two_edits_to_one_address_at_once_one_is_refused(open_gym: Gym, engine: Engine) -> None:
    ids = [open_gym.join().member_id for _ in range(2)]
    open_gym.session.commit()

    def edit(member_id: int) -> object:
        return lambda session: edit_member(session, session.get_one(Member, member_id), email="one@x.org", by=BY)

    done = together(engine, [edit(one) for one in ids])
    assert sorted(type(one).__name__ for one in done) == ["AddressKnown", "list"]
