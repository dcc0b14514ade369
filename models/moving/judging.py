"""Judging a file: each row by itself and with what is here, then with the other rows. Main verb: `judge`.

Nothing but the rows of the import is changed, so this is the dry run; the writing begins with it too.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import Batch
from models.errors import AddressOfSeveral, PayerUnknown, ReferenceInSeveralRows, RowTwice, SppError
from models.moving import balances, people
from models.moving.cells import Catalogue, Cells
from models.moving.columns import COLUMNS, Kind
from models.moving.judged import Judged
from models.moving.tables import Import, Verdict
from runtime.language import stored

BATCH = 2_000

_NEXT = text("""
    SELECT number, cells FROM import_rows WHERE import_id = :id AND number > :after ORDER BY number LIMIT :limit
""")

_JUDGED = Batch(
    """
    UPDATE import_rows r
    SET verdict = new.verdict, problems = CAST(new.problems AS jsonb), parsed = CAST(new.parsed AS jsonb),
        address = new.address, person = new.person, payer = new.payer,
        billing = string_to_array(nullif(new.billing, ''), ' '), row_key = new.row_key,
        shares_address = new.shares_address, club = new.club, what = new.what, sessions = new.sessions,
        member_id = new.member_id, membership_id = new.membership_id, grant_id = new.grant_id, made_by = NULL
    FROM ROWS WHERE r.import_id = :id AND r.number = new.number
    """,
    number="int", verdict="text", problems="text", parsed="text", address="text", person="text", payer="text",
    billing="text", row_key="text", shares_address="boolean", club="text", what="text", sessions="int",
    member_id="bigint", membership_id="bigint", grant_id="bigint",
)  # fmt: skip


def judge(
    session: Session, made: Import, *, endpoints: Sequence[str] | frozenset[str], now: datetime,
    progress: Callable[[int], object] = lambda _: None,
) -> None:  # fmt: skip
    """Give every row its verdict, and the import its counts. `progress` gets the number of rows done."""
    kind, known, keys = Kind(made.kind), Catalogue(session, endpoints), made.keys
    required = [column.key for column in COLUMNS[kind] if column.required]
    after = done = 0
    while found := session.execute(_NEXT, {"id": made.id, "after": after, "limit": BATCH}).all():
        after = found[-1].number
        rows = [
            (number, Cells({key: cell for key, cell in zip(keys, cells, strict=True) if key}, required))
            for number, cells in found
        ]
        if kind == Kind.PEOPLE:
            verdicts = people.judge(session, rows, known, made.credits_from, now)
        else:
            verdicts = balances.judge(session, rows, known, now)
        _JUDGED.execute(session, [_columns(one) for one in verdicts], id=made.id)
        done += len(found)
        progress(done)
    with hashed(session):
        _with_other_rows(session, made)
    counts: dict[str, int] = dict(session.execute(_COUNTS, {"id": made.id}).all())
    made.new_rows, made.same_rows, made.conflict_rows, made.refused_rows = (
        counts.get(verdict.value, 0) for verdict in Verdict
    )


def _columns(one: Judged) -> tuple[object, ...]:
    problems = json.dumps([problem._asdict() for problem in one.problems]) if one.problems else None
    parsed = json.dumps(one.parsed) if one.parsed else None
    return (
        one.number, one.verdict.value, problems, parsed, one.address, one.person, one.payer, " ".join(one.billing),
        one.row_key, one.shares_address, one.club, one.what, one.sessions, one.member_id, one.membership_id,
        one.grant_id,
    )  # fmt: skip


_COUNTS = text("SELECT verdict, count(*) FROM import_rows WHERE import_id = :id GROUP BY verdict")

_LOOPS = text("SELECT set_config('enable_nestloop', :on, true)")


@contextmanager
def hashed(session: Session) -> Iterator[None]:
    """Join by hashes in the block: of rows that were never analyzed PostgreSQL expects few, and would loop over them.

    Nested loops over all rows of a large file would take hours.
    """
    session.execute(_LOOPS, {"on": "off"})
    yield
    session.execute(_LOOPS, {"on": "on"})


_SHOWN = 10
"""So many of the rows that are alike are named."""


def _refuse(who: str) -> str:
    """SQL that refuses the rows (`number`, and `others` that are alike) of a query."""
    return f"""
        UPDATE import_rows r
        SET verdict = 'refused',
            problems = CASE WHEN r.verdict = 'refused' THEN coalesce(r.problems, '[]') ELSE '[]' END
                || jsonb_build_array(jsonb_build_object('column', CAST(:column AS text), 'message',
                       replace(CAST(:message AS text), '(ROWS)', array_to_string(alike.others[1:{_SHOWN}], ', ')
                           || CASE WHEN cardinality(alike.others) > {_SHOWN} THEN ', ...' ELSE '' END)))
        FROM ({who}) alike
        WHERE r.import_id = :id AND r.number = alike.number
    """


# Among those with one address, all who do not say that they share it have to be one person.
_OF_SEVERAL = _refuse("""
    SELECT one.number, mixed.others FROM import_rows one JOIN (
        SELECT address, array_agg(number ORDER BY number) AS others FROM import_rows
        WHERE import_id = :id AND address IS NOT NULL
        GROUP BY address
        HAVING count(DISTINCT person) > 1 AND count(DISTINCT person) FILTER (WHERE NOT shares_address) > 1
    ) mixed USING (address)
    WHERE one.import_id = :id
