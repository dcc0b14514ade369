"""expire, audit: what operators see and do."""

import pytest

from settings import Settings
from tests.console.conftest import Spp
from tests.worker.scene import Make, arrive, paid_now, run, value
from worker.crediting import Crediting


@pytest.fixture
def worked(gym: Spp, settings: Settings, make: Make) -> Spp:
    """Ann has paid; a zero-amount invoice was ignored, and other content under the first's id quarantined."""
    arrive(
        make,
        paid_now("in_1", "sub_ann"),
        paid_now("in_1", "sub_mallory"),
    )
    arrive(make, paid_now("in_2", "sub_ben").replace(b'"amount_paid": 8900', b'"amount_paid": 0'))
    Crediting(settings, make).drain()
    return gym


def test_expire_writes_down_what_has_lapsed(worked: Spp, make: Make) -> None:
    assert worked("expire").out == "0 grants had lapsed and are written down.\n"
    run(make, "UPDATE credit_grants SET expires_at = '2026-03-01' WHERE expires_at IS NOT NULL")
    assert worked("expire", "--as-of", "2026-02-28", "--json").json == {"lots": 0}
    assert worked("expire", "--as-of", "2026-03-01T00:00:00", "--json").json == {"lots": 1}
    assert worked("expire", "--json").json == {"lots": 0}
    entries = worked("member", "ann@example.com", "--json").json["entries"]
    assert [(entry["quantity"], entry["occurred_at"]) for entry in entries if entry["kind"] == "expiry"] == [
        (-4, "2026-03-01T00:00:00+00:00")
    ]


def test_expire_never_looks_into_the_future(worked: Spp, make: Make) -> None:
    done = worked("expire", "--as-of", "2999-01-01")
    assert (done.code, done.out) == (1, "")
    assert "is in the future: sessions that have not lapsed are never taken" in done.err
    assert value(make, "SELECT count(*) FROM ledger_entries WHERE kind = 'expiry'") == 0


def test_audit_finds_one_wrong_unit(worked: Spp, make: Make) -> None:
    assert (worked("audit").code, worked("audit").out) == (0, "Everything adds up.\n")
    assert worked("audit", "--json").json == {"findings": []}
    grant = value(make, "SELECT max(id) FROM credit_grants")
    run(make, "UPDATE credit_grants SET remaining = remaining - 1 WHERE id = :grant", grant=grant)
    done = worked("audit")
    assert done.code == 1
    assert done.out.startswith(f"grant {grant}: remaining is ")
    assert done.out.endswith("1 differences.\n")
    told = worked("audit", "--json")
    assert told.code == 1
    assert len(told.json["findings"]) == 1


def test_audit_finds_a_payment_that_was_not_settled(worked: Spp, make: Make) -> None:
    run(
        make,
        "UPDATE payments SET state = 'heard_of', membership_id = NULL WHERE reference = 'in_1'",
    )
    payment = value(make, "SELECT id FROM payments WHERE reference = 'in_1'")
    done = worked("audit")
    assert done.code == 1
    assert f"payment {payment}: its facts and the ledger differ" in done.out
