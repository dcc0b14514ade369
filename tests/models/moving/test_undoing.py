"""Undoing a whole import: everything of it goes while nothing was used; else the rows are named and all stays."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from models.audit.checks import audit
from models.ledger.redemptions import redeem
from models.members import life, search
from models.members.lookup import find_member, the_membership
from models.members.memberships import Member, owners
from models.members.signing_up import sign_up
from models.moving import imports
from models.moving.columns import Kind
from models.moving.imports import ImportState
from models.statements import member_list, statement
from models.statements.entry_wording import entry_in_words
from tests.models.gym import BY, ENDPOINT, NOW, Gym, paid, tell
from tests.models.moving.conftest import Moved, ended
from tests.models.moving.test_people import file, row

ANN, BEN = "ann@example.com", "ben@example.com"
PEOPLE = file(
    row(ANN, endpoint="stripe", billing_references="sub_1", frozen_from="2026-01-07"),
    row(BEN, "Ben", ends="2027-01-01"),
)
BALANCES = f"email,item,left,of,last day\n{ANN},Spin,3,10,never\n{BEN},Spin,5,5,never\n"


def usable(session: Session, member_id: int) -> int:
    return sum(one.usable for one in statement.balances(session, member_id, datetime.now(UTC)))


def test_an_import_of_balances_is_taken_back_by_counter_entries(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session]
) -> None:
    bring(Kind.PEOPLE, PEOPLE, write=True)
    made = bring(Kind.BALANCES, BALANCES, write=True)
    with make.begin() as session:
        redeem(session, member_id=2, item_id=open_gym.spin.id, quantity=1, key="k", by=BY, now=datetime.now(UTC))
    refused = ended(make, made.id, undo=True)
    assert refused.state == ImportState.WRITTEN
    assert refused.problem == (
        f"Import {made.id} cannot be undone, since these rows were used or changed since: 3. Nothing was changed."
    )
    again = bring(Kind.BALANCES, f"email,item,left,of,last day\n{ANN},Training,4,6,never\n", write=True)
    with make() as session:
        assert (usable(session, 1), usable(session, 2)) == (7, 4)
    assert ended(make, again.id, undo=True).state == ImportState.UNDONE
    with make() as session:
        assert usable(session, 1) == 3
        said = [(entry_in_words(one), one.quantity) for one in statement.entries(session, 1) if one.item == "Training"]
        assert said == [("Opening balance", 6), ("Used before", -2), ("Import undone", -4)]
        assert list(audit(session)) == []
    assert bring(Kind.BALANCES, f"email,item,left,of,last day\n{ANN},Training,4,6,never\n").new_rows == 1


def test_an_import_of_people_is_withdrawn_and_all_that_it_took_is_free_again(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session]
) -> None:
    with make.begin() as session:
        known = sign_up(
            session, email=BEN, name="Ben", club=open_gym.club, term=open_gym.term,
            picks=[open_gym.spin, open_gym.training], by=BY, now=NOW,
        ).id  # fmt: skip
    made = bring(Kind.PEOPLE, PEOPLE, write=True)
    balances = bring(Kind.BALANCES, BALANCES, write=True)
    further = bring(Kind.PEOPLE, file(row(ANN, joined="2024-05-01")), write=True)
    assert ended(make, made.id, undo=True).problem == (
        f"Import {made.id} cannot be undone yet: its members have what import {balances.id} and import {further.id}"
        f" brought. Undo import {balances.id} and import {further.id} first. Nothing was changed."
    )
    assert ended(make, further.id, undo=True).state == ImportState.UNDONE
    assert ended(make, balances.id, undo=True).state == ImportState.UNDONE
    assert ended(make, made.id, undo=True).state == ImportState.UNDONE
    with make() as session:
        assert find_member(session, ANN) is None
        assert owners(session, ENDPOINT, "sub_1") == []
        assert the_membership(session, BEN, now=NOW).id == known
        assert [
            session.get_one(Member, one).email for one in member_list.page(session, now=NOW, limit=10).member_ids
        ] == [BEN]
        assert search.search(session, "Ann", 10) == []
        assert list(audit(session)) == []
        verbs = session.scalars(text("SELECT verb FROM actions WHERE verb LIKE '%import' ORDER BY id")).all()
        assert verbs == ["write import"] * 3 + ["undo import"] * 3
        assert session.scalar(text("SELECT count(*) FROM members WHERE name ~ 'Ann' OR email ~ 'ann'")) == 0
    again = bring(Kind.PEOPLE, PEOPLE, write=True)
    assert (again.state, again.new_rows) == (ImportState.WRITTEN, 2)


@pytest.mark.parametrize("use", ["paid", "frozen", "signed up"])
def test_what_was_used_since_is_named_and_nothing_is_undone(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session], use: str
) -> None:
    signing_up = {
        "email": ANN, "name": "Ann Archer", "club": open_gym.club, "term": open_gym.term,
        "picks": [open_gym.spin], "by": BY, "now": NOW,
    }  # fmt: skip
    if use == "paid":  # of a member who was here before, so that the payment alone is what was not there
        sign_up(open_gym.session, **signing_up)
        open_gym.session.commit()
    made = bring(Kind.PEOPLE, PEOPLE, write=True, credits_from=date(2024, 1, 1))
    with make.begin() as session:
        match use:
            case "paid":
                tell(session, paid("in_1", "sub_1"))
            case "frozen":
                ann = the_membership(session, ANN, now=NOW)
                life.freeze(session, ann, first=date(2027, 1, 1), last=None, reason="x", by=BY, now=datetime.now(UTC))
            case _:
                sign_up(session, **signing_up)
    refused = ended(make, made.id, undo=True)
    assert refused.state == ImportState.WRITTEN
    assert "used or changed since: 2. Nothing was changed." in (refused.problem or "")
    with make() as session:
        assert find_member(session, BEN)
        assert imports.the_import(session, made.id).undone_by is None
