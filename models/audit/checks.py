"""The audit: the chain over the entries, every projection against its entries, every payment against its grants.

What members are shown is read by the same function that shows it, and has to equal the sums of their entries. Each
check proceeds by ids in batches, so that no statement grows with the history.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.audit import chain, results
from models.database.arrays import array
from models.ledger import kinds
from models.payments import settlement
from models.statements import statement
from runtime.language import stored

BATCH = 1000

_ENTRY = stored("entry {entry} {what}")
_ENTRY_OF = stored("entry {entry}, of grant {grant} and member {member}, {what}")
_REWRITTEN = stored("entry {entry}: the chain is not what audit {audit} kept; it was rewritten")
_GRANT = stored("grant {grant}: {what}")
_REMAINING = stored("remaining is {value}, its entries sum to {entered}")
_SHORTFALL = stored("shortfall is {value}, its entries sum to {entered}")
_REVERSED = stored("reversed is {value}, its entries sum to {entered}")
_QUANTITY = stored("quantity is {value}, its entries sum to {entered}")
_NO_ENTRY = stored("no entry made it")
_EXPIRES = stored("it expires {day}, by its entries {entered}")
_MEMBER = stored("member {member} is shown {what}")
_ENTRIES = stored("the entries come to {what}")
_OF_ITEM = stored("{usable} of item {item}")
_FIGURES, _FIGURES_COMING = stored("{usable}, short {short}"), stored("{usable}, {coming} coming, short {short}")
_PAYMENT = stored("payment {payment}: {what}")
_UNSETTLED = stored("its facts and the ledger differ; settling would change it")
_DUES_DIFFER = stored("its facts and what is owed of its dues differ")
_CREDITED_TWICE = stored("credited twice, by grants {grants}")


@dataclass(frozen=True, slots=True)
class Finding:
    """An inconsistency; `what` names the row, and both figures if there are two."""

    grant_id: int | None
    payment_id: int | None
    what: str
    entry_id: int | None = None


class Checked(NamedTuple):
    """The result of one batch: findings, the last id (None at the end), sealed entries verified, and the last seal.

    `left_out` is how many payments it could not judge, because a sweep is to settle them again.
    """

    findings: list[Finding]
    reached: int | None
    entries: int = 0
    head: chain.Head | None = None
    left_out: int = 0


_OF_ENTRIES = text("""
    SELECT e.id, e.grant_id, g.member_id FROM ledger_entries e JOIN credit_grants g ON g.id = e.grant_id
    WHERE e.id = ANY(CAST(:ids AS bigint[]))
""")


def seal(session: Session, after: int, limit: int) -> Checked:
    """Seal what is old enough, as the hourly job does. No findings."""
    return Checked([], after + 1 if chain.seal(session, limit=limit) == limit else None)


def sealed(session: Session, after: int, limit: int, *, up_to: int = chain.LAST_ID) -> Checked:
    """The sealed entries after that one, up to `up_to`, against their chain."""
    walked = chain.walk(session, after, up_to=up_to, limit=limit)
    known = {}
    if walked.broken:
        rows = session.execute(_OF_ENTRIES, {"ids": array(one.entry_id for one in walked.broken)})
        known = {row.id: row for row in rows}
    findings = []
    for entry_id, what in walked.broken:
        if row := known.get(entry_id):
            finding = _ENTRY_OF.format(entry=entry_id, grant=row.grant_id, member=row.member_id, what=what)
        else:
            finding = _ENTRY.format(entry=entry_id, what=what)
        findings.append(Finding(row.grant_id if row else None, None, finding, entry_id))
    return Checked(findings, walked.reached, walked.entries, walked.head)


def heads(session: Session, after: int, limit: int) -> Checked:  # noqa: ARG001 -- one batch: there is one head a night
    """The heads that earlier audits kept, against the chain."""
    return Checked(
        [
            Finding(None, None, _REWRITTEN.format(entry=entry, audit=number), entry)
            for number, entry in results.lost_heads(session)
        ],
        None,
    )


_LAST_GRANT = text("SELECT max(id) FROM (SELECT id FROM credit_grants WHERE id > :after ORDER BY id LIMIT :limit) g")

_GRANTS = text(f"""
    SELECT g.id, g.payment_id, g.remaining, g.shortfall, g.reversed, g.quantity, g.expires_at,
           e.remaining AS entered, e.shortfall AS entered_shortfall, e.reversed AS entered_reversed,
           e.is_granted, e.quantity AS granted, e.expires_at AS entered_expiry
    FROM credit_grants g
    LEFT JOIN LATERAL (
        SELECT {kinds.SUMS}, coalesce(bool_or({kinds.OPENS}), false) AS is_granted
        FROM ledger_entries e WHERE e.grant_id = g.id
    ) e ON true
    WHERE g.id > :after AND g.id <= :last
      AND (g.remaining, g.shortfall, g.reversed, true, g.quantity, g.expires_at)
          IS DISTINCT FROM (e.remaining, e.shortfall, e.reversed, e.is_granted, e.quantity, e.expires_at)
    ORDER BY g.id