""")

_TWICE = _refuse("""
    SELECT unnest(others) AS number, others FROM (
        SELECT array_agg(number ORDER BY number) AS others FROM import_rows
        WHERE import_id = :id AND row_key IS NOT NULL
        GROUP BY coalesce(CAST(member_id AS text), concat_ws(' ', address, person)), row_key HAVING count(*) > 1
    ) same
""")

# One row has a reference for itself; others have it only with a payer, and then the payer is who has it.
_SHARED = _refuse("""
    SELECT number, array_agg(DISTINCT other ORDER BY other) AS others FROM (
        SELECT unnest(others) AS number, others FROM (
            SELECT array_agg(r.number ORDER BY r.number) AS others
            FROM import_rows r, unnest(r.billing) AS reference
            WHERE r.import_id = :id AND r.verdict = 'new'
            GROUP BY reference
            HAVING count(*) FILTER (WHERE r.payer IS NULL) > 1 OR count(DISTINCT coalesce(r.payer, r.address)) > 1
        ) same
    ) each CROSS JOIN LATERAL unnest(others) AS other
    GROUP BY number
""")

# Without references of its own, a membership gets those of its payer: of the payer's rows, and of what is here.
_FROM_PAYER = """
    UPDATE import_rows r SET billing = paid.billing
    FROM (
        SELECT number, array_agg(DISTINCT reference) AS billing FROM (
            SELECT one.number, unnest(payer.billing) AS reference
            FROM import_rows one JOIN import_rows payer ON payer.address = one.payer AND payer.payer IS NULL
            WHERE one.import_id = :id AND payer.import_id = :id
            UNION ALL
            SELECT one.number, b.endpoint || ':' || b.reference
            FROM import_rows one
            JOIN members m ON lower(m.email) = one.payer AND m.erased_at IS NULL
            JOIN memberships s ON s.member_id = m.id AND s.withdrawn_at IS NULL
            JOIN billing_references b ON b.membership_id = s.id
            WHERE one.import_id = :id
        ) found GROUP BY number
    ) paid
    WHERE r.import_id = :id AND r.number = paid.number AND r.billing IS NULL AND r.verdict = 'new'
"""

_NO_PAYER = _refuse("""
    SELECT one.number, ARRAY[one.number] AS others FROM import_rows one
    WHERE one.import_id = :id AND one.verdict = 'new' AND one.payer IS NOT NULL
      AND (one.billing IS NULL OR one.payer <> one.address)
      AND NOT EXISTS (
          SELECT FROM import_rows payer
          WHERE payer.import_id = :id AND payer.address = one.payer AND payer.billing IS NOT NULL)
      AND NOT EXISTS (
          SELECT FROM members m JOIN memberships s ON s.member_id = m.id AND s.withdrawn_at IS NULL
          JOIN billing_references b ON b.membership_id = s.id
          WHERE lower(m.email) = one.payer AND m.erased_at IS NULL)
""")

# Who makes a member: the first row of each person who is not here. All but the first person of an address share it.
_MAKERS = """
    UPDATE import_rows r SET made_by = who.made_by, shares_address = who.first <> who.made_by
    FROM (
        SELECT number, min(number) OVER (PARTITION BY address, person) AS made_by,
               min(number) OVER (PARTITION BY address) AS first
        FROM import_rows WHERE import_id = :id AND verdict = 'new' AND member_id IS NULL
    ) who
    WHERE r.import_id = :id AND r.number = who.number
"""


def _with_other_rows(session: Session, made: Import) -> None:
    is_people = made.kind == Kind.PEOPLE
    what = (
        stored("e-mail address, offer and day of joining") if is_people else stored("member, item and last usable day")
    )

    def refuse(statement: str, column: str, error: SppError) -> None:
        session.execute(text(statement), {"id": made.id, "column": column, "message": str(error)})

    if is_people:
        refuse(_OF_SEVERAL, "shares address", AddressOfSeveral(rows="(ROWS)"))
    refuse(_TWICE, "email", RowTwice(rows="(ROWS)", what=what))
    if is_people:
        session.execute(text(_FROM_PAYER), {"id": made.id})
        refuse(_SHARED, "billing references", ReferenceInSeveralRows(rows="(ROWS)"))
        refuse(_NO_PAYER, "payer", PayerUnknown())
        session.execute(text(_MAKERS), {"id": made.id})
