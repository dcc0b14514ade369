"""`spp errors`: failed and quarantined events by the kind of their error, and what letting them through comes to."""

import click

from console.cli import show
from console.cli.installed import opened
from models.inbox import error_groups
from models.inbox.events import EventState
from models.inbox.search import EventFilter

STATES = click.Choice([EventState.DEAD.value, EventState.QUARANTINED.value])


@click.command()
@click.option("--state", type=STATES, help="Only the failed (dead) or the quarantined.")
@click.option("--foresee", metavar="GROUP", help="Say what letting this group of quarantined events through comes to.")
@show.json_option
def errors(state: str | None, foresee: str | None) -> None:
    """List failed and quarantined events by the kind of their error, seen last first.

    A group is named to `spp events`, `replay`, `discard` and `quarantine release` by --group.
    """
    if foresee:
        _foresee(foresee)
        return
    with opened() as (loaded, make), make() as session:
        rows = [
            {
                "group": one.name, "state": one.state, "events": one.events, "type": one.type,
                "first_seen": one.first_seen, "last_seen": one.last_seen, "example": one.example, "error": one.error,
                "endpoints": one.endpoints,
            }
            for one in error_groups.groups(session, loaded.endpoints, state=state)
        ]  # fmt: skip
    show.listing(rows, "group", "state", "events", "type", "first seen", "last seen", "example", "error")


def _foresee(group: str) -> None:
    from console import foresight

    with opened() as (loaded, make), make() as session:
        wanted = error_groups.narrowed(EventFilter(state=EventState.QUARANTINED), group, loaded.endpoints)
        found = foresight.of_group(make, loaded, session, wanted)
    rows = [
        {"outcome": one.kind, "events": one.events, "example": one.example, "what": one.of_example.what}
        for one in found.outlooks
    ]
    show.listing(rows, "outcome", "events", "example", "what")
