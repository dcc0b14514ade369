"""PURE: the table of exports: what each file has, in which order. Page, API, commands and documentation follow from it.

Rows stand in the order in which they were made. The SQL knows two moments: `:at`, of which the file is, and `:known`,
until when what was recorded counts. Names, addresses and whose something is are those of now.
"""

from collections.abc import Mapping
from typing import NamedTuple

from models.ledger import kinds
from models.moving import columns
from models.moving.columns import NEVER, NO, SEPARATOR, YES, Kind
from models.staff import theirs
from runtime.language import noted


class Column(NamedTuple):
    """One column of a file: its heading, what it says, and the SQL that gives it."""

    name: str
    about: str
    sql: str
    currency: str | None = None
    """SQL for the currency, where it is an amount in minor units."""


class Export(NamedTuple):
    """One kind of file. Its SQL knows `:at`, the moment, and `:known`, until when what was recorded counts."""

    name: str
    about: str
    columns: tuple[Column, ...]
    source: str
    order: str
    whose: str = theirs.member("m.id")
    """SQL: the row is of the clubs `:clubs`, or they are NULL. It goes on the condition at the end of the source."""

    @property
    def sql(self) -> str:
        """All rows of the file, in order."""
        columns = [column.sql for column in self.columns]
        columns += [column.currency for column in self.columns if column.currency]
        return f"SELECT {', '.join(columns)} {self.source} AND {self.whose} ORDER BY {self.order}"


_SUMS = f"""
    CROSS JOIN LATERAL (
        SELECT {kinds.SUMS}, coalesce(-sum(e.quantity) FILTER (WHERE {kinds.USED}), 0) AS used
        FROM ledger_entries e WHERE e.grant_id = g.id AND e.recorded_at <= CAST(:known AS timestamptz)
        HAVING count(*) > 0
    ) s"""
"""SQL: what grant `g` had come to by then; without a row, it was not there yet."""

_USABLE = "g.effective_at <= CAST(:at AS timestamptz) AND coalesce(s.expires_at > CAST(:at AS timestamptz), true)"
_PLAN = """
    CROSS JOIN LATERAL (
        SELECT v.* FROM membership_terms v
        WHERE v.membership_id = ms.id AND v.recorded_at <= CAST(:known AS timestamptz)
        ORDER BY v.since <= :at DESC, CASE WHEN v.since <= :at THEN v.since END DESC, v.since, v.id DESC LIMIT 1
    ) v
    JOIN payment_terms t ON t.id = v.payment_term_id
    JOIN offers o ON o.id = t.offer_id
    LEFT JOIN LATERAL (
        SELECT former.club_id FROM earlier_clubs former
        WHERE former.membership_id = ms.id AND former.until > CAST(:at AS timestamptz)
        ORDER BY former.until, former.id LIMIT 1
    ) former ON true
    JOIN clubs c ON c.id = coalesce(former.club_id, ms.club_id)"""
"""SQL: the terms `v`, payment term `t`, offer `o` and club `c` that membership `ms` had then."""

_THERE = """ms.recorded_at <= CAST(:known AS timestamptz)
        AND coalesce(ms.withdrawn_at > CAST(:known AS timestamptz), true)"""
"""SQL: membership `ms` was there then."""
_COUNTS = """l.membership_id = ms.id AND NOT l.undone AND l.recorded_at <= CAST(:known AS timestamptz)
              AND NOT EXISTS (
                  SELECT FROM life_acts later
                  WHERE later.replaces = l.id AND later.recorded_at <= CAST(:known AS timestamptz)
              )"""
"""SQL: act `l` on membership `ms` counted then."""

_FROZEN = f"""(
        SELECT string_agg(concat(l.first_day, '/', l.last_day), '; ' ORDER BY l.first_day, l.last_day, l.id)
        FROM life_acts l WHERE l.kind = 'freeze' AND {_COUNTS})"""
_ENDS = f"(SELECT max(l.last_day) FROM life_acts l WHERE l.kind = 'end' AND {_COUNTS})"

