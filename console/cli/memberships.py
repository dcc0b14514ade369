"""Commands about members and their sessions: sign-up, member, redeem, give-back."""

import uuid
from datetime import UTC, datetime
from typing import Any, cast

import click

from console.cli import show
from console.cli.installed import billing_reference, database, json_option, named, operator, settle_waiting, the_member
from console.cli.moments import MOMENT
from models.catalogue.tables import Club, Item, Offer
from models.errors import NotFound
from models.ledger import redemptions
from models.members.memberships import add_billing_reference
from models.members.signing_up import sign_up
from models.statements import statement
from runtime import settings
from runtime.settings import DatabaseRole


@click.command("sign-up")
@click.option("--member", "email", required=True, metavar="EMAIL")
@click.option("--name", required=True)
@click.option("--club", required=True)
@click.option("--offer", required=True)
@click.option("--term", required=True)
@click.option("--pick", "picks", multiple=True, metavar="ITEM", help="A session item; once per item.")
@click.option("--billing", multiple=True, metavar="ENDPOINT:REFERENCE", help="How payments find the membership.")
@click.option("--key", help="Idempotency key: repeating it signs nobody up again.")
@json_option
def sign_up_command(
    email: str, name: str, club: str, offer: str, term: str, picks: tuple[str, ...], billing: tuple[str, ...],
    key: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Sign a member up for an offer, and pin its terms."""
    references = [billing_reference(text) for text in billing]
    with database() as session:
        sold = named(session, Offer, "offer", offer)
        terms = [one for one in sold.terms if one.name == term]
        if not terms:
            raise NotFound(what=f"payment term of {offer!r} named", name=term)
        membership = sign_up(
            session,
            email=email,
            name=name,
            club=named(session, Club, "club", club),
            term=terms[0],
            picks=[named(session, Item, "item", pick) for pick in picks],
            by=operator(),
            now=datetime.now(UTC),
            key=key,
        )
        for endpoint, reference in references:
            if settings.load(DatabaseRole.CONSOLE).endpoint(endpoint) is None:
                raise NotFound(what="endpoint", name=endpoint)
            add_billing_reference(session, membership, endpoint, reference, by=operator())
        settled = settle_waiting(session)
        answer = {
            "membership": membership.id,
            "member": membership.member.email,
            "terms": [
                {"item": pinned.item.name, "quantity": pinned.quantity, "days_to_expire": pinned.days_to_expire}
                for pinned in membership.versions[0].pinned
            ],
            "waiting_payments_settled": settled,
        }
    if as_json:
        show.as_json(answer)
        return
    click.echo(f"{email} is signed up: membership {answer['membership']}. Each paid dues give:")
    show.table(["item", "sessions", "days to expire"], [
        [pinned["item"], pinned["quantity"], pinned["days_to_expire"] or "never"]
        for pinned in cast("list[dict[str, Any]]", answer["terms"])
    ])  # fmt: skip
    if settled:
        click.echo(f"Settled {settled} payments that had waited for this membership.")


@click.command()
@click.argument("email")
@click.option("--as-of", "at", type=MOMENT, help="As it stood at that moment, by what was recorded by then.")
@json_option
def member(email: str, at: datetime | None, as_json: bool) -> None:
    """Show a member's balances, grants, and entries with the cause of each."""
    with database() as session:
        person = the_member(session, email)
        if at:
            balances = statement.balances_as_of(session, person.id, at)
            grants = statement.grants_as_of(session, person.id, at)
        else:
            now = datetime.now(UTC)
            balances = statement.balances(session, person.id, now)
            grants = statement.grants(session, person.id, now)
        entries = statement.entries(session, person.id, as_of=at)
    if as_json:
        show.as_json({
            "member": person.email,
            "name": person.name,
            "as_of": at,
            "balances": [row._asdict() for row in balances],
            "grants": [row._asdict() for row in grants],
            "entries": [row._asdict() for row in entries],
        })  # fmt: skip
        return
    click.echo(f"{person.name} <{person.email}>\n\nUsable {f'as of {show.cell(at)}' if at else 'now'}")
    show.table(["item", "sessions", "next to expire", "when", "shortfall"], [
        [row.item, row.usable, row.expires_next, row.next_expiry or "never", row.shortfall] for row in balances
    ])  # fmt: skip
    click.echo("\nGrants")
    show.table(["grant", "item", "payment", "given", "used", "left", "usable from", "expires"], [
        [row.grant_id, row.item, row.payment or f"by {row.given_by}", row.quantity, row.used, row.remaining,
         row.effective_at, row.expires_at or "never"]
        for row in grants
    ])  # fmt: skip
    click.echo("\nEntries")
    show.table(["entry", "when", "what", "item", "grant", "sessions", "balance", "shortfall", "because of",
                "note"], [
        [row.entry_id, row.occurred_at, row.kind, row.item, row.grant_id, row.quantity, row.balance, row.shortfall,
         _cause(row), row.note or ""]
        for row in entries
    ])  # fmt: skip


def _cause(row: statement.EntryLine) -> str:
    if row.event_id:
        return f"payment {row.payment}, {row.endpoint} event {row.event_id}"
    return f"redemption {row.redemption_id}, by {row.actor}" if row.redemption_id else f"by {row.actor or 'the clock'}"


@click.command()
@click.argument("email")
@click.argument("item")
@click.argument("quantity", type=click.IntRange(min=1), default=1)
@click.option("--key", help="Idempotency key: repeating it repeats the answer. Made up if not given.")
@json_option
def redeem(email: str, item: str, quantity: int, key: str | None, as_json: bool) -> None:
    """Take sessions of an item from a member, soonest to expire first."""
    key = key or str(uuid.uuid4())
    with database() as session:
        answer = redemptions.redeem(
            session,
            member_id=the_member(session, email).id,
            item_id=named(session, Item, "item", item).id,
            quantity=quantity,
            key=key,
            by=operator(),
            now=datetime.now(UTC),
        )
    _show_answer(answer, key, "taken from", as_json)


@click.command("give-back")
@click.argument("redemption_id", metavar="REDEMPTION", type=click.IntRange(min=1))
@click.option("--quantity", type=click.IntRange(min=1), help="All that is left of it, if not given.")
@click.option("--key", help="Idempotency key: repeating it repeats the answer. Made up if not given.")
@json_option
def give_back(redemption_id: int, quantity: int | None, key: str | None, as_json: bool) -> None:
    """Return sessions of a redemption to the grants they came from."""
    key = key or str(uuid.uuid4())
    with database() as session:
        answer = redemptions.give_back(
            session, redemption_id=redemption_id, key=key, by=operator(), now=datetime.now(UTC), quantity=quantity
        )
    _show_answer(answer, key, "returned to", as_json)


def _show_answer(answer: redemptions.Answer, key: str, verb: str, as_json: bool) -> None:
    if as_json:
        draws = [draw._asdict() for draw in answer.draws]
        show.as_json({"redemption": answer.redemption_id, "idempotency_key": key, "draws": draws})
        return
    for draw in answer.draws:
        click.echo(f"{draw.quantity} {verb} grant {draw.grant_id}")
    click.echo(f"Redemption {answer.redemption_id}, idempotency key {key}")
