"""Expiry: 500,000 expired grants written down, against one bare statement on an identical copy."""

import time
from datetime import UTC, datetime, timedelta

from bench import loading, report
from bench.site import SQL, Site
from models.database.engine import make_engine, sessions
from models.ledger import expiry
from models.ledger.expiry import Breaker

MEMBERSHIPS = 50_000
GRANTS = 500_000


def measure(site: Site) -> list[report.Result]:
    """expire_over_sql."""
    loading.our_database(site, "expired", MEMBERSHIPS)
    until = datetime.now(UTC) - timedelta(days=90)
    loading.past(site, "expired", events=GRANTS // 2, memberships=MEMBERSHIPS, until=until, bodies=False)
    ours, sql = report.Series("ours", "/s", []), report.Series("SQL", "/s", [])
    for _ in range(site.rounds):
        for series, expire in ((ours, _ours), (sql, _sql)):
            site.postgres.create("expire", template="expired")
            loading.tidy(site, "expire")
            begin = time.perf_counter()
            grants = expire(site)
            series.values.append(grants / (time.perf_counter() - begin))
            if grants != GRANTS:
                raise ValueError(f"{grants} of {GRANTS} grants expired")
            site.postgres.drop("expire")
    site.postgres.drop("expired")
    return [report.ratio("expire_over_sql", ours, sql)]


def _ours(site: Site) -> int:
    engine = make_engine(site.postgres.url("expire"))
    grants = 0
    while True:
        with sessions(engine).begin() as session:
            written, more = expiry.step(session, as_of=datetime.now(UTC), breaker=Breaker(GRANTS, 1))
        grants += written
        if not more:
            break
    engine.dispose()
    return grants


def _sql(site: Site) -> int:
    with site.connect("expire") as connection:
        return connection.execute((SQL / "expire.sql").read_bytes()).rowcount
