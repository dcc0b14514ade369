"""Commands about members: sign-up, member, members, statement."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import IO, Any

import click
from sqlalchemy.orm import Session

from console.cli import show
from console.cli.installed import database, opened, operator, reason_option
from console.cli.lookups import endpoint_and_reference, named, the_endpoint, unknown
from console.cli.moments import DAY, MOMENT
from models.catalogue import clubs
from models.catalogue.clubs import Club
from models.catalogue.days import local_day
from models.catalogue.items import Item
from models.catalogue.tables import Offer
from models.members import clocks, overdue
from models.members.clocks import make_test_member
from models.members.lookup import id_given, the_member, the_membership
from models.members.memberships import Membership, add_billing_reference
from models.members.signing_up import sign_up
from models.payments import settlement
from models.statements import member_list, sheet, statement
from models.statements.entry_wording import coming_in_words, entered_later, occasion_in_words
from models.statements.member_list import MAX_DAYS, DuesState, MemberFilter, Order, State
from models.statements.statement import Balance, EntryLine
from runtime.settings import Settings


@click.command("sign-up")
@click.option("--member", "email", required=True, metavar="EMAIL|ID", help="An id: of a member who is known.")
@click.option("--name", help="Needed with an e-mail address; who is known keeps theirs.")
@click.option("--another-person", is_flag=True, help="Although others have this address: a new member.")
@click.option("--club", required=True)
@click.option("--offer", required=True)
@click.option("--term", required=True)
@click.option("--pick", "picks", multiple=True, metavar="ITEM", help="A session item; once per item.")
@click.option("--billing", multiple=True, metavar="ENDPOINT:REFERENCE", help="How payments find the membership.")
@click.option("--test", "is_test", is_flag=True, help="A test member: only test endpoints pay for it.")
@click.option("--key", help="Idempotency key: repeating it signs nobody up again.")
@show.json_option
def sign_up_command(
    email: str, name: str | None, another_person: bool, club: str, offer: str, term: str, picks: tuple[str, ...],
    billing: tuple[str, ...], is_test: bool, key: str | None,
) -> None:  # fmt: skip
    """Sign a member up for an offer, and pin its terms."""
    references = [endpoint_and_reference(text) for text in billing]
    with opened() as (loaded, make), make.begin() as session:
        sold = named(session, Offer, offer)
        terms = {one.name: one for one in sold.terms}
        if term not in terms:
            raise unknown(f"payment term of {offer!r} named", term, terms)
        known = None if id_given(email) is None else the_member(session, email)
        if known is None and name is None:
            raise click.UsageError("Give --name with an e-mail address.")
        membership = sign_up(
            session, email=known.email if known else email, name=known.name if known else name or "",
            member_id=known.id if known else None, another_person=another_person,
            club=named(session, Club, club), term=terms[term],
            picks=[named(session, Item, pick) for pick in picks], by=operator(), now=datetime.now(UTC), key=key,
        )  # fmt: skip
        if is_test and not membership.member.is_test:
            make_test_member(session, membership.member, loaded.endpoints, by=operator())
        settled = add_references(session, loaded, membership, references)
        pinned = [
            {"item": one.item.name, "quantity": one.quantity, "days_to_expire": one.days_to_expire}
            for one in membership.versions[0].pinned
        ]
        answer = {
            "membership": membership.id, "member": membership.member.email, "terms": pinned,
            "waiting_payments_settled": settled,
        }  # fmt: skip
    if show.as_json(answer):
        return
    click.echo(f"{answer['member']} is signed up: membership {answer['membership']}. Each payment of its dues gives:")
    rows = [[one["item"], one["quantity"], one["days_to_expire"] or "never"] for one in pinned]
    show.table(["item", "sessions", "days to expire"], rows)
    if settled:
        click.echo(f"Settled {settled} payments that had waited for this membership.")


def add_references(
    session: Session, loaded: Settings, membership: Membership, references: list[tuple[str, str]], *,
    shared: bool = False,
) -> int:  # fmt: skip
    """Add billing references, and settle all payments that waited for them; how many. Raises Failed or SppError."""
    for endpoint, reference in references:
        is_test = the_endpoint(loaded, endpoint).mode == "test"
        add_billing_reference(session, membership, endpoint, reference, by=operator(), shared=shared, is_test=is_test)
    return settle_waiting(session, loaded)


def settle_waiting(session: Session, loaded: Settings) -> int:
    """Settle all payments that found a membership; how many."""
    late_credit, total = loaded.late_credit, 0
    while settled := settlement.settle_matched(session, now=datetime.now(UTC), late_credit=late_credit):
        total += settled
    return total


@click.command()
@click.argument("email", metavar="EMAIL|ID")
@click.option("--as-of", "at", type=MOMENT, help="As it stood at that time, from what was recorded by then.")
@show.json_option
def member(email: str, at: datetime | None) -> None:
    """Show a member's balances, grants, and entries with the cause of each."""
    with database() as session:
        person = the_member(session, email)
        now = datetime.now(UTC)
        balances = statement.balances(session, person.id, now, as_of=at)
        grants = statement.grants(session, person.id, now, as_of=at)
        entries = statement.entries(session, person.id, as_of=at)
        late = overdue.of_members(session, [person.id])
        test_clock = clocks.words(person, now) if person.is_test else None
        zone = person.memberships[-1].club.time_zone if person.memberships else None
    if show.as_json({
        "member": person.email, "name": person.name, "as_of": at, "test_clock": test_clock,
        "overdue": [{"membership": one.membership_id, "since": one.since} for one in late],
        "balances": [_balance(row) for row in balances],
        "grants": [{**row._asdict(), "usable_from": row.usable_from} for row in grants],
        "entries": [{**row._asdict(), "usable_from": row.usable_from} for row in entries],
    }):  # fmt: skip
        return
    click.echo(f"{person.name} <{person.email}>")
    if test_clock:
        click.echo(test_clock)
    for one in late:
        click.echo(f"Overdue since {one.day}: membership {one.membership_id}")
    click.echo(f"\nUsable {f'as of {show.moment(at, zone)}' if at else 'now'}")
    show.table(
        ["item", "sessions", "next to expire", "when", "shortfall", "frozen", "coming"],
        [
            [row.item, row.usable, row.expires_next, _time(row.next_expiry, zone), row.shortfall, *_later(row)]
            for row in balances
        ],
    )
    click.echo("\nGrants")
    show.table(["grant", "item", "payment", "given", "used", "left", "usable from", "expires"], [
        [row.grant_id, row.item, row.payment or f"by {row.given_by}", row.quantity, row.used, row.remaining,
         _time(row.effective_at, zone), _time(row.expires_at, zone)]
        for row in grants
    ])  # fmt: skip
    click.echo("\nEntries")
    _table_of(entries, zone)