_MEMBER = (
    Column("member id", "The member's id.", "m.id"),
    Column("email", "The member's e-mail address.", "m.email"),
    Column("name", "The member's name.", "m.name"),
)
_RECORDED_AT = noted("When it was written down, in UTC.")
_ENDPOINT = Column("endpoint", "The endpoint of its payment; empty without one.", "p.endpoint")
_PAYMENT = Column("payment", "The processor's reference of its payment; empty without one.", "p.reference")

_PEOPLE = {
    "email": "m.email",
    "name": "m.name",
    "shares_address": f"CASE WHEN m.shares_email THEN '{YES}' ELSE '{NO}' END",
    "club": "c.name",
    "offer": "o.name",
    "term": "t.name",
    "picks": f"""(
        SELECT string_agg(i.name, ' {SEPARATOR} ' ORDER BY i.name)
        FROM pinned_terms pin JOIN items i ON i.id = pin.item_id WHERE pin.terms_id = v.id)""",
    "joined": """(
        SELECT CAST(min(since) AT TIME ZONE c.time_zone AS date) FROM membership_terms WHERE membership_id = ms.id)""",
    "endpoint": "billed.endpoint",
    "billing_references": "billed.reference",
    # Of memberships that share a reference, the oldest is the payer's.
    "payer": """(
        SELECT payer.email FROM billing_references mine
        JOIN billing_references theirs USING (endpoint, reference)
        JOIN memberships older ON older.id = theirs.membership_id AND older.id < ms.id
        JOIN members payer ON payer.id = older.member_id
        WHERE mine.membership_id = ms.id AND theirs.recorded_at <= CAST(:known AS timestamptz)
        ORDER BY older.id LIMIT 1)""",
    # What was paid until then has given what the balances say.
    "credits_from": "CAST(:at AS timestamptz)",
    "frozen_from": "frozen.first_day",
    "frozen_to": "frozen.last_day",
    "ends": _ENDS,
}
_BALANCES = {
    "email": "m.email",
    "name": "m.name",
    "item": "i.name",
    "left": "b.remaining",
    "of": "b.remaining + b.used",
    "last_day": f"coalesce(CAST(b.last_day AS text), '{NEVER}')",
    "usable_from": "b.starts",
    "value": "NULL",
    "note": "NULL",
}
"""SQL for the columns of the files that can be imported again."""


def _again(kind: Kind, sql: Mapping[str, str]) -> tuple[Column, ...]:
    """The columns of a file that can be imported again, under the names that the import knows."""
    return tuple(Column(one.name, one.takes, sql[one.key]) for one in columns.COLUMNS[kind])


