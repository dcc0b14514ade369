"""What is in the database, against what was counted."""

import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from bench.site import Site
from bench.storm.counted import Counted
from bench.storm.faults import SPP
from bench.storm.people import People

_DAYS = """
    SELECT g.membership_id, i.name, CAST(g.expires_at AT TIME ZONE 'America/Chicago' AS date) - 1, count(*)
    FROM credit_grants g JOIN items i ON i.id = g.item_id
    WHERE g.payment_id IS NOT NULL AND g.reversed < g.quantity GROUP BY 1, 2, 3
"""
_BALANCES = """
    SELECT g.member_id, i.name, sum(g.remaining - g.shortfall)
    FROM credit_grants g JOIN items i ON i.id = g.item_id GROUP BY 1, 2
"""


class Checking:
    """Asks the database directly, past everything that is broken."""

    def __init__(
        self, site: Site, database: str, counted: Counted, people: People, environment: Mapping[str, str]
    ) -> None:
        self._site, self._database, self._environment = site, database, environment
        self._counted, self._people = counted, people

    def compare(self) -> Iterator[str]:
        """Yields each difference."""
        for endpoint, times in self._query("SELECT endpoint, count(*) FROM webhook_events GROUP BY 1 ORDER BY 1"):
            if times != self._counted.events[endpoint]:
                yield f"{endpoint} has {times} events, and told {self._counted.events[endpoint]}"
        for endpoint in self._counted.events.keys() - {
            row[0] for row in self._query("SELECT endpoint FROM webhook_events")
        }:
            yield f"{endpoint} has no events, and told {self._counted.events[endpoint]}"
        yield from self._compare_balances()
        yield from self._compare_days()
        if (unmatched := self._count("payments WHERE state = 'unmatched'")) != self._counted.unmatched():
            yield f"{unmatched} payments are unmatched, and {self._counted.unmatched()} should be"

    def _compare_balances(self) -> Iterator[str]:
        found = Counter({(member, item): int(left) for member, item, left in self._query(_BALANCES)})
        wanted = Counter({(self._people.members[place], item): n for (place, item), n in self._counted.left().items()})
        for member, item in sorted({*found, *wanted}):
            if found[member, item] != wanted[member, item]:
                yield f"member {member} has {found[member, item]} of {item} instead of {wanted[member, item]}"

    def _compare_days(self) -> Iterator[str]:
        found: dict[int, Counter[tuple[str, date]]] = {}
        for membership, item, day, times in self._query(_DAYS):
            found.setdefault(membership, Counter())[item, day] = times
        for place, membership in self._people.memberships.items():
            has, wanted = found.pop(membership, Counter()), self._counted.last_days(place)
            if has != wanted:
                more, less = sorted((has - wanted).items()), sorted((wanted - has).items())
                yield f"membership {membership} has last days {more} instead of {less}"
        for membership in found:
            yield f"membership {membership} has grants, and should not be there"

    def audit(self) -> Iterator[str]:
        """Yields what the service's own audit finds."""
        done = subprocess.run([SPP, "audit"], env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode:
            yield f"the audit: {done.stdout}{done.stderr}"

    def due(self) -> int:
        """What is not worked off."""
        return self._count("webhook_events WHERE state = 'pending'") + self._count("payments WHERE settle_again")

    def never(self) -> int:
        """Events that will not be due for a day or more."""
        return self._count("webhook_events WHERE state = 'pending' AND next_attempt_at > now() + interval '1 day'")

    def failed_events(self) -> int:
        """Events that need a person."""
        return self._count("webhook_events WHERE state IN ('dead', 'quarantined')")

    def now(self) -> datetime:
        """The database's time."""
        found: datetime = self._query("SELECT clock_timestamp()")[0][0]
        return found

    def has_swept(self, since: datetime) -> bool:
        """Whether a sweep has begun and ended since then."""
        return bool(
            self._query(
                "SELECT 1 FROM jobs WHERE name = 'sweep' AND started_at > %s AND finished_at >= started_at", since
            )
        )

    def _count(self, what: str) -> int:
        return int(self._query(f"SELECT count(*) FROM {what}")[0][0])

    def _query(self, query: str, *values: object) -> list[Any]:
        with self._site.connect(self._database) as connection:
            return connection.execute(query.encode(), values or None).fetchall()
