"""expire, expiring, audit: what operators see and do."""

from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from runtime.settings import Settings
from tests.console.conftest import Spp
from tests.worker.scene import Make, arrive, paid_now, rows, run, value
from worker.crediting import Crediting


def test_expire_writes_down_what_has_expired(worked: Spp, make: Make) -> None:
    assert worked("expire").out == "0 expired grants recorded.\n"
    run(make, "UPDATE credit_grants SET expires_at = '2026-03-01' WHERE expires_at IS NOT NULL")
    nothing = {"grants": 0, "stopped": None}
    assert worked("expire", "--as-of", "2026-02-28", "--json").json == nothing
    assert worked("expire", "--as-of", "2026-03-01T00:00:00", "--json").json == {"grants": 1, "stopped": None}
    assert worked("expire", "--json").json == nothing
    entries = worked("member", "ann@example.com", "--json").json["entries"]
    assert [(entry["quantity"], entry["occurred_at"]) for entry in entries if entry["kind"] == "expiry"] == [
        (-4, "2026-03-01T00:00:00+00:00")
    ]


def test_expire_never_looks_into_the_future(worked: Spp, make: Make) -> None:
    done = worked("expire", "--as-of", "2999-01-01")
    assert (done.code, done.out) == (1, "")
    assert "is in the future: sessions that have not expired are never taken" in done.err
    assert value(make, "SELECT count(*) FROM ledger_entries WHERE kind = 'expiry'") == 0


