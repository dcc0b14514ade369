"""`spp`, the command line. Every failure is a message and an exit code: 1 refused or failed, 2 wrong usage."""

import sys

import click
from psycopg.errors import InsufficientPrivilege
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError

from console import (
    alert,
    check,
    doctor,
    events,
    ledger_commands,
    memberships,
    pausing,
    pruning,
    queues,
    repairs,
    running,
    sending,
    status,
    users,
)
from local.servers import NoEmbeddedServers, ServerFailed
from local.stack import StackFailed
from models.errors import SppError
from settings import SettingsError


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
    except (SppError, SettingsError, NoEmbeddedServers, ServerFailed, StackFailed) as error:
        sys.exit(f"Error: {error}")
    except OperationalError as error:
        sys.exit(f"Error: the database is not reachable: {str(error.orig).strip()}")
    except ProgrammingError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            sys.exit(
                f"Error: {error.orig.diag.message_primary}: this command needs another database role's password, "
                "or what the roles may do is not up to date: run `spp migrate`."
            )
        sys.exit(f"Error: the database does not have this version's schema; run `spp migrate`. ({error.orig})")
    except DataError as error:
        sys.exit(f"Error: a value is too long or too large: {error.orig}")
    except UnicodeEncodeError:
        sys.exit("Error: an argument is not valid UTF-8.")
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        sys.exit(f"Error: {error}")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="sessions-per-payment")
def spp() -> None:
    """Sessions Per Payment: paid dues become sessions, exactly once.

    Commands use DATABASE_URL and BROKER_URL where they are set, and else embedded
    servers on the folder .spp (or SPP_DATA).
    """


for command in (
    running.up, running.demo_command, running.migrate, running.demo_data,
    memberships.sign_up_command, memberships.member, memberships.redeem, memberships.give_back,
    sending.send, queues.endpoints_command, events.events, events.replay, events.discard,
    pausing.pause, pausing.resume, pausing.pauses_command, ledger_commands.expire, ledger_commands.lapsing,
    ledger_commands.audit, pruning.prune,
    repairs.unmatched, repairs.link, repairs.quarantine, repairs.reconcile,
    users.user, alert.alert, status.status, check.check, doctor.doctor,
):  # fmt: skip
    spp.add_command(command)
