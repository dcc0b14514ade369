"""`spp`, the command line. Every failure is a message and an exit code: 1 refused or failed, 2 wrong usage.

A command's module is loaded when the command runs, so that none waits for what others need.
"""

import gc
import sys
from importlib import import_module

import click


def main() -> None:
    """The entry point: turns what can go wrong into a message."""
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
    """A command that is known by its name and by what it does, until it is loaded from `module:attribute`."""

    def __init__(self, name: str, target: str, does: str) -> None:
        super().__init__(name, short_help=does)
        self._target = target

    def load(self) -> click.Command:
        """The command itself."""
        module, _, attribute = self._target.partition(":")
        if module not in sys.modules:
            # What modules make stays: looking it through for garbage would take a fifth of the start.
            gc.disable()
            try:
                import_module(module)
            finally:
                gc.freeze()
                gc.enable()
        command: click.Command = getattr(sys.modules[module], attribute)
        return command


class _LazyGroup(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Loads the command that is asked for."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Lazy) else command, rest


COMMANDS = (
    Lazy("up", "console.cli.running:up", "Run everything on this machine until Ctrl-C; data is kept between runs."),
    Lazy(
        "demo", "console.cli.running:demo_command",
        "Tell the whole story on a real stack of its own, and check every balance.",
    ),
    Lazy("migrate", "console.cli.running:migrate", "Bring the database to this version's schema."),
    Lazy(
        "demo-data", "console.cli.running:demo_data",
        "Make a small gym with three members; on an embedded database also a login for the console.",
    ),
    Lazy("sign-up", "console.cli.memberships:sign_up_command", "Sign a member up for an offer, and pin its terms."),
    Lazy(
        "member", "console.cli.memberships:member",
        "Show a member's balances, grants, and entries with the cause of each.",
    ),
    Lazy(
        "redeem", "console.cli.memberships:redeem", "Take sessions of an item from a member, soonest to expire first."
    ),
    Lazy(
        "give-back", "console.cli.memberships:give_back",
        "Return sessions of a redemption to the grants they came from.",
    ),
    Lazy(
        "adjust", "console.cli.adjusting:adjust",
        "Give a member sessions, as by 2, or take some, as by -2, with a reason.",
    ),
    Lazy(
        "extend", "console.cli.adjusting:extend",
        "Let a grant expire later: its sessions can be used until the end of LAST_DAY at the club.",
    ),
    Lazy("send", "console.cli.sending:send", "Sign a body as the endpoint's processor would, and post it."),
    Lazy(
        "endpoints", "console.cli.endpoints:endpoints_command",
        "List the webhook endpoints, and what is declared of their processors.",
    ),
    Lazy("events", "console.cli.events:events", "List webhook events, the newest first, or show one."),
    Lazy(
        "replay", "console.cli.events:replay",
        "Send events through the same path again: these, or all that match.",
    ),
    Lazy(
        "discard", "console.cli.events:discard",
        "Decide that dead or quarantined events have no effect: these, or all that match.",
    ),
    Lazy("pause", "console.cli.pausing:pause", "Let nothing of an endpoint be processed until it is resumed."),
    Lazy(
        "resume", "console.cli.pausing:resume",
        "Let an endpoint's events be processed again, what has waited first.",
    ),
    Lazy("pauses", "console.cli.pausing:pauses_command", "List what is paused, by whom, since when and why."),
    Lazy("expire", "console.cli.ledger_commands:expire", "Write down the sessions that have expired."),
    Lazy(
        "expiring", "console.cli.ledger_commands:expiring",
        "Tell what expires next, by club and item: sessions whose last usable day is one of the coming ones.",
    ),
    Lazy("audit", "console.cli.ledger_commands:audit", "Check everything there is against everything else."),
    Lazy(
        "prune", "console.cli.pruning:prune",
        "Give up the bodies of old events that are done with, as workers do each night.",
    ),
    Lazy(
        "unmatched", "console.cli.repairs:unmatched",
        "List paid dues without sessions: those that no membership has claimed yet, then those that are held.",
    ),
    Lazy(
        "link", "console.cli.repairs:link",
        "Let a membership have the payments with this billing reference, those that wait and those to come.",
    ),
    Lazy(
        "set-aside", "console.cli.repairs:set_aside",
        "Take an unmatched or held payment out of the lists and alarms: it is not dues of any member here.",
    ),
    Lazy(
        "quarantine", "console.cli.repairs:quarantine",
        "List what is authentic but cannot count; show, release or discard it.",
    ),
    Lazy(
        "reconcile", "console.cli.repairs:reconcile",
        "Ask the processors what was paid and refunded, and take in what their webhooks did not tell.",
    ),
    Lazy(
        "user", "console.cli.users:user",
        "List the staff accounts; add, disable or enable one, or give it a new password.",
    ),
    Lazy("token", "console.cli.tokens:token", "List the tokens of the JSON API; make or revoke one."),
    Lazy("alert", "console.cli.alerts:alert", "Alarms: what lasts, and whether people can be told."),
    Lazy(
        "status", "console.cli.status:status",
        "Show whether money is turning into sessions: queues, figures, workers, jobs, broker and alarms.",
    ),
    Lazy(
        "check", "console.cli.check:check",
        "Say in one line how it goes, for a monitor: exit 0 well, 1 warning, 2 critical, 3 not known.",
    ),
    Lazy(
        "doctor", "console.cli.doctor:doctor",
        "Look at settings, secrets, database, broker and clock: what is wrong, and how to mend it.",
    ),
)  # fmt: skip


@click.group(
    cls=_LazyGroup,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="sessions-per-payment")
def spp() -> None:
    """Sessions Per Payment: paid dues become sessions, exactly once.

    Commands use DATABASE_URL and BROKER_URL where they are set, and else embedded
    servers on the folder .spp (or SPP_DATA).
    """
