"""Commands about the life of a membership: freeze, unfreeze, end-membership, reopen, close-club, life."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import Any

import click
from sqlalchemy.orm import Session

from console.cli import show
from console.cli.installed import Failed, database, opened, operator
from console.cli.lookups import named
from console.cli.moments import DAY
from models.catalogue.clubs import Club
from models.catalogue.days import ONE_DAY, local_day
from models.errors import NotFound
from models.members import closure_walk, life
from models.members.life import SCOPES, Done, LifeAct, LifeKind, Scope
from models.members.lookup import the_member, the_membership
from models.members.memberships import Membership
from models.payments import living
from models.payments.living import MovedGrant
from models.wording import counted

Act = Callable[[Session], Done]

_membership = click.option("--membership", "membership_id", type=int, help="Which one, if the member has several.")
_dry_run = click.option("--dry-run", is_flag=True, help="Only say what it would move; needs no --reason.")
_reason = click.option("--reason", help="Kept in the action log.")
expected_option = click.option(
    "--expected", type=click.IntRange(min=0),
    help="How many expired sessions can be used again, as --dry-run says; needed above SPP_ADJUST_ALONE_UP_TO.",
)  # fmt: skip


@click.command()
@click.argument("email")
@click.argument("first", metavar="FIRST_DAY", type=DAY)
@click.argument("last", metavar="[LAST_DAY]", type=DAY, required=False)
@_membership
@_dry_run
@expected_option
@_reason
@show.json_option
def freeze(
    email: str, first: date, last: date | None, membership_id: int | None, dry_run: bool, expected: int | None,
    reason: str | None,
) -> None:  # fmt: skip
    """Freeze a membership from a day, at its club, to another; without LAST_DAY, until further notice.

    Frozen days do not count for its sessions. They may be past.
    """
    why, now = _why(reason, dry_run), datetime.now(UTC)

    def act(session: Session) -> Done:
        membership = the_membership(session, email, membership_id, now=now)
        return life.freeze(session, membership, first=first, last=last, reason=why, by=operator(), now=now)

    _do(act, dry_run, now, expected)


@click.command()
@click.argument("email")
@click.option("--last-day", "last", type=DAY, help="The last frozen day, also a later one. Default: today at the club.")
@click.option("--undo", is_flag=True, help="Undo the freeze, as if it had never been.")
@click.option("--freeze", "number", type=click.IntRange(min=1), help="Which one, if there are several: see `spp life`.")
@_membership
@_dry_run
@expected_option
@_reason
@show.json_option
def unfreeze(
    email: str, last: date | None, undo: bool, number: int | None, membership_id: int | None, dry_run: bool,
    expected: int | None, reason: str | None,
) -> None:  # fmt: skip
    """End a freeze, today or on another day, or undo it."""
    if undo and last:
        raise click.UsageError("Give --undo or --last-day, not both.")
    why, now = _why(reason, dry_run), datetime.now(UTC)

    def act(session: Session) -> Done:
        membership = the_membership(session, email, membership_id, now=now)
        today = local_day(now, membership.club.time_zone)
        known = _the_freeze(session, membership, number, today)
        if undo:
            return life.undo(session, known, reason=why, by=operator(), now=now)
        return life.change(session, known, last=last or today, reason=why, by=operator(), now=now)

    _do(act, dry_run, now, expected)


@click.command("end-membership")
@click.argument("email")
@click.argument("last", metavar="LAST_DAY", type=DAY)
@click.option("--change", is_flag=True, help="It has an end already: give it this last day instead.")
@_membership
@_dry_run
@expected_option
@_reason
@show.json_option
def end_membership(
    email: str, last: date, change: bool, membership_id: int | None, dry_run: bool, expected: int | None,
    reason: str | None,
) -> None:  # fmt: skip
    """End a membership after its last day, at its club, which may be past or to come.

    Until when unused sessions can be used is as its payment term says.
    """
    why, now = _why(reason, dry_run), datetime.now(UTC)

    def act(session: Session) -> Done:
        membership = the_membership(session, email, membership_id, now=now)
        if change:
            known = life.the_end(session, membership)
            return life.change(session, known, last=last, reason=why, by=operator(), now=now)
        return life.end(session, membership, last=last, reason=why, by=operator(), now=now)

    _do(act, dry_run, now, expected)


@click.command()
@click.argument("email")
@_membership
@_dry_run
@expected_option
@_reason
@show.json_option
def reopen(email: str, membership_id: int | None, dry_run: bool, expected: int | None, reason: str | None) -> None:
    """Reopen a membership: its end is undone, as if it had never been."""
    why, now = _why(reason, dry_run), datetime.now(UTC)

    def act(session: Session) -> Done:
        known = life.the_end(session, the_membership(session, email, membership_id, now=now))
        return life.undo(session, known, reason=why, by=operator(), now=now)

    _do(act, dry_run, now, expected)


@click.command("close-club")
@click.argument("name", metavar="CLUB")
@click.argument("first", metavar="[FIRST_DAY", type=DAY, required=False)
@click.argument("last", metavar="LAST_DAY]", type=DAY, required=False)
@click.option(
    "--scope", type=click.Choice([scope.value for scope in Scope]), default=Scope.CLASS.value, show_default=True,
    help="The sessions for which the days do not count.",
)  # fmt: skip
@click.option("--undo", "number", type=click.IntRange(min=1), help="Instead of days: undo this one; see `spp life`.")
@_dry_run
@expected_option
@_reason
@show.json_option
def close_club(
    name: str, first: date | None, last: date | None, scope: str, number: int | None, dry_run: bool,
    expected: int | None, reason: str | None,
) -> None:  # fmt: skip
    """Close a club from a day to another, or undo a closure.

    Closed days do not count for the sessions of its members. Workers settle what that moves; `spp life --club CLUB`
    says how much is left.
    """
    days = (first, last) if first and last else None
    if bool(first) != bool(last) or (days is None) == (number is None):
        raise click.UsageError("Give FIRST_DAY and LAST_DAY, or --undo NUMBER.")
    why, now = _why(reason, dry_run), datetime.now(UTC)
    with opened() as (loaded, make), make.begin() as session:
        club = named(session, Club, name)
        if number:
            known = _mine(life.newest(session, LifeKind.CLOSURE, number), number, club_id=club.id)
        else:
            known = LifeAct(kind=LifeKind.CLOSURE.value, club_id=club.id, scope=scope, first_day=first, last_day=last)
            life.check_days(known, local_day(now, club.time_zone))
        reached = living.reach(session, known, now)
        if number:
            reached = reached._replace(brought_back=0)
        elif not dry_run:
            alone = loaded.adjust_alone_up_to
            living.check_brought_back(reached.brought_back, alone_up_to=alone, expected=expected)
        what = f"Closure of {club.name} ({SCOPES[Scope(known.scope or '')].lower()}) {known.days}"
        answer: dict[str, Any] = {
            "number": number, "club": club.name, "scope": known.scope, "first_day": known.first_day,
            "last_day": known.last_day, "undone": bool(number), "changed": not dry_run, **reached._asdict(),
        }  # fmt: skip
        length = _length(known)
        if number and not dry_run:
            life.undo(session, known, reason=why, by=operator(), now=now)
        elif days and not dry_run:
            first, last = days
            done = life.close(
                session, club, scope=Scope(scope), first=first, last=last, reason=why, by=operator(), now=now
            )
            answer["number"] = done.act.id
        answer["waiting"] = closure_walk.waiting(session)
    show.answer(
        answer,
        _sentence(what, undone=bool(number), dry_run=dry_run),
        f"  {counted(reached.grants, 'grant')} of {counted(reached.members, 'member')} can be moved by up to"
        f" {counted(length, 'day')}.",
        *_back(reached.brought_back),
        *_left(answer["waiting"]),
    )


@click.command("life")
@click.argument("email", required=False)
@click.option("--club", "name", help="Instead of EMAIL: the closures of this club.")
@show.json_option
def life_command(email: str | None, name: str | None) -> None:
    """List the freezes, ends and closures that count for a member, or the closures of a club."""
    if bool(email) == bool(name):
        raise click.UsageError("Give EMAIL, or --club CLUB.")
    with database() as session:
        if name:
            acts = list(life.in_force(session, club_id=named(session, Club, name).id))
        else:
            held = the_member(session, email or "").memberships
            acts = [act for one in held for act in life.in_force(session, membership_id=one.id)]
            acts += [act for club in {one.club_id for one in held} for act in life.in_force(session, club_id=club)]
        numbers, waiting = life.numbers(session, [one.id for one in acts]), closure_walk.waiting(session)
        rows = [_row(act, numbers[act.id]) for act in acts]
    if show.as_json({"life": rows, "waiting": waiting}):
        return
    show.table(["number", "what", "of", "days", "reason", "by"], [
        [row["number"], row["kind"], row["club"] or f"membership {row['membership']}", row["days"], row["reason"],
         row["by"]]
        for row in rows
    ])  # fmt: skip
    for line in _left(waiting):
        click.echo(f"\n{line}")


def _why(reason: str | None, dry_run: bool) -> str:
    """The reason; a dry run records nothing, and so needs none. Raises UsageError."""
    if reason is None and not dry_run:
        raise click.UsageError("Missing option '--reason'.")
    return reason if reason is not None else "dry run"


def _mine(act: LifeAct, number: int, *, membership_id: int | None = None, club_id: int | None = None) -> LifeAct:
    """The act, if it is of that membership or club. Raises NotFound."""
    if (act.membership_id, act.club_id) != (membership_id, club_id):
        raise NotFound(what=act.kind, name=number)
    return act


def _the_freeze(session: Session, membership: Membership, number: int | None, today: date) -> LifeAct:
    """The freeze with that number; without one, the only one that is not over. Raises Failed or NotFound."""
    if number:
        return _mine(life.newest(session, LifeKind.FREEZE, number), number, membership_id=membership.id)
    acts = life.in_force(session, membership_id=membership.id)
    found = [one for one in acts if one.kind == LifeKind.FREEZE and (one.last_day is None or one.last_day >= today)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise Failed("The membership is not frozen, today or later. `spp life EMAIL` lists what counts.")
    numbers = life.numbers(session, [one.id for one in found])
    choice = "; ".join(f"{numbers[one.id]} ({one.days})" for one in found)
    raise Failed(f"The membership has several freezes, say which one with --freeze: {choice}.")


def _do(act: Act, dry_run: bool, now: datetime, expected: int | None) -> None:
    """Do the act and settle it at once, or only see what that would move; and say it."""
    how = living.preview if dry_run else living.apply
    with opened() as (loaded, make), make.begin() as session:
        late_credit = loaded.late_credit
        outcome = how(session, lambda: act(session), now=now, late_credit=late_credit)
        (version, moved, waiting), back = outcome, outcome.brought_back
        if not dry_run:
            living.check_brought_back(back, alone_up_to=loaded.adjust_alone_up_to, expected=expected)
        known = version.replaces or (None if dry_run else version.id)
        answer: dict[str, Any] = {
            "number": life.numbers(session, [known])[known] if known else None, "kind": version.kind,
            "membership": version.membership_id, "first_day": version.first_day, "last_day": version.last_day,
            "days": version.days, "undone": version.undone, "changed": not dry_run, "brought_back": back,
            "waiting": waiting,
        }  # fmt: skip
    what = f"{answer['kind'].capitalize()} of membership {answer['membership']}, {answer['days']}"
    if show.as_json({**answer, "moves": [as_json_row(one) for one in moved]}):
        return
    click.echo(_sentence(what, undone=answer["undone"], dry_run=dry_run))
    for line in moved_lines(outcome):
        click.echo(line)


def moved_lines(outcome: living.Outcome[Any]) -> list[str]:
    """What an act moves, a line for each grant, and what is left to the workers."""
    moves = [f"  {one.words}" for one in outcome.moved] or ["  No sessions move."]
    return [*moves, *_back(outcome.brought_back), *_left(outcome.waiting)]


def as_json_row(grant: MovedGrant) -> dict[str, Any]:
    """What --json says of a grant that an act moves."""
    was, now = grant.was._asdict(), grant.now._asdict()
    return {"grant_id": grant.grant_id, "item": grant.item, "was": was, "now": now, "what": grant.words}


def _sentence(what: str, *, undone: bool, dry_run: bool) -> str:
    return f"{what}{': undone' if undone else ''}.{' Nothing is changed yet.' if dry_run else ''}"


def _back(sessions: int) -> Iterable[str]:
    return [f"  {counted(sessions, 'expired session')} can be used again."] if sessions else []


def _left(waiting: int) -> Iterable[str]:
    return [f"Workers have yet to settle {counted(waiting, 'payment')}."] if waiting else []


def _length(closure: LifeAct) -> int:
    return ((closure.last_day or date.min) - (closure.first_day or date.max) + ONE_DAY).days


def _row(act: LifeAct, number: int) -> dict[str, Any]:
    return {
        "number": number, "kind": act.kind, "membership": act.membership_id,
        "club": act.club.name if act.club else None, "scope": act.scope, "first_day": act.first_day,
        "last_day": act.last_day, "days": act.days, "reason": act.action.reason, "by": act.action.actor,
        "recorded_at": act.recorded_at,
    }  # fmt: skip