EXPORTS = (
    Export(
        Kind.PEOPLE.value,
        "People with their memberships, to be imported elsewhere: a row per membership. Test members are left out.",
        _again(Kind.PEOPLE, _PEOPLE),
        f"""FROM memberships ms JOIN members m ON m.id = ms.member_id {_PLAN}
        LEFT JOIN LATERAL (
            SELECT min(r.endpoint) AS endpoint,
                   string_agg(concat(r.endpoint, ':', r.reference), ' {SEPARATOR} ' ORDER BY r.endpoint, r.reference)
                       AS reference
            FROM billing_references r
            WHERE r.membership_id = ms.id AND r.recorded_at <= CAST(:known AS timestamptz)
        ) billed ON true
        LEFT JOIN LATERAL (
            -- The one that counts now, or comes next.
            SELECT l.first_day, l.last_day FROM life_acts l
            WHERE l.kind = 'freeze' AND {_COUNTS}
              AND coalesce(l.last_day, 'infinity') >= CAST(CAST(:at AS timestamptz) AT TIME ZONE c.time_zone AS date)
            ORDER BY l.first_day, l.id LIMIT 1
        ) frozen ON true
        WHERE {_THERE} AND m.erased_at IS NULL AND NOT m.is_test""",
        "ms.id",
        theirs.membership("ms.id"),
    ),
    Export(
        Kind.BALANCES.value,
        "Sessions that are left, to be imported elsewhere after the people: a row per member, item and days.",
        _again(Kind.BALANCES, _BALANCES),
        f"""FROM members m CROSS JOIN LATERAL (
            SELECT grants.item_id, grants.last_day, grants.starts, sum(grants.remaining) AS remaining,
                   sum(grants.used) AS used
            FROM (
                SELECT g.item_id, s.remaining, s.used + coalesce((
                           -- What an import wrote as used before it.
                           SELECT -sum(e.quantity) FROM ledger_entries e
                           WHERE e.grant_id = g.id AND e.action_id = g.action_id AND e.quantity < 0
                       ), 0) AS used,
                       CAST((s.expires_at - interval '1 microsecond') AT TIME ZONE c.time_zone AS date) AS last_day,
                       CASE WHEN g.effective_at > :at
                       THEN CAST(g.effective_at AT TIME ZONE c.time_zone AS date) END AS starts
                FROM credit_grants g {_SUMS} LEFT JOIN grant_clubs c ON c.grant_id = g.id
                WHERE g.member_id = m.id AND s.remaining > 0
                  AND coalesce(s.expires_at > CAST(:at AS timestamptz), true)
            ) grants
            GROUP BY grants.item_id, grants.last_day, grants.starts
        ) b JOIN items i ON i.id = b.item_id
        WHERE m.recorded_at <= CAST(:known AS timestamptz) AND m.merged_into IS NULL AND m.erased_at IS NULL
          AND NOT m.is_test""",
        "m.id, i.name, b.starts NULLS FIRST, b.last_day",
    ),
    Export(
        "members",
        "Members with what they can use: a row per item that they ever had.",
        (
            *_MEMBER,
            Column("recorded at", "When the member was first written down, in UTC.", "m.recorded_at"),
            Column("item", "The item; empty for a member who never had sessions.", "b.item"),
            Column("usable", "Sessions that can be used.", "b.usable"),
            Column("coming", "Sessions that become usable on a later day.", "b.coming"),
            Column("shortfall", "Sessions used whose payment was reversed, not repaid yet.", "b.shortfall"),
            Column("next expiry", "When the first of the usable sessions expire, in UTC; empty: never.", "b.next"),
        ),
        f"""FROM members m LEFT JOIN LATERAL (
            SELECT i.name AS item, coalesce(sum(s.remaining) FILTER (WHERE {_USABLE}), 0) AS usable,
                   coalesce(sum(s.remaining) FILTER (WHERE g.effective_at > :at), 0) AS coming,
                   sum(s.shortfall) AS shortfall,
                   min(s.expires_at) FILTER (WHERE {_USABLE} AND s.remaining > 0) AS next
            FROM credit_grants g {_SUMS} JOIN items i ON i.id = g.item_id
            WHERE g.member_id = m.id GROUP BY i.name
        ) b ON true
        WHERE m.recorded_at <= CAST(:known AS timestamptz) AND m.merged_into IS NULL""",
        "m.id, b.item",
    ),
    Export(
        "memberships",
        "Memberships with the plan, club and life that they have.",
        (
            Column("membership id", "The membership's id.", "ms.id"),
            *_MEMBER,
            Column("club", "The club.", "c.name"),
            Column("offer", "The offer.", "o.name"),
            Column("term", "The payment term.", "t.name"),
            Column("picks", "The items that it gives, apart by semicolons.", """(
                SELECT string_agg(i.name, '; ' ORDER BY i.name)
                FROM pinned_terms pin JOIN items i ON i.id = pin.item_id WHERE pin.terms_id = v.id)"""),
            Column("dues", "The dues.", "v.dues_minor", "ms.currency"),
            Column("currency", "The currency of the dues.", "ms.currency"),
            Column("interval", "How often dues are paid: `1 month`.", "concat(v.interval_count, ' ', v.interval)"),
            Column("signed up at", "When it was signed up for, in UTC.", "ms.recorded_at"),
            Column("references", "Its billing references as endpoint:reference, apart by semicolons.", """(
                SELECT string_agg(concat(r.endpoint, ':', r.reference), '; ' ORDER BY r.endpoint, r.reference)
                FROM billing_references r
                WHERE r.membership_id = ms.id AND r.recorded_at <= CAST(:known AS timestamptz))"""),
            Column("frozen", "Its freezes as first/last local day; no last day: until further notice.", _FROZEN),
            Column("ends", "Its last local day; empty: it has no end.", _ENDS),
        ),
        f"""FROM memberships ms JOIN members m ON m.id = ms.member_id {_PLAN}
        WHERE {_THERE}""",
        "ms.id",
        theirs.membership("ms.id"),
    ),
    Export(
        "grants",
        "Grants with what of each was used and what is left.",
        (
            Column("grant id", "The grant's id.", "g.id"),
            *_MEMBER,
            Column("membership id", "The membership whose dues gave it; empty: given by hand.", "g.membership_id"),
            Column("item", "The item.", "i.name"),
            _ENDPOINT,
            _PAYMENT,
            Column("given by", "The person who gave it by hand.", "a.actor"),
            Column("quantity", "Sessions that it gave.", "s.quantity"),
            Column("used", "Sessions that were used and not returned.", "s.used"),
            Column("remaining", "Sessions that are left.", "s.remaining"),
            Column("shortfall", "Sessions used whose payment was reversed, not repaid yet.", "s.shortfall"),
            Column("reversed", "Sessions whose money went back.", "s.reversed"),
            Column("usable from", "From when it can be used, in UTC.", "g.effective_at"),
            Column("expires at", "Until when it can be used, in UTC; empty: it never expires.", "s.expires_at"),
            Column("last day", "The last local day on which it can be used.",
                   "CAST((s.expires_at - interval '1 microsecond') AT TIME ZONE c.time_zone AS date)"),
            Column("club", "The club by whose days it expires: its home.", "c.club"),
            Column("good at", "Where it can be used: home, all, or the clubs, apart by semicolons.", """
                CASE WHEN g.club_ids IS NULL THEN 'all' WHEN g.club_ids = '{}' THEN 'home' ELSE (
                    SELECT string_agg(name, '; ' ORDER BY name) FROM clubs WHERE id = ANY(g.club_ids)) END"""),
        ),
        f"""FROM credit_grants g {_SUMS}
        JOIN members m ON m.id = g.member_id
        JOIN items i ON i.id = g.item_id
        LEFT JOIN grant_clubs c ON c.grant_id = g.id
        LEFT JOIN payments p ON p.id = g.payment_id
        LEFT JOIN actions a ON a.id = g.action_id
        WHERE true""",
        "g.id",
    ),
    Export(
        "entries",
        "The ledger: every movement of sessions, with its cause.",
        (
            Column("entry id", "The entry's id.", "e.id"),
            Column("occurred at", "When it happened, in UTC.", "e.occurred_at"),
            Column("recorded at", _RECORDED_AT, "e.recorded_at"),
            Column("kind", "The kind of entry.", "e.kind"),
            *_MEMBER,
            Column("grant id", "The grant that it moves.", "e.grant_id"),
            Column("item", "The item.", "i.name"),
            Column("quantity", "Sessions that can be used: more, or fewer.", "e.quantity"),
            Column("shortfall", "Its movement of the shortfall.", "e.shortfall"),
            Column("reversed", "Its movement of the sessions whose money went back.", "e.reversed"),
            Column("expires at", "The expiry that it sets, in UTC.", "e.expires_at"),
            _ENDPOINT,
            _PAYMENT,
            Column("event id", "The webhook event that told of it, as the processor calls it.", "w.event_id"),
            Column("redemption id", "The redemption or return.", "e.redemption_id"),
            Column("action id", "The act of the person who did it.", "e.action_id"),
            Column("actor", "The person who did it.", "a.actor"),
            Column("counter grant id", "The other grant of a debt repayment.", "e.counter_grant_id"),
            Column("note", "What was noted.", "e.note"),
        ),
        """FROM ledger_entries e
        JOIN credit_grants g ON g.id = e.grant_id
        JOIN members m ON m.id = g.member_id
        JOIN items i ON i.id = g.item_id
        LEFT JOIN payment_facts f ON f.id = e.fact_id
        LEFT JOIN payments p ON p.id = f.payment_id
        LEFT JOIN webhook_events w ON w.id = f.event_id
        LEFT JOIN actions a ON a.id = e.action_id
        WHERE e.recorded_at <= CAST(:known AS timestamptz)""",
        "e.id",
    ),
    Export(
        "redemptions",
        "Redemptions and returns, each with what was said about it.",
        (
            Column("redemption id", "The id of the redemption or return.", "r.id"),
            Column("returns", "Of a return: the redemption that it undoes.", "r.undoes"),
            *_MEMBER,
            Column("item", "The item.", "i.name"),
            Column("quantity", "Sessions that were used or returned.", "r.quantity"),
            Column("occurred at", "When it happened, in UTC.", "r.occurred_at"),
            Column("recorded at", _RECORDED_AT, "r.recorded_at"),
            Column("club", "The club where it was.", "c.name"),
            Column("class reference", "The class as the scheduler calls it.", "r.class_reference"),
            Column("class name", "The class.", "r.class_name"),
            Column("trainer", "The trainer.", "r.trainer"),
            Column("note", "What was noted.", "r.note"),
            Column("actor", "The person or program that did it.", "by.actor"),
        ),
        """FROM redemptions r
        JOIN items i ON i.id = r.item_id
        LEFT JOIN clubs c ON c.id = r.club_id
        LEFT JOIN LATERAL (
            SELECT g.member_id, a.actor FROM ledger_entries e
            JOIN credit_grants g ON g.id = e.grant_id LEFT JOIN actions a ON a.id = e.action_id
            WHERE e.redemption_id = r.id ORDER BY e.id LIMIT 1
        ) by ON true
        JOIN members m ON m.id = coalesce(by.member_id, r.member_id)
        WHERE r.recorded_at <= CAST(:known AS timestamptz)""",
        "r.id",
    ),
    Export(
        "payments",
        "Payments with what each gave: a row per membership and item, one row for a payment that gave nothing.",
        (
            Column("payment id", "The payment's id.", "p.id"),
            _ENDPOINT._replace(about=noted("The endpoint that told of it.")),
            _PAYMENT._replace(about=noted("The processor's reference.")),
            Column("paid at", "When it was paid, in UTC.", "p.paid_at"),
            Column("amount", "What was paid.", "p.amount_minor", "p.currency"),
            Column("currency", "The currency of the amount.", "p.currency"),
            Column("state", "The state of the payment now.", "p.state"),
            Column("membership id", "The membership that it is for; empty: none is known.", "ms.id"),
            *_MEMBER,
            Column("item", "The item of which it gave sessions.", "i.name"),
            Column("quantity", "Sessions that it gave.", "gave.quantity"),
            Column("reversed", "Those of them whose money went back.", "gave.reversed"),
        ),
        f"""FROM paid_payments p
        LEFT JOIN LATERAL (
            SELECT g.membership_id, g.item_id, sum(s.quantity) AS quantity, sum(s.reversed) AS reversed
            FROM payments same JOIN credit_grants g ON g.payment_id = same.id {_SUMS}
            WHERE same.root_id = p.id GROUP BY g.membership_id, g.item_id
        ) gave ON true
        LEFT JOIN memberships ms ON ms.id = coalesce(gave.membership_id, p.membership_id)
        LEFT JOIN members m ON m.id = ms.member_id
        LEFT JOIN items i ON i.id = gave.item_id
        WHERE EXISTS (
            SELECT FROM payments same JOIN payment_facts f ON f.payment_id = same.id
            WHERE same.root_id = p.id AND f.kind = 'paid' AND f.recorded_at <= CAST(:known AS timestamptz)
        )""",
        "p.id, ms.id, i.name",
        theirs.payment("p.id"),
    ),
    Export(
        "actions",
        "The action log: who did what, when, from where and why.",
        (
            Column("action id", "The action's id.", "a.id"),
            Column("recorded at", "When it was done, in UTC.", "a.recorded_at"),
            Column("actor", "The person, or the program with that person's token.", "a.actor"),
            Column("origin", "An address, or the command line.", "a.origin"),
            Column("verb", "What was done.", "a.verb"),
            Column("subject", "To what.", "a.subject"),
            Column("member id", "To which member.", "a.member_id"),
            Column("reason", "Why.", "a.reason"),
        ),
        "FROM actions a WHERE a.recorded_at <= CAST(:known AS timestamptz)",
        "a.id",
        theirs.member("a.member_id"),
    ),
)  # fmt: skip
BY_NAME = {export.name: export for export in EXPORTS}
