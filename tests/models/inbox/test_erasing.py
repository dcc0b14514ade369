"""A person who is erased: what goes, what stays, and what happens to what comes later."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.audit import chain
from models.audit.checks import audit
from models.errors import DayToCome, MemberErased, MergedAlready, NotConfirmed, NotFound, ReasonMissing
from models.inbox import erasing, repairs
from models.inbox.events import WebhookEvent
from models.ledger import adjustments, merging, redemptions
from models.ledger.adjustments import AdjustmentReason
from models.ledger.redemptions import Redemption
from models.members import club_move, overdue, plan_change, record, reference_moves, search
from models.members.lookup import find_member
from models.members.memberships import Member, Membership, add_billing_reference
from models.members.signing_up import sign_up
from models.payments import reviewing, settlement, suggestions
from models.payments.facts import Reversed
from models.staff import actions, kept_answers
from models.staff.actions import Action
from models.statements import member_list, statement, why_not
from tests.models.gym import BY, DUES, ENDPOINT, NOW, Gym, deliver, events, fresh, paid, tell

ASKED = date(2024, 3, 2)
LATER = datetime(2024, 3, 3, 15, tzinfo=UTC)


@pytest.fixture
def person(gym: Gym) -> Membership:
    """Ada Quillfeather, who paid once and used three classes."""
    picks = [gym.spin, gym.training]
    membership = sign_up(
        gym.session,
        email="ada.q@example.com",
        name="Ada Quillfeather",
        club=gym.club,
        term=gym.term,
        picks=picks,
        by=BY,
        now=NOW,
    )
    add_billing_reference(gym.session, membership, ENDPOINT, "sub", by=BY)
    tell(gym.session, paid("in", "sub"))
    redeem(gym, membership.member_id, 3)
    return membership


def redeem(gym: Gym, member_id: int, quantity: int) -> None:
    redemptions.redeem(
        gym.session, member_id=member_id, item_id=gym.spin.id, quantity=quantity, key=fresh("key"), by=BY, now=NOW
    )
    gym.session.commit()


def erase(gym: Gym, member_id: int, request: str = "she wrote to us") -> erasing.Erased:
    member = gym.session.get_one(Member, member_id)
    erased = erasing.erase(
        gym.session, member_id, confirm=member.email, request=request, asked_on=ASKED, by=BY, now=NOW
    )
    gym.session.commit()
    return erased


def everything(session: Session) -> str:
    """All rows of all tables, as text."""
    tables = session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
    rows = [session.scalars(text(f"SELECT CAST(t AS text) FROM {table} t")).all() for table in tables]
    bodies = session.scalars(text("SELECT encode(body, 'escape') FROM webhook_events")).all()
    return "\n".join([*(row for table in rows for row in table), *bodies])


def seal_all(session: Session) -> None:
    session.execute(text("ALTER TABLE ledger_entries DISABLE TRIGGER append_only"))
    session.execute(text("UPDATE ledger_entries SET recorded_at = recorded_at - interval '2 hours'"))
    session.execute(text("ALTER TABLE ledger_entries ENABLE TRIGGER append_only"))
    chain.seal(session)
    session.commit()


def test_name_address_and_bodies_go_and_the_ledger_stays(gym: Gym, person: Membership) -> None:
    session, member_id = gym.session, person.member_id
    session.execute(text("UPDATE webhook_events SET body = 'ada.q@example.com', resource = 'Ada Quillfeather'"))
    session.execute(text("UPDATE webhook_events SET headers = 'x', error = 'of Quillfeather', state = 'processed'"))
    session.execute(
        text(
            "INSERT INTO event_errors (event_id, attempt, error) SELECT id, 1, 'ada.q@example.com' FROM webhook_events"
        )
    )
    actions.log(session, BY, "look", "member Ada Quillfeather", member_id=member_id, reason="ada.q@EXAMPLE.com called")
    actions.log(session, BY, "edit member", f"member {member_id}: email old@example.com -> x@y", member_id=member_id)
    kept_answers.take(session, "k1", "asked")
    kept_answers.keep(session, "k1", location="/x", answer=f'{{"member_id":{member_id},"note":"Ada Quillfeather"}}')
    seal_all(session)
    before = statement.entries(session, member_id)
    erased = erase(gym, member_id, "Ada Quillfeather wrote from ada.q@example.com")
    assert (erased.events, erased.acts, erased.answers, erased.sealed) == (1, 2, 1, 0)
    left = everything(session).lower()
    for word in ("quillfeather", "ada.q", "old@example.com"):
        assert word not in left
    member = session.get_one(Member, member_id)
    assert (member.name, member.email) == (f"Erased member {member_id}", f"erased-{member_id}@erased.invalid")
    assert statement.entries(session, member_id) == before
    assert chain.walk(session, 0).broken == []
    assert list(audit(session)) == []
    asked, done = session.scalars(select(Action).where(Action.verb.like("%erase%")).order_by(Action.id)).all()
    assert asked.subject == f"member {member_id}, asked on 2024-03-02"
    assert asked.reason == f"Erased member {member_id} wrote from Erased member {member_id}"
    assert done.subject == erased.words
    assert done.subject.startswith(f"member {member_id}: name and e-mail address, the bodies of 1 event (33 bytes)")


def test_words_that_the_chain_covers_stay_and_are_counted(gym: Gym, person: Membership) -> None:
    adjustments.adjust(
        gym.session,
        member_id=person.member_id,
        item_id=gym.spin.id,
        quantity=1,
        last_day=None,
        reason=AdjustmentReason.GOODWILL,
        note="Ada was right",
        alone_up_to=9,
        key=fresh("key"),
        by=BY,
        now=NOW,
    )
    seal_all(gym.session)
    erased = erase(gym, person.member_id)
    assert erased.sealed == 3
    assert "3 notes of the ledger" in erased.words
    assert list(audit(gym.session)) == []


def test_a_later_payment_stands_in_review_and_credits_nobody(gym: Gym, person: Membership) -> None:
    session, member_id = gym.session, person.member_id
    erase(gym, member_id)
    before = statement.balances(session, member_id, NOW)
    told = deliver(session, events(paid("in_2", "sub", at=LATER)), now=LATER)
    assert told == {}
    (waiting,) = reviewing.page(session)
    assert waiting.payment == "in_2"
    assert waiting.reasons == [("erased", "its member was erased on 2024-03-01")]
    assert statement.balances(session, member_id, NOW) == before
    tell(session, Reversed("in_2", LATER, "refund:re", DUES, "USD"), now=LATER)
    assert list(audit(session)) == []
    reviewing.accept(session, waiting.payment_id, reason="paid back", by=BY)
    assert reviewing.page(session) == []


def test_what_was_settled_before_is_taken_back_as_ever(gym: Gym, person: Membership) -> None:
    erase(gym, person.member_id)
    tell(gym.session, Reversed("in", LATER, "refund:re", DUES, "USD"), now=LATER)
    (spin,) = [one for one in statement.balances(gym.session, person.member_id, NOW) if one.item == "Spin"]
    assert (spin.usable, spin.shortfall) == (0, 3)
    assert reviewing.page(gym.session) == []
    assert list(audit(gym.session)) == []


def test_a_payment_that_waited_is_not_credited_when_it_is_matched(gym: Gym, person: Membership) -> None:
    tell(gym.session, paid("in_2", "sub_9"))
    add_billing_reference(gym.session, person, ENDPOINT, "sub_9", by=BY)
    erase(gym, person.member_id)
    assert settlement.settle_matched(gym.session, now=LATER, late_credit=timedelta(0)) == 1
    assert settlement.settle_matched(gym.session, now=LATER, late_credit=timedelta(0)) == 0
    (waiting,) = reviewing.page(gym.session)
    assert [reason for reason, _ in waiting.reasons] == ["erased"]


def test_nobody_finds_an_erased_person_by_name_or_address(gym: Gym, person: Membership) -> None:
    session = gym.session
    old = "ada.q@example.com"
    erase(gym, person.member_id)
    made_up = session.get_one(Member, person.member_id).email
    for sought in (old, made_up, "Ada", "Quillfeather", "Erased member"):
        assert search.search(session, sought, 9) == []
    assert find_member(session, old) is None
    assert find_member(session, made_up) is None
    assert member_list.page(session, now=NOW, limit=9).member_ids == []
    assert [one.name for one in search.search(session, "sub", 9)] == [f"Erased member {person.member_id}"]
    payment = suggestions.Payment(ENDPOINT, DUES, "USD", ["sub"], "Erased member", made_up)
    assert suggestions.suggest(session, payment, limit=9) == []


def test_the_address_is_free_for_somebody_new(gym: Gym, person: Membership) -> None:
    erase(gym, person.member_id)
    again = sign_up(
        gym.session,
        email="ada.q@example.com",
        name="Ada",
        club=gym.club,
        term=gym.term,
        picks=[gym.spin],
        by=BY,
        now=LATER,
    )
    assert again.member_id != person.member_id


def test_nothing_more_is_done_for_an_erased_member(gym: Gym, person: Membership) -> None:
    session, member_id = gym.session, person.member_id
    grants, redemption = statement.grants(session, member_id, NOW), session.scalars(select(Redemption.id)).one()
    erase(gym, member_id)
    with pytest.raises(MemberErased, match="erased on Mar 1, 2024"):
        redeem(gym, member_id, 1)
    other, member, why = gym.join("sub_2"), session.get_one(Member, member_id), {"reason": "why", "by": BY}
    move: Mapping[str, Any] = {**why, "term": gym.term, "since": None, "picks": None, "now": NOW}
    refused: list[Callable[[], object]] = [
        lambda: record.edit_member(session, member, name="Eve", by=BY),
        lambda: plan_change.change_plan(session, person, **move),
        lambda: club_move.move_club(session, person, gym.forgiving_club(), **why, now=NOW),
        lambda: reference_moves.give_up(session, person, ENDPOINT, "sub", **why, into=other),
        lambda: reference_moves.give_up(session, other, ENDPOINT, "sub_2", **why, into=person),
        lambda: add_billing_reference(session, person, ENDPOINT, "sub_3", by=BY),
        lambda: overdue.clear(session, person, **why, now=NOW),
        lambda: redemptions.give_back(session, redemption_id=redemption, key=fresh("key"), by=BY, now=NOW),
        lambda: adjustments.extend(session, grants[0].grant_id, last_day=date(2024, 6, 1), **why, now=NOW),
    ]
    for act in refused:
        with pytest.raises(MemberErased):
            act()
    assert plan_change.moves(session, [gym.term], since=None, now=NOW) == ([], [])
    found = why_not.why_not(session, member_id=member_id, item_id=gym.spin.id, now=NOW)
    assert found
    assert found.reason == why_not.Reason.ERASED
    for gone, stays in ((person.member_id, other.member_id), (other.member_id, person.member_id)):
        with pytest.raises(MemberErased):
            merging.merge(gym.session, gone, stays, reason="why", by=BY, now=NOW)


def test_who_was_merged_into_the_person_is_erased_too(gym: Gym, person: Membership) -> None:
    other = gym.join("sub_2").member_id
    merging.merge(gym.session, other, person.member_id, reason="one person", by=BY, now=NOW)
    gym.session.commit()
    with pytest.raises(MergedAlready):
        erase(gym, other)
    gym.session.rollback()
    erase(gym, person.member_id)
    assert gym.session.get_one(Member, other).name == f"Erased member {other}"
    with pytest.raises(MemberErased):
        merging.undo(gym.session, other, reason="why", by=BY, now=NOW)


def test_once_more_erases_what_has_come_since(gym: Gym, person: Membership) -> None:
    erase(gym, person.member_id)
    erased_at = gym.session.get_one(Member, person.member_id).erased_at
    told = events(Reversed("in", LATER, "refund:re", 1, "USD"))
    deliver(gym.session, told, now=LATER)
    gym.session.execute(text("UPDATE webhook_events SET state = 'processed' WHERE state = 'pending'"))
    frozen = "this member asked by phone, and Erased said so"
    actions.log(gym.session, BY, "freeze", "membership 1", member_id=person.member_id, reason=frozen)
    acts = list(gym.session.execute(select(Action.subject, Action.reason).order_by(Action.id)))
    again = erase(gym, person.member_id)
    assert again.events >= 1
    # What the first time made up is no name.
    assert (again.acts, again.answers, again.sealed) == (0, 0, 0)
    assert list(gym.session.execute(select(Action.subject, Action.reason).order_by(Action.id)))[: len(acts)] == acts
    assert gym.session.get_one(Member, person.member_id).erased_at == erased_at


def test_both_bodies_of_a_conflict_go_and_what_was_quarantined_is_done_with(gym: Gym, person: Membership) -> None:
    session = gym.session
    session.execute(text("UPDATE webhook_events SET state = 'quarantined', reason = 'contradicts'"))
    session.execute(
        text("""
        INSERT INTO webhook_events (endpoint, event_id, type, body, state, conflicts_with)
        SELECT endpoint, event_id, type, convert_to(n || ' ada.q@example.com', 'UTF8'), 'quarantined', id
        FROM webhook_events, generate_series(1, 2) n
        """)
    )
    assert erase(gym, person.member_id).events == 3
    assert "ada.q" not in everything(session)
    assert set(session.scalars(select(WebhookEvent.state))) == {"ignored"}
    with pytest.raises(Exception, match="pruned"):
        repairs.replay(session, list(session.scalars(select(WebhookEvent.id))), "why", by=BY)


def test_what_is_refused(gym: Gym, person: Membership) -> None:
    session, member_id = gym.session, person.member_id

    def ask(**changed: str) -> None:
        given = {"confirm": "ada.q@example.com", "request": "she wrote"} | changed
        erasing.erase(session, member_id, asked_on=ASKED, by=BY, now=NOW, **given)

    with pytest.raises(NotConfirmed):
        ask(confirm="ada@example.com")
    with pytest.raises(ReasonMissing) as caught:
        ask(request=" ")
    assert caught.value.field == "request"
    with pytest.raises(NotFound):
        erasing.erase(session, 999, confirm="x", request="x", asked_on=ASKED, by=BY, now=NOW)
    with pytest.raises(DayToCome, match="Mar 4, 2024 is still to come") as to_come:
        erasing.erase(
            session, member_id, confirm="ada.q@example.com", request="x", asked_on=date(2024, 3, 4), by=BY, now=NOW
        )
    assert to_come.value.field == "asked_on"
    session.rollback()
    assert session.get_one(Member, member_id).erased_at is None


def test_only_the_words_of_an_erased_member_can_change(gym: Gym, person: Membership) -> None:
    erase_words = text("SELECT erase_words(ARRAY[:member], '.', 'x')")
    assert gym.session.scalar(erase_words, {"member": person.member_id}) == 0
    assert gym.session.execute(text("SELECT * FROM erase_bodies(:member)"), {"member": person.member_id}).one() == (
        0,
        0,
    )
    with pytest.raises(Exception, match="append-only"):
        gym.session.execute(text("UPDATE actions SET reason = 'x'"))
