"""Opening balances: what a member had at first, what was used before, and what is left."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from models.audit import chain
from models.audit.checks import audit
from models.ledger.redemptions import redeem
from models.members.memberships import Member, Membership
from models.moving import imports, working, writing
from models.moving.balances import worth_left
from models.moving.columns import Kind
from models.moving.imports import ImportState
from models.payments.facts import Reversed
from models.statements import explanation, statement
from models.statements.entry_wording import entry_in_words, note_in_words
from tests.models.gym import BY, NOW, Gym, grant_of, paid, tell
from tests.models.moving.conftest import ENDPOINTS, Moved
from tests.models.moving.test_people import counts, problems

HEADER = "email,name,item,left,of,last day,value,note\n"


@pytest.fixture
def ann(open_gym: Gym) -> Membership:
    membership = open_gym.join("sub_1")
    open_gym.session.commit()
    return membership


def test_a_statement_reads_as_the_member_remembers_it(
    open_gym: Gym, ann: Membership, bring: Moved, make: sessionmaker[Session]
) -> None:
    """Of 10 sessions 3 are left: 3 are owned, and the statement says +10 and -7."""
    email = ann.member.email
    file = f"{HEADER}{email},,Spin,3,10,2090-12-31,120.00 USD,pass of March\n{email},,Training,2,,never,,\n"
    assert counts(bring(Kind.BALANCES, file, write=True)) == (ImportState.WRITTEN, 2, 0, 0, 0)
    now = datetime.now(UTC)
    with make() as session:
        entries = statement.entries(session, ann.member_id)
        assert [(one.item, entry_in_words(one), note_in_words(one), one.quantity, one.balance) for one in entries] == [
            ("Spin", "Opening balance", "10 for $120.00, 3 left worth $36.00, pass of March", 10, 10),
            ("Spin", "Used before", "", -7, 3),
            ("Training", "Opening balance", "", 2, 2),
        ]
        assert {one.item: one.usable for one in statement.balances(session, ann.member_id, now)} == {
            "Spin": 3, "Training": 2
        }  # fmt: skip
        lines = {one.item: one for one in statement.grants(session, ann.member_id, now)}
        assert (lines["Spin"].expires_at, lines["Training"].expires_at) == (
            datetime(2091, 1, 1, tzinfo=ZoneInfo("America/Chicago")), None
        )  # fmt: skip
        found = explanation.explain(session, ann.member_id, entries[1].entry_id, now)
        assert found
        assert found.action
        assert found.action.verb == "write import"
        assert found.action.subject == "import 1 of opening balances, members.csv: 2 new rows of 2"
        assert list(audit(session)) == []
        session.execute(text("ALTER TABLE ledger_entries DISABLE TRIGGER USER"))
        session.execute(text("UPDATE ledger_entries SET recorded_at = recorded_at - interval '2 hours'"))
        assert chain.seal(session) == 3
        assert chain.walk(session, 0).broken == []
    assert counts(bring(Kind.BALANCES, file)) == (ImportState.JUDGED, 0, 2, 0, 0)
    changed = bring(Kind.BALANCES, file.replace("3,10", "4,11").replace("120.00 USD", '"1,188.00 USD"'))
    assert counts(changed) == (ImportState.JUDGED, 0, 1, 1, 0)
    assert problems(make, changed)[2] == (
        "of: 11 in the file, 10 here; left: 4 in the file, 3 here; value or note: "
        "11 for $1,188.00, 4 left worth $432.00, pass of March in the file, "
        "10 for $120.00, 3 left worth $36.00, pass of March here"
    )


@pytest.mark.parametrize(
    ("value", "of", "left", "worth"), [(760_000, 20, 12, 456_000), (1000, 3, 1, 334), (0, 5, 5, 0)]
)
def test_what_is_left_is_worth_its_part(value: int, of: int, left: int, worth: int) -> None:
    """20 for 7,600.00 of which 12 are left are worth 4,560.00, which is 380.00 each."""
    assert worth_left(value, of, left) == worth
    assert sum(worth_left(value, of, one) - worth_left(value, of, one - 1) for one in range(1, of + 1)) == value


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ("nobody@b.c,,Spin,1,,never,,", "email: There is no member 'nobody@b.c'."),
        ("ANN,,Towel,1,,never,,", "item: 'Towel' is not a scheduler bucket: it has no sessions."),
        ("ANN,,Spin,-1,,never,,", "left: '-1' is not a number of sessions: write it like 8."),
        ("ANN,,Spin,0,,never,,", "left: Sessions must be 1 or more (it is 0)."),
        ("ANN,,Spin,3,2,never,,", "left: 3 are left, but there were only 2 at first."),
        ("ANN,,Spin,1,10001,never,,", "of: Sessions can be at most 10000 (it is 10001)."),
        ("ANN,,Spin,1,,,,", "last day: last day is empty: it is required."),
        ("ANN,,Spin,1,,2024-01-31,,", "last day: That day is over: choose a later one."),
        ("ANN,,Spin,1,,9999-12-31,,", "last day: Dec 31, 9999 is too far away"),
        ("ANN,,Spin,1,,never,89,", "value: '89' is not an amount with its currency: write it like 89.00 USD"),
        ("ANN,,Spin,1,,never,89.00 EUR,", "value: The value is in EUR, the member's club 'Downtown' in USD."),
        ("ANN,Zoe,Spin,1,,never,,", "email: There is no member 'Zoe, "),
    ],
)
def test_a_row_is_refused_with_the_messages_of_the_forms(
    ann: Membership, bring: Moved, make: sessionmaker[Session], row: str, wrong: str
) -> None:
    made = bring(Kind.BALANCES, HEADER + row.replace("ANN", ann.member.email), write=True)
    assert counts(made) == (ImportState.JUDGED, 0, 0, 0, 1)
    assert problems(make, made)[2].startswith(wrong)


def test_of_several_with_one_address_the_row_says_whose_it_is(
    ann: Membership, open_gym: Gym, bring: Moved, make: sessionmaker[Session]
) -> None:
    email = ann.member.email
    with make.begin() as session:
        bo, other = (Member(email=email, name=name, shares_email=True) for name in ("Bo", "bo"))
        session.add_all([bo, other])
        session.flush()
        alike = f"email: Members {bo.id} and {other.id} have this address and this name: merge them, or change the name"
    made = bring(Kind.BALANCES, f"{HEADER}{email},,Spin,1,,never,,\n{email},BO,Spin,1,,never,,\n")
    assert problems(make, made) == {
        2: f'email: Several members share {email}: write the name of one into "name": {ann.member.name}, Bo, bo.',
        3: f"{alike} of one.",
    }


def test_two_rows_of_one_member_item_and_day_are_refused(
    ann: Membership, bring: Moved, make: sessionmaker[Session]
) -> None:
    lines = "".join(f"{email},,Spin,1,,never,,\n" for email in (ann.member.email, ann.member.email.upper()))
    assert problems(make, bring(Kind.BALANCES, HEADER + lines)) == dict.fromkeys(
        (2, 3), "email: Rows 2, 3 are about the same member, item and last usable day: only one of them can be written."
    )


def test_the_note_says_what_is_left_of_the_value(ann: Membership, bring: Moved, make: sessionmaker[Session]) -> None:
    """20 for 7,600.00, of which 12 are left."""
    bring(Kind.BALANCES, f'{HEADER}{ann.member.email},,Spin,12,20,never,"7,600.00 USD",', write=True)
    with make() as session:
        assert statement.grants(session, ann.member_id, NOW)[0].note == (
            "opening balance: 20 for $7,600.00, 12 left worth $4,560.00"
        )


def test_what_is_brought_along_repays_a_shortfall_first(
    open_gym: Gym, ann: Membership, bring: Moved, make: sessionmaker[Session]
) -> None:
    tell(open_gym.session, paid("in_1", "sub_1"))
    grant = grant_of(open_gym.session, ann, open_gym.training)
    redeem(
        open_gym.session, member_id=ann.member_id, item_id=open_gym.training.id, quantity=2, key="k", by=BY, now=NOW
    )  # fmt: skip
    tell(open_gym.session, Reversed("in_1", NOW, "refund:re_1"))
    open_gym.session.refresh(grant)
    assert grant.shortfall == 2
    bring(Kind.BALANCES, f"{HEADER}{ann.member.email},,Training,5,9,never,,\n", write=True)
    with make() as session:
        (balance,) = (
            one for one in statement.balances(session, ann.member_id, datetime.now(UTC)) if one.item == "Training"
        )
        assert (balance.usable, balance.shortfall) == (3, 0)
        assert list(audit(session)) == []


def test_a_later_part_becomes_usable_on_its_day(ann: Membership, bring: Moved, make: sessionmaker[Session]) -> None:
    """It is a row beside what is usable at once; the same file again is no other sessions."""
    header, email = HEADER.replace("note", "usable from"), ann.member.email
    file = f"{header}{email},,Spin,3,,never,,\n{email},,Spin,8,,never,,2090-01-31\n"
    assert counts(bring(Kind.BALANCES, file, write=True)) == (ImportState.WRITTEN, 2, 0, 0, 0)
    with make() as session:
        (spin,) = statement.balances(session, ann.member_id, datetime.now(UTC))
        assert (spin.usable, spin.coming) == (3, 8)
        assert spin.comes_next
        assert spin.comes_next.usable_from == datetime(2090, 1, 31, tzinfo=ZoneInfo("America/Chicago"))
    assert counts(bring(Kind.BALANCES, file)) == (ImportState.JUDGED, 0, 2, 0, 0)
    over = bring(Kind.BALANCES, f"{header}{email},,Training,3,,2090-01-01,,2020-01-31\n")
    assert problems(make, over) == {2: "usable from: That day is over: choose a later one."}
    backwards = bring(Kind.BALANCES, f"{header}{email},,Training,3,,2090-01-01,,2090-01-31\n")
    assert "is before the first" in problems(make, backwards)[2]


def test_one_file_that_two_write_at_the_same_moment_counts_once(
    ann: Membership, bring: Moved, make: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = f"{HEADER}{ann.member.email},,Spin,3,10,never,,\n"
    first, second = bring(Kind.BALANCES, file), bring(Kind.BALANCES, file)
    with make.begin() as session:
        for one in (first, second):
            imports.write(session, one.id, expected=1, reason="we move in", by=BY)
    keep = writing._keep_members

    def meanwhile(session: Session, values: dict[str, object]) -> None:
        assert not working.run(make, second.id, endpoints=ENDPOINTS)
        keep(session, values)

    monkeypatch.setattr(writing, "_keep_members", meanwhile)
    assert working.run(make, first.id, endpoints=ENDPOINTS)
    assert working.run(make, second.id, endpoints=ENDPOINTS)
    with make() as session:
        assert counts(imports.the_import(session, second.id)) == (ImportState.JUDGED, 0, 1, 0, 0)
        assert session.scalar(text("SELECT sum(remaining) FROM credit_grants")) == 3
