"""`spp`, the command line. Every failure is a message and an exit code: 1 refused or failed, 2 wrong usage.

A command's module is loaded when the command runs, so that every command starts fast.
"""

import gc
import sys
from importlib import import_module

import click


def main() -> None:
    """The entry point: turns failures into messages."""
    try:
        # Without click's own handling, a command's Exit comes back as a number.
        sys.exit(spp(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:
        from console.cli import failures

        if (text := failures.message(error)) is None:
            raise
        sys.exit(f"Error: {text}")


class Lazy(click.Command):
    """The name and summary of a command, which is loaded from a module of this package on demand."""

    def __init__(self, name: str, module: str, summary: str) -> None:
        super().__init__(name, short_help=summary)
        self._module = f"console.cli.{module}"

    def load(self) -> click.Command:
        """The command itself."""
        if self._module not in sys.modules:
            # Objects made by imports live on: looking through them for garbage would take a fifth of the start.
            gc.disable()
            try:
                import_module(self._module)
            finally:
                gc.freeze()
                gc.enable()
        found = vars(sys.modules[self._module]).values()
        return next(one for one in found if isinstance(one, click.Command) and one.name == self.name)


class _LazyGroup(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Load the command that was named."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Lazy) else command, rest


SUMMARIES = {
    "running": {
        "up": "Run everything on this machine until Ctrl-C; data is kept between runs.",
        "demo": "Run the demo on embedded servers of its own, and check every balance.",
        "migrate": "Bring the database to this version's schema.",
        "demo-data": "Make a small gym with three members; on an embedded database also a login for the console.",
    },
    "memberships": {
        "sign-up": "Sign a member up for an offer, and pin its terms.",
        "member": "Show a member's balances, grants, and entries with the cause of each.",
        "members": "List members by club, offer, state, dues and what they have left.",
        "statement": "Show a member's statement over some days: what was there, what moved, what is left.",
        "clear-overdue": "Say that dues that failed are owed no more: paid otherwise, or forgiven.",
    },
    "first_payments": {
        "awaiting": "List the memberships that have awaited their first payment for more than some days.",
        "remove-awaiting": "Remove memberships that have awaited their first payment for 30 days; all or none.",
        "sign-up-link": "Show how the first payment of a membership finds it: its code, and the field or link for it.",
    },
    "redeeming": {
        "redeem": "Take sessions of an item from a member, soonest to expire first.",
        "give-back": "Return sessions of a redemption to the grants they came from.",
        "redemption": "Show the redemption that was made with an idempotency key, or whose return was.",
        "why-not": "Say why a member can use no session of an item, and the way out.",
    },
    "persons": {
        "merge-members": "Let the member INTO have all that the member FROM has, who is the same person.",
        "undo-merge": "Give a merged member back what the merge moved, within a day; FROM is the member's id.",
        "erase-member": "Erase a person: name, address and what processors sent of the payer go, the ledger stays.",
    },
    "record": {
        "edit-member": "Change a member's name or e-mail address.",
        "change-club": "Move a membership to another club of its currency.",
        "unlink": "Remove a billing reference from a membership, or move it to another one.",
    },
    "plans": {"change-plan": "Change the plan of a membership from a day on: its payment term, its picks, or both."},
    "life": {
        "freeze": "Freeze a membership from a day, at its club, to another; without LAST_DAY, until further notice.",
        "unfreeze": "End a freeze, today or on another day, or undo it.",
        "end-membership": "End a membership after its last day, at its club, which may be past or to come.",
        "reopen": "Reopen a membership: its end is undone, as if it had never been.",
        "close-club": "Close a club from a day to another, or undo a closure.",
        "life": "List the freezes, ends and closures that count for a member, or the closures of a club.",
    },
    "moving_in": {
        "moving-in": "List what is left after an import: references never heard of, memberships without a reference.",
        "cut-over": "Say from which day on the payments of a membership count; those before it give nothing.",
    },
    "clocks": {
        "test-member": "Make a member a test member: only test endpoints pay for it, and its clock can be set.",
        "test-clock": "Set the clock of a test member forward to a day, at its club.",
    },
    "adjusting": {
        "adjust": "Give a member sessions (2), or take some (-2), with a reason.",
        "adjustments": "List the adjustments that wait for a second person.",
        "approve": "Let an adjustment that waits take effect, as its second person.",
        "decline": "Decline an adjustment that waits.",
        "extend": "Let a grant expire later: its sessions can be used until the end of DAY at the club.",
    },
    "sending": {"send": "Sign a body as the endpoint's processor would, and post it."},
    "endpoints": {
        "endpoints": "List the webhook endpoints, and what their processors expect.",
        "pause": "Stop processing an endpoint's events until it is resumed. They are still received and kept.",
        "resume": "Process the events of a paused endpoint again, those that waited first.",
        "pauses": "List the paused endpoints, each with its time, person and reason.",
    },
    "errors": {
        "errors": "List failed and quarantined events by the kind of their error, seen last first.",
    },
    "events": {
        "events": "List webhook events, the newest first, or show one.",
        "replay": "Process events again: those with these ids, or all that match a filter.",
        "discard": "Give failed or quarantined events no effect: those with these ids, or all that match a filter.",
        "quarantine": "List quarantined events: authentic, but unusable. Show, release or discard them.",
    },
    "reviewing": {
        "review": "List the payments that staff must look at, with their reasons, who paid and what they gave.",
        "accept": "Take a payment off the review as it is, or all that are there for one reason.",
        "not-dues": "Mark an item, price, product or subscription as not dues, or list the marks.",
    },
    "announced": {
        "announcements": "List what the payment provider said of subscriptions, and memberships do not say yet.",
        "apply-announcement": "Do to a membership what was announced: end, reopen or freeze it, or end a freeze.",
        "dismiss-announcement": "Leave a membership as it is, whatever was announced.",
    },
    "repairs": {
        "link": "Give a membership all payments with this billing reference: those that wait and those to come.",
        "reconcile": "Fetch payments and refunds from the processors, and add those that no webhook reported.",
    },
    "ledger_commands": {
        "expire": "Record the sessions that have expired, as workers do every minute.",
        "expiring": "List what expires in the coming days, by club and item.",
        "audit": "Check entries, balances, payments and the chain against each other.",
    },
    "exporting": {
        "export": "Write members, grants, payments or others as CSV; without WHAT, list the files that there are."
    },
    "reporting": {"report": "Show a report of the owner's; without NAME, list the reports that there are."},
    "importing": {"import": "Bring people or opening balances along from a CSV file; list, show or undo imports."},
    "pruning": {"prune": "Delete the bodies of old, finished events, as workers do each night."},
    "users": {"user": "List the staff accounts; add, disable or enable one, bind it to clubs, or change its password."},
    "tokens": {"token": "List the tokens of the JSON API; make or revoke one."},
    "alerts": {"alert": "List the lasting alarms, or send a test alarm."},
    "status": {"status": "Show whether payments turn into sessions: queues, workers, jobs, broker and alarms."},
    "check": {"check": "Print the state in one line for a monitor: exit 0 OK, 1 warning, 2 critical, 3 unknown."},
    "doctor": {"doctor": "Check settings, secrets, database, broker and clock: what is wrong, and how to mend it."},
}
"""Module -> command -> the first sentence of its help."""

COMMANDS = [Lazy(name, module, text) for module, known in SUMMARIES.items() for name, text in known.items()]


@click.group(
    cls=_LazyGroup,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="sessions-per-payment")
def spp() -> None:
    """Sessions Per Payment: paid dues become sessions, exactly once.

    Commands use DATABASE_URL and BROKER_URL if they are set. If not, they use embedded servers on a data folder:
    SPP_DATA, or that of the `spp up` that runs, or `.spp` here or above.
    """


if __name__ == "__main__":
    main()
