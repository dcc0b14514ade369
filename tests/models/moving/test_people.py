"""People and memberships from a file: what is written, what is refused, and the same file again."""

from datetime import UTC, date, datetime
from unicodedata import normalize
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from models.audit.checks import audit
from models.members import life
from models.members.lookup import find_member, the_membership
from models.members.memberships import Member, Membership, owners
from models.moving import imports
from models.moving.columns import Kind, template
from models.moving.imports import Import, ImportState, Verdict
from tests.models.gym import ENDPOINT, NOW, Gym, paid, tell
from tests.models.moving.conftest import Moved

HEADER = (
    "email,name,shares address,club,offer,picks,joined,endpoint,billing references,payer,frozen from,frozen to,ends"
)


def row(email: str, name: str = "Ann Archer", **said: str) -> str:
    """A line of the file; a member of the gym in Chicago with both items unless something else is said."""
    cells = {
        "email": email, "name": name, "club": "Downtown", "offer": "Gold", "picks": "Spin|Training",
        "joined": "2024-02-01", **said,
    }  # fmt: skip
    return ",".join(cells.get(column.replace(" ", "_"), "") for column in HEADER.split(","))


def file(*rows: str) -> str:
    return "\n".join([HEADER, *rows]) + "\n"


def problems(make: sessionmaker[Session], made: Import) -> dict[int, str]:
    """By row, the columns that are wrong, with why."""
    with make() as session:
        lines = imports.rows(session, made.id, limit=100)
    return {line.number: "; ".join(f"{one.column}: {one.message}" for one in line.problems) for line in lines}


def counts(made: Import) -> tuple[str, int, int, int, int]:
    return made.state, made.new_rows, made.same_rows, made.conflict_rows, made.refused_rows


def test_two_thousand_rows_are_written_whole_or_not_at_all(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session]
) -> None:
    """Row 1,733 names an unknown offer: nothing is written. Mended, all are; sent again, nothing changes."""
    lines = [row(f"m{number}@example.com", f"Member {number}") for number in range(2, 2002)]
    good, wrong = file(*lines), file(*lines[:1731], lines[1731].replace("Gold", "Golden"), *lines[1732:])
    made = bring(Kind.PEOPLE, wrong, write=True)
    assert counts(made) == (ImportState.JUDGED, 1999, 0, 0, 1)
    assert problems(make, made) | {1733: ""} == dict.fromkeys(range(2, 102), "") | {1733: ""}
    with make() as session:
        (line,) = imports.rows(session, made.id, verdict=Verdict.REFUSED, limit=10)
        assert (line.number, line.email, line.problems[0].message) == (
            1733, "m1733@example.com", "There is no offer 'Golden'."
        )  # fmt: skip
        assert session.scalar(select(Member.id).limit(1)) is None
    assert counts(bring(Kind.PEOPLE, good, write=True)) == (ImportState.WRITTEN, 2000, 0, 0, 0)
    again = bring(Kind.PEOPLE, "\ufeff" + good.replace(",", ";"), write=True)
    assert counts(again) == (ImportState.JUDGED, 0, 2000, 0, 0)
    with make() as session:
        assert session.scalar(text("SELECT count(*) FROM memberships")) == 2000
        assert imports.totals(session, again.id) == [("Downtown", "Gold", "same", 2000, None)]
        logged = session.execute(text("SELECT subject, reason FROM actions WHERE verb LIKE '%import'")).all()
        assert [(line.subject[:9], line.reason) for line in logged] == [("import 2 ", "we move in")]
        assert "2,000 new rows of 2,000" in logged[0].subject


def test_what_a_row_says_is_what_is_here_then(open_gym: Gym, bring: Moved, make: sessionmaker[Session]) -> None:
    """Terms from the local day of joining, references that find payments, a freeze and an end."""
    open_gym.offer.retire()
    open_gym.session.commit()
    line = row(
        "Ann@Example.com", "'=Ann", joined="2024-02-01", endpoint="stripe", billing_references="sub_1|gocardless:MD1",
        frozen_from="2026-01-07", frozen_to="2026-01-16", ends="2027-01-31",
    )  # fmt: skip
    made = bring(Kind.PEOPLE, file(line), write=True, credits_from=date(2024, 3, 1))
    assert counts(made) == (ImportState.WRITTEN, 1, 0, 0, 0), problems(make, made)
    with make() as session:
        ann = the_membership(session, "ann@example.com", now=NOW)
        assert (ann.member.name, ann.member.email) == ("=Ann", "Ann@Example.com")
        assert ann.versions[0].since == datetime(2024, 2, 1, tzinfo=ZoneInfo("America/Chicago"))
        assert ann.credits_from == datetime(2024, 3, 1, tzinfo=ZoneInfo("America/Chicago"))
        assert {(pin.item.name, pin.quantity, pin.days_to_expire) for pin in ann.versions[0].pinned} == {
            ("Spin", 8, 30), ("Training", 2, 0)
        }  # fmt: skip
        assert ann.versions[0].dues_minor == open_gym.term.dues_minor
        assert {(one.endpoint, one.reference) for one in ann.billing} == {("stripe", "sub_1"), ("gocardless", "MD1")}
        assert [act.days for act in life.in_force(session, membership_id=ann.id)] == [
            "from Jan 7, 2026 to Jan 16, 2026", "last day Jan 31, 2027"
        ]  # fmt: skip
        tell(session, paid("in_1", "sub_1"))
        assert session.scalar(text("SELECT sum(remaining) FROM credit_grants WHERE member_id = 1")) == 10
        assert list(audit(session)) == []
    # What a program exported and what a person wrote are the same row.
    assert counts(bring(Kind.PEOPLE, file(line), credits_from=date(2024, 3, 1))) == (ImportState.JUDGED, 0, 1, 0, 0)