@click.command("statement")
@click.argument("email", metavar="EMAIL|ID")
@click.option("--first-day", type=DAY, help="At the member's club. By default from the beginning.")
@click.option("--last-day", type=DAY, help="By default until now.")
@click.option("--item", help="Of this session item alone.")
@click.option("--grant", type=click.IntRange(min=1), help="Of this grant alone: its own history.")
@click.option("--as-of", "at", type=MOMENT, help="What was recorded by then. By default now.")
@click.option("--csv", "file", type=click.File("w", encoding="utf-8", lazy=False), help="As CSV; - for stdout.")
@show.json_option
def statement_of(
    email: str, first_day: date | None, last_day: date | None, item: str | None, grant: int | None,
    at: datetime | None, file: IO[str] | None,
) -> None:  # fmt: skip
    """Show a member's statement over some days: what was there, what moved, what is left.

    Entries stand in the order in which things happened, each with the balance after it.
    """
    with database() as session:
        person = the_member(session, email)
        made = sheet.of_member(
            session, person, first_day=first_day, last_day=last_day, as_of=at, grant_id=grant,
            item_id=named(session, Item, item).id if item else None, house_zone=clubs.house_zone(session),
        )  # fmt: skip
        who, period = f"{person.name} <{person.email}>", made.period(local_day(at or datetime.now(UTC), made.time_zone))
    if file:
        for piece in sheet.csv(made):
            file.write(piece)
        return
    if show.as_json({
        "member": person.email, "name": person.name, "club": made.club and made.club.name, "zone": made.time_zone,
        "period": period, "items": [{**row._asdict(), "left": row.left} for row in made.items],
        "entries": [{**row._asdict(), "usable_from": row.usable_from} for row in made.entries],
    }):  # fmt: skip
        return
    click.echo(f"{who}\n{period}{f', {made.club.name}' if made.club else ''}\n")
    show.table(
        ["item", "before", "given", "used", "expired", "taken back", "taken otherwise", "left"],
        [[*row[1:], row.left] for row in made.items],
    )
    click.echo()
    _table_of(made.entries, made.time_zone)


