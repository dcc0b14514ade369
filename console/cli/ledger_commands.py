"""Commands about the ledger as a whole: expire, expiring, audit."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO

import click
from sqlalchemy.orm import Session, sessionmaker

from console.cli import show
from console.cli.installed import Failed, installed_settings, json_option, operator
from console.cli.moments import MOMENT
from models.audit.results import KEPT
from models.database.engine import make_engine, sessions
from models.ledger import expiry
from models.ledger.expiry import Breaker, ExpiryRun
from models.statements import expiring as expiring_next
from models.wording import counted
from runtime.settings import DatabaseRole, Settings


@contextmanager
def _installation(role: DatabaseRole) -> Iterator[tuple[Settings, sessionmaker[Session]]]:
    with installed_settings(role) as loaded:
        engine = make_engine(loaded.database_url)
        try:
            yield loaded, sessions(engine)
        finally:
            engine.dispose()


@click.command()
@click.option("--as-of", type=MOMENT, help="By default now.")
@click.option("--allow", type=click.IntRange(min=1), metavar="RUN", help="Let a stopped run go on; say why.")
@click.option("--reason", default="", help="Kept in the action log.")
@json_option
def expire(as_of: datetime | None, allow: int | None, reason: str, as_json: bool) -> None:
    """Write down the sessions that have expired. Nothing is ever taken before its time.

    A run that would write down far more than usual is stopped, until somebody allows it. Exit 1 while one is.
    """
    moment = as_of or datetime.now(UTC)
    if moment > datetime.now(UTC):
        raise Failed(f"{moment.isoformat()} is in the future: sessions that have not expired are never taken.")
    with _installation(DatabaseRole.WORKER) as (loaded, make):
        if allow:
            with make.begin() as session:
                expiry.allow(session, allow, reason=reason, by=operator())
        total = _write_down(make, moment, Breaker(loaded.expire_breaker_from, loaded.expire_breaker_times))
        with make.begin() as session:
            stopped = expiry.stopped(session)
    if as_json:
        show.as_json({"grants": total, "stopped": _figures(stopped) if stopped else None})
    else:
        click.echo(f"{total} grants had expired and are written down.")
    if stopped:
        raise Failed(
            f"Run {stopped.id} is stopped: {stopped.due:,} grants have expired, and the most of a day lately was "
            f"{stopped.usual:,}. Look at what they are; `spp expire --allow {stopped.id} --reason TEXT` lets it go on."
        )


def _write_down(make: sessionmaker[Session], as_of: datetime, breaker: Breaker) -> int:
    total, more = 0, True
    with show.progress("expire") as progress:
        while more:
            with make.begin() as session:
                grants, more = expiry.step(session, as_of=as_of, breaker=breaker)
                run = expiry.open_run(session)
            total += grants
            progress(min(1.0, run.grants / run.due) if run else 1.0)
    return total


def _figures(run: ExpiryRun) -> dict[str, object]:
    return {"run": run.id, "as_of": run.as_of, "grants": run.due, "usual": run.usual}


@click.command()
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True, help="Today is the first of them.")
@click.option("--csv", "file", type=click.File("w", encoding="utf-8", lazy=False), help="Every grant; - is the output.")
@json_option
def expiring(days: int, file: IO[str] | None, as_json: bool) -> None:
    """Tell what expires next, by club and item: sessions whose last usable day is one of the coming ones."""
    now = datetime.now(UTC)
    with _installation(DatabaseRole.CONSOLE) as (_, make), make() as session:
        if file:
            from console import expiring_csv

            for piece in expiring_csv.lines(session, now, days=days):
                file.write(piece)
            return
        rows = [row._asdict() for row in expiring_next.summary(session, now, days=days)]
    if as_json:
        show.as_json(rows)
        return
    headings = ["club", "item", "today", "tomorrow", f"within {days} days", "grants", "members"]
    show.table(headings, [list(row.values()) for row in rows])


class Hash(click.ParamType[bytes]):
    """A hash of the chain, as it is printed."""

    name = "hash"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """Raises BadParameter."""
        written = str(value).strip()
        if not re.fullmatch("[0-9a-fA-F]{64}", written):
            raise click.BadParameter(
                f"{written!r} is no head of a chain. Give all 64 digits (0-9, a-f) of it.", ctx, param
            )
        return bytes.fromhex(written)


@click.command()
@click.option(
    "--head",
    "kept",
    type=Hash(),
    metavar="HASH",
    help="Check only that nothing up to this head, kept elsewhere, changed.",
)
@json_option
def audit(kept: bytes | None, as_json: bool) -> None:
    """Check everything there is against everything else.

    Entries and their causes against their seals, balances against their entries, payments against their grants. The
    result is kept. Exit 1 where something does not add up.

    With --head: look a head of the chain up that was kept elsewhere (in the daily message, say), and check every entry
    up to it against its seal. Nothing is written. Exit 1 where the chain has no such head, or an entry was changed.
    """
    if kept is None:
        _audit(as_json)
    else:
        _check_head(kept, as_json)


def _check_head(kept: bytes, as_json: bool) -> None:
    from worker.auditing import Auditing

    with _installation(DatabaseRole.WORKER) as (_, make), show.progress("audit") as progress:
        checked = Auditing(make).check_head(kept, progress=progress)
    if as_json:
        show.as_json({
            "head": kept.hex(), "known": checked is not None,
            "head_entry": checked and checked.sealed.entry_id, "recorded_at": checked and checked.sealed.recorded_at,
            "entries": checked and checked.entries, "findings": checked and len(checked.findings),
            "first_findings": checked and checked.findings[:KEPT],
        })  # fmt: skip
    if checked is None:
        raise Failed(
            "The chain of this database has no such head. Its history was rewritten since that head was sent, or the "
            "head is of another database, or of after the moment to which this one was restored."
        )
    entry, written = checked.sealed
    if not as_json:
        for what in checked.findings[:KEPT]:
            click.echo(what)
        when = f", written {written:%Y-%m-%d %H:%M} UTC" if written else ""
        result = counted(len(checked.findings), "difference") if checked.findings else "all are what was sealed"
        click.echo(f"It is the head at entry {entry}{when}. Sealed entries up to it: {checked.entries:,}; {result}.")
    if checked.findings:
        raise click.exceptions.Exit(1)


def _audit(as_json: bool) -> None:
    from worker.auditing import Auditing

    with _installation(DatabaseRole.WORKER) as (_, make), show.progress("audit") as progress:
        kept = Auditing(make).run(progress=progress)
    head = kept.head.hex() if kept.head else None
    if as_json:
        show.as_json({
            "audit": kept.id, "findings": kept.findings, "first_findings": kept.first_findings,
            "entries": kept.entries, "head_entry": kept.head_entry, "head": head,
        })  # fmt: skip
    else:
        for what in kept.first_findings:
            click.echo(what)
        click.echo(f"{counted(kept.findings, 'difference')}." if kept.findings else "Everything adds up.")
        if head:
            click.echo(f"Head of the chain: {head} at entry {kept.head_entry}, over {kept.entries:,} entries.")
    if kept.findings:
        raise click.exceptions.Exit(1)
