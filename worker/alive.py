"""`python -m worker.alive`: whether this machine's worker processes send heartbeats. For container health checks.

Ends with 0 where one of them has written its heartbeat within the last 15 s, else with 1 and a line. It asks the
database, not the broker: a worker without its broker works.
"""

import socket
import sys

from sqlalchemy.exc import SQLAlchemyError

from models.database.engine import make_engine, sessions
from models.errors import SppError
from models.operations import heartbeats
from runtime import settings

FRESH_S = 15.0


def main() -> None:
    """The entry point."""
    here = socket.gethostname() + ":"
    try:
        with sessions(make_engine(settings.load(settings.DatabaseRole.WORKER).database_url)).begin() as session:
            ages = [one.age_s for one in heartbeats.workers(session, limit=10_000) if one.process.startswith(here)]
    except (settings.SettingsError, SppError, SQLAlchemyError) as error:
        sys.exit(f"No heartbeat can be read: {error}")
    if min(ages, default=FRESH_S) >= FRESH_S:
        sys.exit(f"No worker process of {here[:-1]} has sent a heartbeat for {FRESH_S:g} s.")


if __name__ == "__main__":
    main()