def _table_of(entries: Sequence[EntryLine], zone: str | None) -> None:
    headings = [
        "entry", "when", "recorded", "what", "item", "grant", "sessions", "balance", "of the grant", "shortfall",
        "because of", "note",
    ]  # fmt: skip
    show.table(headings, [
        [row.entry_id, show.moment(row.occurred_at, zone),
         show.moment(row.recorded_at, zone) if entered_later(row) else "", row.kind, row.item, row.grant_id,
         row.quantity, row.balance, row.grant_balance, row.shortfall, _cause(row), row.note or ""]
        for row in entries
    ])  # fmt: skip


def _time(value: datetime | None, zone: str | None) -> str:
    return show.moment(value, zone) if value else "never"


def _balance(row: Balance) -> dict[str, Any]:
    return {**row._asdict(), "coming": row.coming, "coming_days": [one._asdict() for one in row.coming_days]}


def _later(row: Balance) -> tuple[str | None, str | None]:
    """What is frozen, and what is coming, in words."""
    frozen = f"{row.frozen} until {row.frozen_until}" if row.frozen else None
    return frozen, coming_in_words(row, date.isoformat) or None


def _cause(row: EntryLine) -> str:
    if row.event_id:
        return f"payment {row.payment}, {row.endpoint} event {row.event_id}"
    if row.redemption_id:
        return ", ".join(filter(None, [f"redemption {row.redemption_id}", occasion_in_words(row), f"by {row.actor}"]))
    return f"by {row.actor or 'the clock'}"


@click.command()
@click.option("--club", help="Only members with a membership there.")
@click.option("--offer", help="Only members with a membership of it now.")
@click.option("--state", type=click.Choice([one.value for one in State]), help="Of their memberships today.")
@click.option(
    "--standing", "dues", type=click.Choice([one.value for one in DuesState]), help="Whether dues are overdue."
)
@click.option("--nothing-left", is_flag=True, help="Only members without a session that could be used today.")
@click.option("--expiring", "days", type=click.IntRange(1, MAX_DAYS), help="Sessions expire within so many days.")
@click.option("--order", type=click.Choice([one.value for one in Order]), default=Order.NAME.value, show_default=True)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", type=click.IntRange(min=1), metavar="ID", help="Go on after this member.")
@show.json_option
def members(
    club: str | None, offer: str | None, state: str | None, dues: str | None, nothing_left: bool, days: int | None,
    order: str, limit: int, after: int | None,
) -> None:  # fmt: skip
    """List members by club, offer, state, dues and what they have left."""
    now = datetime.now(UTC)
    with database() as session:
        wanted = MemberFilter(
            named(session, Club, club).id if club else None, named(session, Offer, offer).id if offer else None,
            State(state) if state else None, DuesState(dues) if dues else None, nothing_left, days,
        )  # fmt: skip
        leaf = member_list.page(session, wanted, now=now, limit=limit, order=Order(order), after=after)
        rows = [
            {
                "member": row.member.id, "name": row.member.name, "email": row.member.email,
                "left": ", ".join(f"{one.usable} {one.item}" for one in row.left) or None,
                "overdue_since": row.overdue[0].since if row.overdue else None,
                "balances": [one._asdict() for one in row.left],
            }
            for row in member_list.rows(session, leaf.member_ids, now=now)
        ]  # fmt: skip
    show.listing(rows, "member", "name", "e-mail", "left", "overdue since")


@click.command("clear-overdue")
@click.argument("email", metavar="EMAIL|ID")
@click.option("--membership", "membership_id", type=int, help="Which one, if the member has several.")
@reason_option
@show.json_option
def clear_overdue(email: str, membership_id: int | None, reason: str) -> None:
    """Say that dues that failed are owed no more: paid otherwise, or forgiven."""
    now = datetime.now(UTC)
    with database() as session:
        membership = the_membership(session, email, membership_id, now=now)
        overdue.clear(session, membership, reason=reason, by=operator(), now=now)
        answer = {"membership": membership.id, "cleared_at": now}
    show.answer(answer, f"The dues of membership {answer['membership']} are not overdue any more.")