def test_a_run_over_far_too_much_is_stopped_until_somebody_allows_it(
    worked: Spp, make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(make, paid_now("in_3", "sub_ann"))
    Crediting(settings, make).drain()
    run(make, "UPDATE credit_grants SET expires_at = '2026-03-01' WHERE expires_at IS NOT NULL")
    monkeypatch.setenv("SPP_EXPIRE_BREAKER_FROM", "1")
    done = worked("expire")
    assert (done.code, done.out) == (1, "0 expired grants recorded.\n")
    number = value(make, "SELECT id FROM expiry_runs")
    assert f"Run {number} is stopped: 2 grants have expired, and the most on a recent day was 0." in done.err
    again = worked("expire", "--json")
    assert (again.code, again.json["grants"], again.json["stopped"]["run"]) == (1, 0, number)
    assert "Say why: a note is required." in worked("expire", "--allow", str(number)).err
    assert worked("expire", "--allow", "99", "--reason", "Right").code == 1
    allowed = worked("expire", "--allow", str(number), "--reason", "A season ended")
    assert (allowed.code, allowed.out) == (0, "2 expired grants recorded.\n")
    assert value(make, "SELECT reason FROM actions WHERE verb = 'allow expiry'") == "A season ended"


def test_expiring_tells_what_comes_and_exports_it(worked: Spp, make: Make, tmp_path: Path) -> None:
    run(
        make,
        "UPDATE credit_grants SET expires_at = clock_timestamp() + interval '2 days' WHERE expires_at IS NOT NULL",
        "UPDATE members SET name = '+Ann' WHERE email = 'ann@example.com'",
    )
    (told,) = worked("expiring", "--json").json
    assert (told["today"], told["tomorrow"], told["sessions"], told["grants"], told["members"]) == (0, 0, 4, 1, 1)
    assert worked("expiring", "--days", "1").out == "  (none)\n"
    assert "within 7 days" in worked("expiring").out
    written = worked("expiring", "--csv", "-").out
    assert written.startswith(
        '"member","e-mail","club","item","sessions","last usable day","usable from"\r\n"\'+Ann","ann@example.com",'
    )
    assert worked("expiring", "--csv", str(tmp_path / "expiring.csv")).out == ""
    assert (tmp_path / "expiring.csv").read_bytes().decode() == written


def test_audit_finds_one_wrong_unit_and_keeps_what_it_found(worked: Spp, make: Make) -> None:
    fine = worked("audit")
    assert (fine.code, fine.out) == (0, "Everything adds up.\n")
    grant = value(make, "SELECT max(id) FROM credit_grants")
    run(make, "UPDATE credit_grants SET remaining = remaining - 1 WHERE id = :grant", grant=grant)
    done = worked("audit")
    assert done.code == 1
    assert done.out.startswith(f"grant {grant}: remaining is ")
    assert " is shown " in done.out
    assert done.out.endswith("2 differences.\n")
    told = worked("audit", "--json")
    assert (told.code, told.json["findings"], told.json["head"]) == (1, 2, None)
    assert value(make, "SELECT array_agg(findings ORDER BY id) FROM audits") == [0, 2, 2]
    assert value(make, "SELECT first_findings FROM audits ORDER BY id DESC LIMIT 1") == told.json["first_findings"]


def test_audit_finds_a_last_day_that_the_acts_on_a_membership_contradict(worked: Spp, make: Make) -> None:
    run(
        make,
        "INSERT INTO actions (actor, origin, verb, subject) VALUES ('x', 'x', 'freeze', 'x')",
        "INSERT INTO life_acts (kind, membership_id, first_day, last_day, undone, action_id)"
        " SELECT 'freeze', m.id, current_date + 2, current_date + 4, false, a.id FROM memberships m, actions a"
        " WHERE a.subject = 'x'",
    )
    done = worked("audit")
    assert done.code == 1
    assert done.out.endswith("its facts and the ledger differ; settling would change it\n1 difference.\n")


def test_audit_seals_what_is_an_hour_old_and_prints_the_head(worked: Spp, make: Make) -> None:
    run(
        make,
        "ALTER TABLE ledger_entries DISABLE TRIGGER append_only",
        "UPDATE ledger_entries SET recorded_at = recorded_at - interval '2 hours'",
        "ALTER TABLE ledger_entries ENABLE TRIGGER append_only",
    )
    done = worked("audit")
    head, last = (
        value(make, "SELECT encode(head, 'hex') FROM audits"),
        value(make, "SELECT max(id) FROM ledger_entries"),
    )
    assert done.out == f"Everything adds up.\nHead of the chain: {head} at entry {last}, over 2 entries.\n"
    assert worked("audit", "--json").json["head"] == head
    run(
        make,
        "ALTER TABLE ledger_entries DISABLE TRIGGER append_only",
        "UPDATE ledger_entries SET quantity = quantity + 1 WHERE id = :last",
        "ALTER TABLE ledger_entries ENABLE TRIGGER append_only",
        last=last,
    )
    done = worked("audit")
    assert done.code == 1
    assert done.out.startswith(f"entry {last}, of grant ")


@pytest.fixture
def sealed(worked: Spp, make: Make) -> Spp:
    """All entries were written two hours ago, and are sealed."""
    age(make, 2)
    assert worked("audit").code == 0
    return worked


def age(make: Make, hours: int) -> None:
    run(
        make,
        "ALTER TABLE ledger_entries DISABLE TRIGGER append_only",
        f"UPDATE ledger_entries SET recorded_at = recorded_at - interval '{hours} hours'"
        " WHERE id NOT IN (SELECT entry_id FROM entry_chain)",
        "ALTER TABLE ledger_entries ENABLE TRIGGER append_only",
    )


def forge(make: Make, table: str, change: str) -> None:
    run(
        make,
        f"ALTER TABLE {table} DISABLE TRIGGER append_only",
        change,
        f"ALTER TABLE {table} ENABLE TRIGGER append_only",
    )


@pytest.mark.parametrize("written", [str, str.upper, "  {} \n".format])
def test_a_head_that_was_kept_is_found_with_all_up_to_it(
    sealed: Spp, make: Make, written: Callable[[str], str], settings: Settings
) -> None:
    kept = sealed("audit", "--json").json["head"]
    arrive(make, paid_now("in_3", "sub_ann"))
    Crediting(settings, make).drain()
    age(make, 2)
    assert sealed("audit", "--json").json["entries"] == 4
    audits = value(make, "SELECT count(*) FROM audits")
    done = sealed("audit", "--head", written(kept))
    last, when = rows(make, "SELECT id, recorded_at FROM ledger_entries ORDER BY id OFFSET 1 LIMIT 1")[0]
    at = f"{when.astimezone(ZoneInfo('America/Chicago')):%Y-%m-%d %H:%M %Z}"
    assert (done.code, done.out) == (
        0,
        f"This is the head at entry {last}, recorded {at}. Sealed entries up to it: 2; all unchanged.\n",
    )
    told = sealed("audit", "--json", "--head", written(kept))
    assert told.code == 0
    assert (told.json["head"], told.json["known"], told.json["head_entry"]) == (kept, True, last)
    assert (told.json["entries"], told.json["findings"]) == (2, 0)
    assert value(make, "SELECT count(*) FROM audits") == audits, "it only looks"


def test_a_head_with_changes_before_it_says_which(sealed: Spp, make: Make) -> None:
    kept = value(make, "SELECT encode(head, 'hex') FROM audits")
    first, fact, last = rows(make, "SELECT min(id), min(fact_id), max(id) FROM ledger_entries")[0]
    forge(make, "payment_facts", f"UPDATE payment_facts SET amount_minor = 1 WHERE id = {fact}")
    done = sealed("audit", "--head", kept)
    assert done.code == 1
    assert done.out.startswith(f"entry {first}, of grant ")
    assert f"or fact {fact}" in done.out.splitlines()[0]
    assert f"This is the head at entry {last}, recorded " in done.out
    assert done.out.endswith("Sealed entries up to it: 2; 2 differences.\n")
    told = sealed("audit", "--head", kept, "--json")
    assert (told.code, told.json["findings"], len(told.json["first_findings"])) == (1, 2, 2)


def test_what_changed_after_a_head_does_not_concern_it(sealed: Spp, make: Make, settings: Settings) -> None:
    kept = value(make, "SELECT encode(head, 'hex') FROM audits")
    arrive(make, paid_now("in_3", "sub_ann"))
    Crediting(settings, make).drain()
    age(make, 2)
    assert sealed("audit").code == 0
    forge(
        make, "ledger_entries", "UPDATE ledger_entries SET note = 'x' WHERE id = (SELECT max(id) FROM ledger_entries)"
    )
    assert sealed("audit").code == 1
    assert sealed("audit", "--head", kept).code == 0


def test_a_head_of_a_chain_that_was_rewritten_is_unknown(sealed: Spp, make: Make) -> None:
    """Everything in the database agrees, kept audits too; who has the head knows better."""
    kept = value(make, "SELECT encode(head, 'hex') FROM audits")
    forge(make, "ledger_entries", "UPDATE ledger_entries SET note = 'forged'")
    forge(make, "entry_chain", "DELETE FROM entry_chain")
    forge(make, "audits", "DELETE FROM audits")
    fine = sealed("audit", "--json")
    assert (fine.code, fine.json["entries"]) == (0, 2)
    done = sealed("audit", "--head", kept)
    assert (done.code, done.out) == (1, "")
    assert "The chain of this database has no such head. Its history was rewritten" in done.err
    told = sealed("audit", "--head", kept, "--json")
    assert (told.code, told.json["known"], told.json["head_entry"]) == (1, False, None)


@pytest.mark.parametrize("written", ["", "abc", "g" * 64, "0" * 63, "0" * 65, "0x" + "0" * 62, "\u0661" * 64])
def test_what_is_no_hash_is_a_usage_error(sealed: Spp, written: str) -> None:
    done = sealed("audit", "--head", written)
    assert (done.code, done.out) == (2, "")
    assert "is not a head of a chain. Give all 64 digits" in done.err


def test_audit_finds_a_payment_that_was_not_settled(worked: Spp, make: Make) -> None:
    run(
        make,
        "UPDATE payments SET state = 'heard_of', membership_id = NULL WHERE reference = 'in_1'",
    )
    payment = value(make, "SELECT id FROM payments WHERE reference = 'in_1'")
    done = worked("audit")
    assert done.code == 1
    assert f"payment {payment}: its facts and the ledger differ" in done.out
