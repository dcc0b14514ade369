"""Commands about payments that staff must look at: review, accept, not-dues."""

from collections import Counter
from datetime import UTC, datetime

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from console import payers
from console.cli import show
from console.cli.installed import database, opened, operator, reason_option
from console.cli.life import as_json_row
from console.cli.lookups import endpoint_and_reference, the_endpoint
from models.errors import NotFound
from models.payments import not_dues, reviewing
from models.payments.references import Payment
from models.payments.reviewing import InReview
from models.payments.reviews import ReviewReason
from models.wording import counted, duration, money

_KINDS = click.Choice([reason.value for reason in ReviewReason])


@click.command()
@click.option("--reason", type=_KINDS, help="Only payments that are there for this reason.")
@click.option("--endpoint", help="Only payments of this endpoint.")
@show.json_option
def review(reason: str | None, endpoint: str | None) -> None:
    """List the payments that staff must look at, with their reasons, who paid and what they gave."""
    now = datetime.now(UTC)
    with opened() as (loaded, make), make() as session:
        rows = reviewing.page(session, reason=ReviewReason(reason) if reason else None, endpoint=endpoint)
        who = payers.of_payments(session, loaded.endpoints, [row.payment_id for row in rows])
    if show.as_json([
        {**row._asdict(), "reasons": dict(row.reasons), "memberships": [one._asdict() for one in row.memberships],
         "credited": [one._asdict() for one in row.credited],
         "payer": who.get(row.payment_id, payers.NOBODY)._asdict()}
        for row in rows
    ]):  # fmt: skip
        return
    show.table(["payment", "ENDPOINT:PAYMENT", "since", "paid by", "member", "gave", "why"], [
        [_payment(row, now), f"{row.endpoint}:{row.payment}", duration(now - row.since),
         ", ".join(filter(None, who.get(row.payment_id, payers.NOBODY))) or None,
         ", ".join(row.members.values()) or None, _gave(row),
         "; ".join(f"{kind}: {what}" for kind, what in row.reasons)]
        for row in rows
    ])  # fmt: skip
    if rows:
        numbers = Counter(kind for row in rows for kind, _ in row.reasons)
        each = ", ".join(f"{number:,} {kind}" for kind, number in numbers.most_common())
        click.echo(
            f"\n{counted(len(rows), 'payment')} in review: {each}."
            "\n`spp link ENDPOINT:REFERENCE EMAIL` gives all payments with that billing reference to a member."
            "\n`spp adjust` gives or takes sessions. `spp not-dues ENDPOINT:REFERENCE` marks what gives none."
            "\n`spp accept ENDPOINT:PAYMENT --reason TEXT` takes a payment off the list as it is."
            "\n`spp accept --all REASON --expected NUMBER --reason TEXT` accepts one reason for all that have it."
        )


def _gave(row: InReview) -> str:
    """`1 Spin, 1 Training`; of several members, what each got."""
    several = len(row.members) > 1
    each = [
        ", ".join(f"{one.quantity} {one.item}" for one in given) + (f" to {name}" if several else "")
        for member_id, name in row.members.items()
        if (given := row.given(member_id))
    ]
    return "; ".join(each) or "nothing"


def _payment(row: InReview, now: datetime) -> str:
    """`$149.00, Nov 18, stripe`: the amount, the day (in UTC) and the endpoint of a payment."""
    year = f", {row.paid_at.year}" if row.paid_at.year != now.year else ""
    return f"{money(row.amount_minor, row.currency)}, {row.paid_at:%b} {row.paid_at.day}{year}, {row.endpoint}"


@click.command()
@click.argument("payment", metavar="ENDPOINT:PAYMENT", required=False)
@click.option("--all", "kind", type=_KINDS, metavar="REASON", help="All payments that are there for this reason.")
@click.option("--endpoint", help="With --all: only those of this endpoint.")
@click.option("--expected", type=click.IntRange(min=1), help="With --all: how many `spp review` has shown.")
@reason_option
@show.json_option
def accept(payment: str | None, kind: str | None, endpoint: str | None, expected: int | None, reason: str) -> None:
    """Take a payment off the review as it is, or all that are there for one reason."""
    if (payment is None) == (kind is None) or (kind is None) != (expected is None):
        raise click.UsageError("Name one payment, or give --all REASON and --expected NUMBER.")
    with database() as session:
        if kind and expected:
            number = reviewing.accept_all(
                session, ReviewReason(kind), expected=expected, reason=reason, by=operator(), endpoint=endpoint
            )
        else:
            reviewing.accept(session, _root(session, payment or ""), reason=reason, by=operator())
            number = 1
    many = counted(number, "payment")
    show.answer({"accepted": number}, f"{payment or f'{many} in review as {kind}'}: accepted.")


def _root(session: Session, text: str) -> int:
    """The id of the payment that ENDPOINT:PAYMENT names. Raises NotFound."""
    endpoint, reference = endpoint_and_reference(text)
    wanted = (Payment.endpoint == endpoint) & (Payment.reference == reference)
    root = session.scalar(select(Payment.root_id).where(wanted))
    if root is None:
        raise NotFound(what="payment", name=text)
    return root


@click.command("not-dues")
@click.argument("reference", metavar="ENDPOINT:REFERENCE", required=False)
@click.option("--undo", is_flag=True, help="Payments with it are dues again.")
@click.option("--dry-run", is_flag=True, help="Only say what it would move; needs no --reason.")
@click.option("--reason", help="Kept in the action log.")
@show.json_option
def not_dues_command(reference: str | None, undo: bool, dry_run: bool, reason: str | None) -> None:
    """Mark an item, price, product or subscription as not dues, or list the marks.

    Payments and lines that name it give no sessions. What was paid before is judged again: sessions given for it are
    taken back, and come back with --undo.
    """
    if reference is None:
        with database() as session:
            marks = [
                {"endpoint": one.endpoint, "reference": one.reference, "since": one.recorded_at}
                for one in not_dues.every(session)
            ]
        show.listing(marks, "endpoint", "reference", "since")
        return
    if reason is None and not dry_run:
        raise click.UsageError("Missing option '--reason'.")
    endpoint, name = endpoint_and_reference(reference)
    act = not_dues.unmark if undo else not_dues.mark
    with opened() as (loaded, make), make.begin() as session:
        if not undo:
            the_endpoint(loaded, endpoint)
        done = not_dues.effect(
            session, lambda: act(session, endpoint, name, reason=reason or "preview", by=operator()), preview=dry_run,
            now=datetime.now(UTC), late_credit=loaded.late_credit,
        )  # fmt: skip
    answer = {
        "reference": reference, "not_dues": not undo, "changed": not dry_run, "payments": done.payments,
        "members": done.members, "waiting": done.waiting, "what": done.words,
        "moves": [as_json_row(one) for one in done.moved],
    }  # fmt: skip
    sentence = f"{reference} {'counts as dues again' if undo else 'is marked as not dues'}."
    nothing_yet = ["Nothing is changed yet."] * dry_run
    show.answer(answer, " ".join([sentence, done.words, *nothing_yet]), *(f"  {one.words}" for one in done.moved))
