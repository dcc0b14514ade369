"""Figures: the backlog of the inbox and of payments, and recent traffic, per endpoint and in total.

From PostgreSQL alone, so that they survive restarts and cost the workers nothing; no query here grows with the history.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, func, select, text
from sqlalchemy.orm import Session, sessionmaker

from models.operations import backlog, traffic
from models.operations.recent import Recent
from runtime.settings import Endpoint

NOW_S, DAY_S = 5, 60
"""How old figures of the present and of the day may be that several viewers share."""


@dataclass(frozen=True, slots=True)
class EndpointFigures:
    """The figures of one endpoint, or of all together. Durations in seconds; None if there is nothing to measure."""

    due: int = 0
    """To be credited or fetched now; without what is paused."""
    oldest_due_s: float | None = None
    """How long the first of them has been due."""
    paused_due: int = 0
    """Due, but waiting because their endpoint is paused."""
    retrying: int = 0
    """Failed, and waiting for their next try."""
    thin: int = 0
    """Waiting until what they name is fetched, due or not."""
    waiting: int = 0
    """Of these, waiting for their processor: its API does not answer, or what they name is not final yet."""
    longest_waiting_s: float | None = None
    """How long the first of them has waited so."""
    failing: int = 0
    """Failed, and tried again for more than FAILING_S."""
    longest_failing_s: float | None = None
    """How long ago the first of them was received."""
    late: int = 0
    """Waiting too long: due, failing, or waiting for their processor, each for longer than backlog.py says."""
    oldest_late_s: float | None = None
    """How long the first of them has waited."""
    dead: int = 0
    """Failed: given up after the last try."""
    oldest_dead_s: float | None = None
    """How long ago the first of them was received."""
    quarantined: int = 0
    oldest_quarantined_s: float | None = None
    """How long ago the first of them was received."""
    in_review: int = 0
    """Payments that staff must look at, whatever they gave."""
    oldest_in_review_s: float | None = None
    """How long the first of them has been in review."""
    nothing: int = 0
    """Of these, those that gave their membership no sessions by its terms; the next five gave none either."""
    extra: int = 0
    """Of these, those that were paid beside the dues."""
    frozen: int = 0
    """Of these, dues that were paid on a frozen day."""
    ended: int = 0
    """Of these, those for a time after the end of their membership."""
    erased: int = 0
    """Of these, those whose member was erased."""
    payer_only: int = 0
    """Of these, those of which only the payer is known."""
    unmatched: int = 0
    """Of these, those that are nobody's yet."""
    oldest_unmatched_s: float | None = None
    """How long the first of them has been in review."""
    held: int = 0
    """Of these, those that credit nothing until a contradiction is corrected."""
    received_minute: int = 0
    received_hour: int = 0
    received_day: int = 0
    credited_minute: int = 0
    """Events processed, by when they were."""
    credited_hour: int = 0
    credited_day: int = 0
    p50_hour_s: float | None = None
    """From being posted to being credited, of what was received in the last hour; backfilled events left out."""
    p99_hour_s: float | None = None
    p50_day_s: float | None = None
    p99_day_s: float | None = None
    answered_hour: int = 0
    """Everything that came and was answered: events, and deliveries that were refused."""
    answered_day: int = 0
    duplicates_hour: int = 0
    duplicates_day: int = 0
    bad_signatures_hour: int = 0
    bad_signatures_day: int = 0

    @property
    def received_per_s(self) -> float:
        """Over the last minute."""
        return self.received_minute / 60

    @property
    def credited_per_s(self) -> float:
        """Over the last minute."""
        return self.credited_minute / 60

    @property
    def bad_signature_rate(self) -> float:
        """The share of what was answered in the last hour, 0 to 1."""
        return self.bad_signatures_hour / self.answered_hour if self.answered_hour else 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of one moment."""

    at: datetime
    """UTC, by the database's clock."""
    endpoints: Mapping[str, EndpointFigures]
    """The configured ones in their order, then what is configured no more but still has figures."""
    total: EndpointFigures
    expired_grants: int
    """Expired and written down since midnight UTC, without what was undone."""
    expired_sessions: int
    double_credits: int
    """Grants more than there are payments for them, among the latest grants: must be 0. The audit looks at all."""


@dataclass(slots=True)
class _Part:
    """Some of the figures: by endpoint, None for all together, and those of the whole."""

    by: defaultdict[str | None, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    whole: dict[str, Any] = field(default_factory=dict)


# One grant of an item for one reference, membership and tranche is the database's own constraint: only references that
# are joined can have two.
_DOUBLE = text("""
    SELECT coalesce(sum(grants - 1), 0)::bigint AS double_credits FROM (
        SELECT count(*) AS grants
        FROM (
            SELECT payment_id, membership_id, item_id, tranche FROM credit_grants
            WHERE reversed < quantity AND payment_id IS NOT NULL
            ORDER BY id DESC LIMIT 20000
        ) latest
        JOIN payments p ON p.id = latest.payment_id
        GROUP BY p.root_id, latest.membership_id, latest.item_id, latest.tranche
    ) counted
""")

_EXPIRED = text("""
    SELECT coalesce(sum(grants - undone_grants), 0)::bigint AS expired_grants,
           coalesce(sum(sessions - undone_sessions), 0)::bigint AS expired_sessions
    FROM expiry_runs WHERE started_at >= date_trunc('day', now(), 'UTC')
""")


def overview(session: Session, endpoints: Iterable[Endpoint]) -> Figures:
    """The figures of this moment."""
    return _joined(_present(session), _day(session), endpoints)


class Overview:
    """The figures for many viewers at the cost of one: those of the present at most `now_s` old, of the day 60 s."""

    def __init__(self, make: sessionmaker[Session], endpoints: Iterable[Endpoint], now_s: float = NOW_S) -> None:
        def look() -> _Part:
            with make() as session:
                return _present(session)

        def look_back() -> _Part:
            with make() as session:
                return _day(session)

        self._endpoints = tuple(endpoints)
        self._present, self._day = Recent(look, now_s), Recent(look_back, DAY_S)

    def now(self) -> Figures:
        """The figures as they are kept now. Raises SQLAlchemyError where the database does not answer."""
        return _joined(self._present(), self._day(), self._endpoints)


def _present(session: Session) -> _Part:
    part = _gathered(session, (*backlog.NOW, *traffic.LAST_MINUTE))
    part.whole = {"at": session.scalars(select(func.now())).one()}
    return part


def _day(session: Session) -> _Part:
    part = _gathered(session, traffic.LAST_DAY)
    for query in (_DOUBLE, _EXPIRED):
        part.whole |= session.execute(query).mappings().one()
    return part


def _gathered(session: Session, queries: Iterable[TextClause]) -> _Part:
    part = _Part()
    for query in queries:
        for row in session.execute(query).mappings():
            figures = dict(row)
            part.by[figures.pop("endpoint")] |= figures
    return part


def _joined(present: _Part, day: _Part, endpoints: Iterable[Endpoint]) -> Figures:
    names = [*dict.fromkeys([endpoint.name for endpoint in endpoints])]
    names += sorted({name for part in (present, day) for name in part.by if name is not None} - set(names))

    def of(name: str | None) -> EndpointFigures:
        return EndpointFigures(**present.by.get(name, {}), **day.by.get(name, {}))

    return Figures(endpoints={name: of(name) for name in names}, total=of(None), **present.whole, **day.whole)