def test_a_changed_row_is_a_conflict_that_says_what_differs(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session]
) -> None:
    old = file(row("ann@example.com", endpoint="stripe", billing_references="sub_1"), row("ben@example.com", "Ben"))
    assert bring(Kind.PEOPLE, old, write=True).state == ImportState.WRITTEN
    changed = row("ann@example.com", endpoint="stripe", billing_references="sub_2", picks="Spin", ends="2027-01-31")
    made = bring(Kind.PEOPLE, file(changed, row("ben@example.com", "Ben"), row("cleo@example.com", "Cleo")), write=True)
    assert counts(made) == (ImportState.JUDGED, 1, 1, 1, 0)
    assert problems(make, made) == {
        2: "picks: other items in the file, those of its sign-up here; "
        "billing references: stripe:sub_2 in the file, stripe:sub_1 here; ends: 2027-01-31 in the file, no end here",
        3: "",
        4: "",
    }
    with make() as session:
        assert find_member(session, "cleo@example.com") is None


def test_one_address_with_two_names_is_refused_unless_the_file_says_that_they_share_it(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session]
) -> None:
    """Mother and child: both rows are named, and none is left out."""
    mother, child = row("m@example.com", "Mia"), row("M@example.com", "Cem")
    made = bring(Kind.PEOPLE, file(mother, row("x@example.com", "X"), child), write=True)
    assert counts(made) == (ImportState.JUDGED, 1, 0, 0, 2)
    assert all("Rows 2, 4 have one e-mail address" in problems(make, made)[number] for number in (2, 4))
    mother = row("m@example.com", "Mia", endpoint="stripe", billing_references="cus_1")
    child = row("m@example.com", "Cem", shares_address="yes", payer="m@example.com")
    lone = row("p@example.com", "Pay", payer="M@example.com")
    made = bring(Kind.PEOPLE, file(child, mother, lone), write=True)
    assert counts(made) == (ImportState.WRITTEN, 3, 0, 0, 0), problems(make, made)
    with make() as session:
        assert session.execute(text("SELECT name, shares_email FROM members ORDER BY name")).all() == [
            ("Cem", False), ("Mia", True), ("Pay", False)
        ]  # fmt: skip
        assert owners(session, ENDPOINT, "cus_1") == [1, 2, 3]
    assert counts(bring(Kind.PEOPLE, file(child, mother, lone))) == (ImportState.JUDGED, 0, 3, 0, 0)
    bring(Kind.PEOPLE, file(row("z@example.com", "Z\u00e9 Z")), write=True)
    looks_the_same = row("z@example.com", "Ze\u0301\N{NO-BREAK SPACE}Z")
    assert counts(bring(Kind.PEOPLE, file(looks_the_same))) == (ImportState.JUDGED, 0, 1, 0, 0)
    made = bring(Kind.PEOPLE, file(row("m@example.com", "Dan")))
    assert (
        "email: Member 1 (Cem) has this address already. If the row is about another person, write yes"
        in problems(make, made)[2]
    )


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([row("ann")], {2: "email: 'ann' is not an e-mail address."}),
        ([row("a@b.c", "")], {2: "name: name is empty: it is required."}),
        ([row("a@b.c", club="Uptown", offer="Iron")], {2: "club: There is no club 'Uptown'.; offer: There is no"}),
        ([row("a@b.c", picks="Towel")], {2: "picks: 'Towel' is not a session item of 'Gold'"}),
        ([row("a@b.c", picks="")], {2: "picks: 'Gold' asks for at least 1 session items; 0 picked."}),
        ([row("a@b.c", joined="01/02/2024")], {2: "joined: '01/02/2024' is not a day: write it like 2026-01-31."}),
        ([row("a@b.c", joined="2099-01-01")], {2: "joined: Jan 1, 2099 is to come"}),
        ([row("a@b.c", frozen_to="2026-01-01")], {2: 'frozen from: Write the first frozen day into "frozen from"'}),
        ([row("a@b.c", ends="2024-01-01")], {2: "ends: The membership began on Feb 1, 2024"}),
        ([row("a@b.c", endpoint="paypal")], {2: "endpoint: There is no endpoint 'paypal'."}),
        ([row("a@b.c", billing_references="sub_9")], {2: "billing references: Write the endpoint at which"}),
        ([row("a@b.c", endpoint="stripe", billing_references="sub_0")], {2: "already belongs to membership 1"}),
        (
            [
                row("a@b.c", endpoint="stripe", billing_references="sub_8"),
                row("b@b.c", endpoint="stripe", billing_references="sub_0", payer="a@b.c"),
            ],
            {3: "already belongs to membership 1"},
        ),
        (
            [
                row("a@b.c", endpoint="stripe", billing_references="sub_8"),
                row("b@b.c", endpoint="stripe", billing_references="sub_9"),
                row("c@b.c", endpoint="stripe", billing_references="sub_9", payer="a@b.c"),
            ],
            {3: "Rows 3, 4 have the same billing reference.", 4: "Rows 3, 4 have the same"},
        ),
        ([row("a@b.c", payer="a@b.c")], {2: "payer: No row, and no member here, has this e-mail address"}),
        ([row("a@b.c", payer="nobody@b.c")], {2: "payer: No row, and no member here, has this e-mail address"}),
        ([row("a@b.c"), row("a@b.c")], {2: "Rows 2, 3 are about the same e-mail", 3: "Rows 2, 3 are about"}),
        (
            [row(f"{name}@b.c", endpoint="stripe", billing_references="sub_9") for name in "ab"],
            {2: "billing references: Rows 2, 3 have the same billing reference.", 3: "name its payer"},
        ),
    ],
)
def test_a_row_is_refused_with_the_messages_of_the_forms(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session], rows: list[str], wrong: dict[int, str]
) -> None:
    open_gym.join("sub_0")
    open_gym.session.commit()
    made = bring(Kind.PEOPLE, file(*rows), write=True)
    assert (made.state, made.refused_rows) == (ImportState.JUDGED, len(wrong))
    found = problems(make, made)
    assert {number: text in found[number] for number, text in wrong.items()} == dict.fromkeys(wrong, True), found


