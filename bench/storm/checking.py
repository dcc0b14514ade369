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
        stored = Counter(dict(self._query("SELECT endpoint, count(*) FROM webhook_events GROUP BY 1")))
        for endpoint in sorted({*stored, *self._counted.events}):
            if stored[endpoint] != self._counted.events[endpoint]:
                yield f"{endpoint} has {stored[endpoint]} events, and told {self._counted.events[endpoint]}"
        yield from self._compare_balances()
        yield from self._compare_days()
        if (unmatched := self._count("payments WHERE state = 'unmatched'")) != self._counted.unmatched():
            yield f"{unmatched} payments are unmatched, and {self._counted.unmatched()} should be"

        yield from self._compare_acts()

    def _compare_acts(self) -> Iterator[str]:
        """No act is lost that was acknowledged, and none is done that nobody knows of."""
        made = self._people.made
        kept = dict(self._query("SELECT id, quantity FROM redemptions WHERE undoes IS NULL"))
        for number in sorted({*kept, *made.redeemed}):
            if (has := kept.get(number, 0)) != (wanted := made.redeemed.get(number, 0)):
                yield f"redemption {number} has taken {has} instead of {wanted}"
        returned = self._sum("redemptions WHERE undoes IS NOT NULL")
        by_hand = self._sum("adjustments WHERE approved")
        if returned != made.returned:
            yield f"{returned} were returned instead of {made.returned}"
        if by_hand != made.by_hand:
            yield f"{by_hand} were given by hand instead of {made.by_hand}"

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

    def never(self, since: datetime) -> int:
        """Events that wait longer than any here may, although a sweep has looked at them since then."""
        if not self.has_swept(since):
            return 0
        return self._count("webhook_events WHERE state = 'pending' AND next_attempt_at > now() + interval '1 minute'")

    def stuck(self) -> list[Any]:
        """Some of what is not worked off, to look at."""
        return self._query(
            "SELECT id, endpoint, attempts, thin, next_attempt_at - now(), waits_since, left(error, 200) "
            "FROM webhook_events WHERE state = 'pending' ORDER BY id LIMIT 5"
        )

    def failed_events(self) -> int:
        """Events that need a person."""
        return self._count("webhook_events WHERE state IN ('dead', 'quarantined')")

    def now(self) -> datetime:
        """The database's time."""
        found: datetime = self._query("SELECT clock_timestamp()")[0][0]
        return found

    def has_swept(self, since: datetime) -> bool:
        """Whether a sweep has begun and ended since then, by a clock that is right."""
        swept = "started_at > %s AND finished_at BETWEEN started_at AND clock_timestamp()"
        return bool(self._query(f"SELECT 1 FROM jobs WHERE name = 'sweep' AND {swept}", since))

    def _count(self, what: str) -> int:
        return int(self._query(f"SELECT count(*) FROM {what}")[0][0])

    def _sum(self, what: str) -> int:
        return int(self._query(f"SELECT coalesce(sum(quantity), 0) FROM {what}")[0][0])

    def _query(self, query: str, *values: object) -> list[Any]:
        with self._site.connect(self._database) as connection:
            return connection.execute(query.encode(), values or None).fetchall()