""")


def grants(session: Session, after: int, limit: int) -> Checked:
    """What grants show (remaining, shortfall, reversed, expiry) against the sums of their entries."""
    last = session.scalar(_LAST_GRANT, {"after": after, "limit": limit})
    if last is None:
        return Checked([], None)
    findings = []
    for row in session.execute(_GRANTS, {"after": after, "last": last}):
        shown = ((_REMAINING, row.remaining, row.entered), (_SHORTFALL, row.shortfall, row.entered_shortfall),
                 (_REVERSED, row.reversed, row.entered_reversed), (_QUANTITY, row.quantity, row.granted))  # fmt: skip
        wrong = [words.format(value=value, entered=entered) for words, value, entered in shown if value != entered]
        if not row.is_granted:
            wrong.append(_NO_ENTRY)
        elif row.expires_at != row.entered_expiry:
            says, entered = _when(row.expires_at), _when(row.entered_expiry)
            wrong.append(_EXPIRES.format(day=says, entered=entered))
        findings.append(Finding(row.id, row.payment_id, _GRANT.format(grant=row.id, what="; ".join(wrong))))
    return Checked(findings, last)


def _when(expires_at: datetime | None) -> str:
    return f"{expires_at:%Y-%m-%d %H:%M} UTC" if expires_at else "never"


_LAST_MEMBER = text("SELECT max(id) FROM (SELECT id FROM members WHERE id > :after ORDER BY id LIMIT :limit) m")

_ENTERED = text(f"""
    SELECT member_id, item_id,
           CAST(coalesce(sum(remaining) FILTER (
               WHERE effective_at <= clock AND (expires_at IS NULL OR clock < expires_at)), 0) AS bigint) AS usable,
           CAST(coalesce(sum(remaining) FILTER (WHERE effective_at > clock), 0) AS bigint) AS coming,
           CAST(sum(shortfall) AS bigint) AS shortfall
    FROM (
        SELECT g.member_id, g.item_id, g.effective_at, CAST(:now AS timestamptz) + m.clock_ahead AS clock, {kinds.SUMS}
        FROM credit_grants g JOIN members m ON m.id = g.member_id JOIN ledger_entries e ON e.grant_id = g.id
        WHERE g.member_id > :after AND g.member_id <= :last
        GROUP BY g.id, m.id
    ) grants
    GROUP BY member_id, item_id
""")


def shown(session: Session, after: int, limit: int) -> Checked:
    """What the member page and the API show, against the sums of the entries."""
    last = session.scalar(_LAST_MEMBER, {"after": after, "limit": limit})
    if last is None:
        return Checked([], None)
    # Check again: a redemption may have committed between the two reads.
    wrong = {one for one in _misread(session, after, last) if list(_misread(session, one[0] - 1, one[0]))}
    return Checked(
        [Finding(None, None, _MEMBER.format(member=member, what=what)) for member, what in sorted(wrong)], last
    )


def _misread(session: Session, after: int, last: int) -> Iterator[tuple[int, str]]:
    now = datetime.now(UTC)
    entered: defaultdict[int, dict[int, tuple[int, int, int]]] = defaultdict(dict)
    for row in session.execute(_ENTERED, {"after": after, "last": last, "now": now}):
        entered[row.member_id][row.item_id] = (row.usable, row.coming, row.shortfall)
    for member, items in entered.items():
        balances = statement.balances(session, member, now)
        page = {one.item_id: (one.usable + one.frozen, one.coming, one.shortfall) for one in balances}
        for item in items.keys() | page.keys():
            found, summed = page.get(item, (0, 0, 0)), items.get(item, (0, 0, 0))
            if found != summed:
                yield member, f"{_figures(item, *found)}; {_ENTRIES.format(what=_figures(None, *summed))}"


def _figures(item: int | None, usable: int, coming: int, short: int) -> str:
    can_use = _OF_ITEM.format(usable=usable, item=item) if item else usable
    return (_FIGURES_COMING if coming else _FIGURES).format(usable=can_use, coming=coming, short=short)


_ROOTS = text("""
    SELECT id FROM payments WHERE same_as IS NULL AND id > :after ORDER BY id LIMIT :limit
""")

_TWICE = text("""
    SELECT p.root_id, array_agg(g.id ORDER BY g.id) AS grants
    FROM payments p JOIN credit_grants g ON g.payment_id = p.id AND g.reversed < g.quantity
    WHERE p.root_id = ANY(CAST(:roots AS bigint[]))
    GROUP BY 1, g.membership_id, g.item_id, g.tranche HAVING count(*) > 1
    ORDER BY 1
""")


def payments(session: Session, after: int, limit: int) -> Checked:
    """Every payment's facts against its grants and its failed dues, and that no payment was credited twice.

    The payments are locked, and released at once.
    """
    roots = list(session.scalars(_ROOTS, {"after": after, "limit": limit}))
    if not roots:
        return Checked([], None)
    locks = session.begin_nested()
    compared = settlement.compare(session, roots)
    twice = session.execute(_TWICE, {"roots": array(roots)}).all()
    locks.rollback()
    found = [(root, _UNSETTLED) for root in compared.unsettled]
    found += [(root, _DUES_DIFFER) for root in compared.dues]
    found += [(row.root_id, _CREDITED_TWICE.format(grants=" and ".join(map(str, row.grants)))) for row in twice]
    return Checked(
        [Finding(None, root, _PAYMENT.format(payment=root, what=what)) for root, what in sorted(found)],
        roots[-1],
        left_out=compared.waiting,
    )


CHECKS: tuple[Callable[[Session, int, int], Checked], ...] = (seal, sealed, heads, grants, shown, payments)
"""Those that name a wrong row most exactly come first."""

_SIZES = text("""
    SELECT 0, coalesce((SELECT max(id) FROM ledger_entries), 0), 0, coalesce((SELECT max(id) FROM credit_grants), 0),
           coalesce((SELECT max(id) FROM members), 0), coalesce((SELECT max(id) FROM payments), 0)
""")


def sizes(session: Session) -> list[int]:
    """The highest id that each check has to reach."""
    return list(session.execute(_SIZES).one())


def audit(session: Session, *, batch: int = BATCH) -> Iterator[Finding]:
    """All findings, in the order of the checks. One transaction."""
    for check in CHECKS:
        after: int | None = 0
        while after is not None:
            found = check(session, after, batch)
            yield from found.findings
            after = found.reached
