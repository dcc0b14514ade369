"""Commands about the ledger as a whole: expire, expiring, audit."""

import re
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

import click
from sqlalchemy.orm import Session, sessionmaker

from console.cli import show
from console.cli.installed import Failed, opened, operator
from console.cli.moments import MOMENT
from models.audit.results import KEPT, Audit
from models.ledger import expiry
from models.ledger.expiry import Breaker
from models.statements import expiring as expiring_next
from models.wording import counted
from runtime.settings import DatabaseRole

if TYPE_CHECKING:
    from worker.auditing import HeadChecked


@click.command()
@click.option("--as-of", type=MOMENT, help="By default now.")
@click.option("--allow", type=click.IntRange(min=1), metavar="RUN", help="Let a stopped run go on; give a --reason.")
@click.option("--reason", default="", help="Kept in the action log.")
@show.json_option
def expire(as_of: datetime | None, allow: int | None, reason: str) -> None:
    """Record the sessions that have expired, as workers do every minute.

    Nothing expires before its time. A run over far more grants than usual is stopped until a person allows it; exit 1
    while one is stopped.
    """
    moment = as_of or datetime.now(UTC)
    if moment > datetime.now(UTC):
        raise Failed(f"{moment.isoformat()} is in the future: sessions that have not expired are never taken.")
    with opened(DatabaseRole.WORKER) as (loaded, make):
        if allow:
            with make.begin() as session:
                expiry.allow(session, allow, reason=reason, by=operator())
        total = _record(make, moment, Breaker(loaded.expire_breaker_from, loaded.expire_breaker_times))
        with make.begin() as session:
            stopped = expiry.stopped(session)
    figures = stopped and {"run": stopped.id, "as_of": stopped.as_of, "grants": stopped.due, "usual": stopped.usual}
    show.answer({"grants": total, "stopped": figures}, f"{counted(total, 'expired grant')} recorded.")
    if stopped:
        raise Failed(
            f"Run {stopped.id} is stopped: {stopped.due:,} grants have expired, and the most on a recent day was "
            f"{stopped.usual:,}. Look at them; `spp expire --allow {stopped.id} --reason TEXT` lets the run go on."
        )


def _record(make: sessionmaker[Session], as_of: datetime, breaker: Breaker) -> int:
    total, more = 0, True
    with show.progress("expire") as progress:
        while more:
            with make.begin() as session:
                grants, more = expiry.step(session, as_of=as_of, breaker=breaker)
                run = expiry.open_run(session)
            total += grants
            progress(run.grants / run.due if run else 1.0)
    return total


@click.command()
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True, help="The first of them is today.")
@click.option("--csv", "file", type=click.File("w", encoding="utf-8", lazy=False), help="Every grant; - for stdout.")
@show.json_option
def expiring(days: int, file: IO[str] | None) -> None:
    """List what expires in the coming days, by club and item.

    A session counts if its last usable day is one of them.
    """
    now = datetime.now(UTC)
    with opened() as (_, make), make() as session:
        if file:
            from console import expiring_csv

            for piece in expiring_csv.lines(session, now, days=days):
                file.write(piece)
            return
        rows = [row._asdict() for row in expiring_next.summary(session, now, days=days)]
    show.listing(rows, "club", "item", "today", "tomorrow", f"within {days} days", "grants", "members")


class Hash(click.ParamType[bytes]):
    """A head of the chain as 64 hex digits."""

    name = "hash"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """Raises BadParameter."""
        written = str(value).strip()
        if not re.fullmatch("[0-9a-fA-F]{64}", written):
            raise click.BadParameter(
                f"{written!r} is not a head of a chain. Give all 64 digits (0-9, a-f) of it.", ctx, param
            )
        return bytes.fromhex(written)


@click.command()
@click.option("--head", type=Hash(), help="Check that nothing up to this head, which was kept elsewhere, has changed.")
@show.json_option
def audit(head: bytes | None) -> None:
    """Check entries, balances, payments and the chain against each other.

    Compares entries and their causes with their seals, balances with their entries, and payments with their grants.
    The result is stored. Exit 1 if there are differences.

    With --head, find a head of the chain that was kept elsewhere (from the daily message, for example), and check
    every entry up to it against its seal. Nothing is stored. Exit 1 if the chain has no such head, or if an entry was
    changed.
    """
    from worker.auditing import Auditing

    with opened(DatabaseRole.WORKER) as (_, make), show.progress("audit") as progress:
        auditing = Auditing(make)
        checked = auditing.check_head(head, progress=progress) if head else None
        result = None if head else auditing.run(progress=progress)
    if head:
        _show_head(head, checked)
    elif result:
        _show_result(result)


def _show_head(head: bytes, checked: "HeadChecked | None") -> None:
    shown = show.as_json({
        "head": head.hex(), "known": checked is not None,
        "head_entry": checked and checked.sealed.entry_id, "recorded_at": checked and checked.sealed.recorded_at,
        "entries": checked and checked.entries, "findings": checked and len(checked.findings),
        "first_findings": checked and checked.findings[:KEPT],
    })  # fmt: skip
    if checked is None:
        raise Failed(
            "The chain of this database has no such head. Its history was rewritten since that head was sent, or the "
            "head belongs to another database, or to a time after the one that this database was restored to."
        )
    entry, written = checked.sealed
    if not shown:
        for what in checked.findings[:KEPT]:
            click.echo(what)
        when = f", recorded {show.cell(written)}" if written else ""
        result = counted(len(checked.findings), "difference") if checked.findings else "all unchanged"
        click.echo(f"This is the head at entry {entry}{when}. Sealed entries up to it: {checked.entries:,}; {result}.")
    if checked.findings:
        raise click.exceptions.Exit(1)


def _show_result(result: Audit) -> None:
    head = result.head.hex() if result.head else None
    lines = [*result.first_findings]
    lines.append(f"{counted(result.findings, 'difference')}." if result.findings else "Everything adds up.")
    if result.left_out:
        lines.append(f"Left out: {counted(result.left_out, 'payment')} that workers have yet to settle again.")
    if head:
        lines.append(f"Head of the chain: {head} at entry {result.head_entry}, over {result.entries:,} entries.")
    show.answer({
        "audit": result.id, "findings": result.findings, "first_findings": result.first_findings,
        "left_out": result.left_out, "entries": result.entries, "head_entry": result.head_entry, "head": head,
    }, *lines)  # fmt: skip
    if result.findings:
        raise click.exceptions.Exit(1)