def test_without_a_cut_over_nothing_is_written(open_gym: Gym, bring: Moved, make: sessionmaker[Session]) -> None:
    made = bring(Kind.PEOPLE, file(row("a@b.c")), credits_from=None)
    assert 'for the whole file as "Payments count from" (spp import --credits-from' in problems(make, made)[2]
    with_column = f"{HEADER},credits from\n{row('a@b.c')},2026-12-01T06:00:00Z\n"
    assert bring(Kind.PEOPLE, with_column, credits_from=None, write=True).state == ImportState.WRITTEN
    with make() as session:
        assert session.scalars(select(Membership.credits_from)).one() == datetime(2026, 12, 1, 6, tzinfo=UTC)


def test_names_of_the_catalogue_are_known_however_their_accents_are_encoded(
    open_gym: Gym, bring: Moved, make: sessionmaker[Session]
) -> None:
    open_gym.spin.name, open_gym.offer.name, open_gym.club.name = "Yogalat\u00e8s", "Été", "Orléans"
    open_gym.term.name = "À l'année"
    open_gym.session.commit()
    line = row("ann@example.com", club="Orléans", offer="Été", picks="yogalatès|Training")
    said = file(line).replace("joined", "term,Adhésion", 1).replace("2024-02-01", "À l'année,2024-02-01", 1)
    made = bring(Kind.PEOPLE, normalize("NFD", said), mapping={"Adhésion": "joined"}, write=True)
    assert counts(made) == (ImportState.WRITTEN, 1, 0, 0, 0), problems(make, made)


def test_who_names_no_picks_has_what_everybody_takes(open_gym: Gym, bring: Moved, make: sessionmaker[Session]) -> None:
    made = bring(Kind.PEOPLE, file(row("ann@example.com", picks="")))
    assert problems(make, made) == {2: "picks: 'Gold' asks for at least 1 session items; 0 picked."}
    for bucket in open_gym.offer.buckets:
        bucket.required = bucket.item_id == open_gym.spin.id
    open_gym.session.commit()
    made = bring(Kind.PEOPLE, file(row("ann@example.com", picks="")), write=True)
    assert counts(made) == (ImportState.WRITTEN, 1, 0, 0, 0), problems(make, made)
    with make() as session:
        pinned = the_membership(session, "ann@example.com", now=NOW).versions[0].pinned
        assert [pin.item.name for pin in pinned] == ["Spin"]
    assert problems(make, bring(Kind.PEOPLE, file(row("ben@example.com", picks="Training")))) == {
        2: "picks: 'Gold' requires Spin: pick it too."
    }


def test_the_template_is_a_file_that_can_be_imported(open_gym: Gym, bring: Moved, make: sessionmaker[Session]) -> None:
    assert bring(Kind.PEOPLE, template(Kind.PEOPLE)).unknown_columns == []
    assert bring(Kind.BALANCES, template(Kind.BALANCES)).unknown_columns == []
