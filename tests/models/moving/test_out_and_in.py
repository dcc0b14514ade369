"""The promise: all people and balances, exported and imported into an empty gym, come to the same sessions and days.

Entries differ: there they are opening balances. What is paid afterwards gives the same in both.
"""

import csv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from io import BytesIO, StringIO
from itertools import count
from typing import NamedTuple

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from local.servers import Postgres
from models.audit.checks import audit
from models.catalogue.clubs import Club, create_club
from models.catalogue.days import last_day, local_day
from models.catalogue.items import Item
from models.catalogue.tables import Offer, PaymentTerm
from models.database.engine import make_engine, sessions
from models.errors import SppError
from models.ledger import adjustments, redemptions
from models.ledger.adjustments import AdjustmentReason
from models.members import life
from models.members.memberships import Member, Membership, add_billing_reference
from models.members.signing_up import sign_up
from models.moving import exporting, imports, working
from models.moving.columns import Kind
from models.moving.exports import BY_NAME
from models.moving.imports import ImportState
from models.payments import living
from models.payments.facts import Reversed
from models.statements import statement
from tests.models.gym import BY, DUES, ENDPOINT, Gym, build, fresh, paid, session_item, tell

IN_GATE = settings.get_current_profile_name() == "gate"
# Each makes two databases: what is found is not made smaller.
FEW = settings(max_examples=3 if IN_GATE else 40, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
NO_DELAY = timedelta(0)
_numbers = count(1)

NAMES = ["Ann Archer", "=Ann", "Zoë, O'Hara", '"Ben"', "-1+1", "Ünal; Ada"]


class Person(NamedTuple):
    """One member, and what happened to a membership; days count from today, back or ahead."""

    name: str
    club: int
    offer: int
    both: bool
    """Whether both items were picked."""
    joined: int
    paid: list[int]
    """Days ago; none today, where a payment beside another one can be a fee."""
    refunded: int
    """Of the first payment, in percent."""
    used: int
    returned: int
    given: tuple[int, int | None] | None
    """Sessions, and for how many days."""
    frozen: tuple[int, int | None] | None
    """The first day, and how many days."""
    ends: int | None
    shares: bool
    """The address of the person before."""
    family: bool
    """The reference of the person before, who pays."""
    again: bool
    """It is a further membership of the person before, who is this person."""


PEOPLE = st.lists(
    st.builds(
        Person,
        name=st.sampled_from(NAMES),
        club=st.integers(0, 2),
        offer=st.integers(0, 1),
        both=st.booleans(),
        joined=st.integers(2, 400),
        paid=st.lists(st.integers(2, 50), max_size=3),
        refunded=st.sampled_from([0, 0, 0, 40, 100]),
        used=st.integers(0, 9),
        returned=st.integers(0, 2),
        given=st.none() | st.tuples(st.integers(1, 9), st.none() | st.integers(1, 60)),
        frozen=st.none() | st.tuples(st.integers(-40, 20), st.none() | st.integers(1, 40)),
        ends=st.none() | st.integers(-30, 60),
        shares=st.booleans(),
        family=st.booleans(),
        again=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


class World(NamedTuple):
    """A gym with several clubs in their zones, two items and two offers."""

    gym: Gym
    make: sessionmaker[Session]
    clubs: list[Club]
    terms: list[PaymentTerm]
    items: list[Item]


@contextmanager
def world(postgres: Postgres, template: str) -> Iterator[World]:
    """An empty one: clubs and offers are there, people are not."""
    name = f"moving_{next(_numbers)}"
    postgres.create(name, template)
    engine = make_engine(postgres.url(name))
    try:
        with sessions(engine)() as session:
            gym = build(session)
            zones = {"Uptown": "Pacific/Auckland", "=Harbour": "Europe/Berlin"}
            clubs = [create_club(session, name=club, time_zone=zone, currency="USD") for club, zone in zones.items()]
            offer = Offer(name="Silver", state="draft", min_buckets=0, max_buckets=2)
            offer.terms += [PaymentTerm(name=name, dues_minor=DUES, currency="USD") for name in ("Monthly", "Yearly")]
            offer.terms[1].interval, offer.terms[1].release = "year", "monthly"
            yoga = session_item("@Yoga")
            session.add_all([offer, yoga])
            session.flush()
            for item, quantity, days in ((gym.spin, 5, 45), (yoga, 3, 0)):
                bucket = offer.add_bucket(item)
                for term in offer.terms:
                    term.set_bucket(bucket, quantity=quantity, days_to_expire=days)
            offer.publish()
            session.commit()
            yield World(gym, sessions(engine), [gym.club, *clubs], [gym.term, offer.terms[1]], [gym.spin, yoga])
    finally:
        engine.dispose()
        postgres.drop(name)


def live(here: World, people: list[Person]) -> None:
    """All that happened to these people; what the rules refuse did not."""
    before: Membership | None = None
    for number, person in enumerate(people):
        before = _join(here, person, f"sub_{number}", f"person{number}@example.com", before)
        now = datetime.now(UTC)
        references = [one.reference for one in here.gym.session.get_one(Membership, before.id).billing]
        for place, days in enumerate(person.paid):
            at, payment = now - timedelta(days=min(days, person.joined), hours=1), f"in_{number}_{place}"
            tell(here.gym.session, paid(payment, references[0], at=at), now=now)
            if person.refunded and not place:
                tell(here.gym.session, Reversed(payment, now, "refund", DUES * person.refunded // 100, "USD"), now=now)
        for act in (_use, _give, _freeze, _end):
            with suppress(SppError), here.gym.session.begin_nested():
                act(here, person, before, now)
        here.gym.session.commit()


def _join(here: World, person: Person, reference: str, email: str, before: Membership | None) -> Membership:
    session, term = here.gym.session, here.terms[person.offer]
    club, items = here.clubs[person.club], [one.item for one in term.offer.buckets]
    since = datetime.now(UTC) - timedelta(days=person.joined, hours=2)
    known = before.member if before and person.again else None
    mine = (before.member.email, before.member.name) if before else ("", "")
    shares = bool(before and person.shares and person.name != mine[1])
    same_day = known and any(one.plan_at(since) is term and abs(one.versions[0].since - since) < timedelta(days=2)
                             for one in known.memberships)  # fmt: skip
    if same_day:  # by its offer and day of joining a membership is known
        known = None
    made = sign_up(
        session, club=club, term=term, picks=items if person.both else items[:1], by=BY, now=since,
        email=known.email if known else mine[0] if shares else email, name=known.name if known else person.name,
        member_id=known.id if known else None, another_person=shares and not known,
    )  # fmt: skip
    session.flush()
    shared = bool(before and person.family and not shares)
    name = before.billing[0].reference if before and shared else reference
    add_billing_reference(session, made, ENDPOINT, name, by=BY, shared=shared)
    session.commit()
    session.refresh(made)
    return made


def _use(here: World, person: Person, ada: Membership, now: datetime) -> None:
    if person.used:
        done = redemptions.redeem(
            here.gym.session, member_id=ada.member_id, item_id=here.gym.spin.id, quantity=person.used,
            key=fresh("key"), by=BY, now=now,
        )  # fmt: skip
        if person.returned:
            redemptions.give_back(
                here.gym.session, redemption_id=done.redemption_id, quantity=min(person.returned, person.used),
                key=fresh("key"), by=BY, now=now,
            )  # fmt: skip


def _give(here: World, person: Person, ada: Membership, now: datetime) -> None:
    if person.given:
        quantity, days = person.given
        adjustments.adjust(
            here.gym.session, member_id=ada.member_id, item_id=here.gym.spin.id, quantity=quantity, note="a gift",
            last_day=now.date() + timedelta(days=days) if days else None, reason=AdjustmentReason.GOODWILL, by=BY,
            alone_up_to=100, key=fresh("key"), now=now,
        )  # fmt: skip


def _freeze(here: World, person: Person, ada: Membership, now: datetime) -> None:
    if person.frozen:
        first, days = now.date() + timedelta(days=person.frozen[0]), person.frozen[1]
        last = first + timedelta(days=days) if days else None
        living.apply(
            here.gym.session,
            lambda: life.freeze(here.gym.session, ada, first=first, last=last, reason="away", by=BY, now=now),
            now=now,
            late_credit=NO_DELAY,
        )


def _end(here: World, person: Person, ada: Membership, now: datetime) -> None:
    if person.ends is not None:
        last = now.date() + timedelta(days=person.ends)
        living.apply(
            here.gym.session,
            lambda: life.end(here.gym.session, ada, last=last, reason="moves", by=BY, now=now),
            now=now,
            late_credit=NO_DELAY,
        )


def exported(here: World, kind: Kind, now: datetime) -> str:
    with here.make() as session:
        return "".join(exporting.pieces(session, BY_NAME[kind], now))


def move_in(there: World, kind: Kind, file: str) -> None:
    """Imports all of the file."""
    with there.make.begin() as session:
        made = imports.upload(session, kind, BytesIO(file.encode()), file_name="moved.csv", by=BY).id
    working.run(there.make, made, endpoints=(ENDPOINT,))
    with there.make.begin() as session:
        judged = imports.the_import(session, made)
        wrong = [(row.number, row.problems) for row in imports.rows(session, made, limit=100) if row.problems]
        assert not wrong, f"{wrong}\n{file}"
        if judged.new_rows:
            imports.write(session, made, expected=judged.new_rows, reason="we move", by=BY)
    working.run(there.make, made, endpoints=(ENDPOINT,))
    with there.make() as session:
        written = imports.the_import(session, made)
        assert written.state == (ImportState.WRITTEN if judged.new_rows else ImportState.JUDGED), written.problem


Usable = dict[tuple[str, str, str, str], int]
"""Member, item and days -> sessions that are left."""


def usable(here: World, now: datetime) -> Usable:
    """As statements have it, by each grant's own club."""
    found: Usable = {}
    with here.make() as session:
        for member in session.scalars(select(Member)):
            grants = [one for one in statement.grants(session, member.id, now) if not one.is_expired]
            by_item: dict[str, int] = {}
            for one in grants:
                if not one.remaining:
                    continue
                zone = one.time_zone or _home(session, member)
                starts = f"{local_day(one.effective_at, zone)} to " if one.is_coming else ""
                place = (member.email, member.name, one.item, f"{starts}{_last_day(one.expires_at, zone) or 'never'}")
                found[place] = found.get(place, 0) + one.remaining
                if not one.is_coming:
                    by_item[one.item] = by_item.get(one.item, 0) + one.remaining
            balances = {one.item: one.usable + one.frozen for one in statement.balances(session, member.id, now)}
            assert {item: left for item, left in balances.items() if left} == by_item
    return found


def _last_day(expires_at: datetime | None, zone: str) -> date | None:
    return last_day(expires_at, zone) if expires_at else None


def _home(session: Session, member: Member) -> str:
    return adjustments.home_zone(session, member.id)


def short(here: World, now: datetime) -> set[tuple[str, str, str]]:
    """Members and items of which sessions were used whose payment was reversed."""
    with here.make() as session:
        return {
            (member.email, member.name, one.item)
            for member in session.scalars(select(Member))
            for one in statement.balances(session, member.id, now)
            if one.shortfall
        }


def given_by_payments(here: World, now: datetime) -> list[tuple[str, str, str, int]]:
    """What each member gets of one more payment by each reference."""
    with here.make() as session:
        references = sorted({one.reference for ada in session.scalars(select(Membership)) for one in ada.billing})
        before = {(*key[:3], key[3]): number for key, number in usable(here, now).items()}
        tell(session, *(paid(f"new_{one}", one, at=now) for one in references), now=now)
    after = usable(here, now)
    return sorted((*key[:3], after[key] - before.get(key, 0)) for key in after if after[key] != before.get(key, 0))


@given(PEOPLE)
@FEW
def test_what_is_exported_and_imported_is_the_same(postgres: Postgres, template: str, people: list[Person]) -> None:
    with world(postgres, template) as here, world(postgres, template) as there:
        live(here, people)
        now = datetime.now(UTC)
        files = {kind: exported(here, kind, now) for kind in Kind}
        for kind in Kind:
            if _rows(files[kind]):
                move_in(there, kind, files[kind])
        later = datetime.now(UTC)
        assert usable(there, later) == usable(here, later)
        # Exported once more, they are the same files, but for the moment from which payments count.
        for kind in Kind:
            assert _rows(exported(there, kind, later)) == _rows(files[kind])
        # A shortfall stays behind: here the next payment repays it first.
        owing = short(here, later)
        mine, theirs = (
            [one for one in given_by_payments(where, later) if one[:3] not in owing] for where in (here, there)
        )
        assert mine == theirs
        with there.make() as session:
            assert list(audit(session)) == []


def _rows(file: str) -> list[dict[str, str]]:
    return [{**row, "credits from": ""} for row in csv.DictReader(StringIO(file, newline=""))]
