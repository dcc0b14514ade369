"""`spp doctor` on installations with something wrong: it says what, how to mend it, goes on, and tells no secret."""

from pathlib import Path

import pytest
from sqlalchemy import text

from local.servers import Broker, Postgres
from tests.console.conftest import SECRET, Spp
from tests.worker.scene import Make

PASSWORD = "geheim-42"


@pytest.fixture
def sound(spp: Spp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broker_server: Broker) -> Path:
    """An installation in which all is well; its folder of secrets."""
    monkeypatch.delenv("SPP_SECRET_STRIPE")
    monkeypatch.setenv("SPP_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("BROKER_URL", broker_server.url)
    for name, secret in (("stripe", "whsec_file"), ("console.secret", "x" * 40), ("stripe.api", "sk_file")):
        (tmp_path / name).write_text(secret)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def wrong(spp: Spp) -> list[str]:
    """What it finds wrong, without any secret in it."""
    done = spp("doctor")
    for secret in ("whsec_file", "x" * 32, "sk_file", SECRET, PASSWORD):
        assert secret not in done.out + done.err
    found = [line.removeprefix("WRONG  ") for line in done.out.splitlines() if line.startswith("WRONG")]
    assert done.code == bool(found)
    return found


def test_a_sound_installation_is_found_sound(spp: Spp, sound: Path) -> None:
    done = spp("doctor")
    assert done.code == 0, done.out
    lines = done.out.splitlines()
    assert all(line.startswith("ok     ") for line in lines)
    for what in (
        "Settings: 2 endpoints",
        "Endpoint stripe: stripe, test, 1 secret",
        "Secret files: no other user",
        "Console: has its secret",
        "PostgreSQL 1",
        "encoding UTF8",
        "time zone UTC",
        "worker processes at 6",
        "Clock: the database's is",
        "Schema: current",
        "Roles: spp_web, spp_worker, spp_console may",
        "Broker: reached",
        "noeviction",
        "Disk: ",
    ):
        assert sum(what in line for line in lines) == 1, what


def test_programs_are_told_too(spp: Spp, sound: Path) -> None:
    found = spp("doctor", "--json").json
    assert {"ok", "what"} == found[0].keys()
    assert all(one["ok"] for one in found)


def test_wrong_settings_are_told_and_hide_no_other_fault(spp: Spp, sound: Path) -> None:
    (sound / "stripe").unlink()
    (sound / "stripe.api").chmod(0o604)
    first, second = wrong(spp)
    assert "'stripe' has no webhook secret" in first
    assert "chmod" in second
    assert "Broker: reached" in spp("doctor").out


def test_an_unknown_processor_hides_no_other_fault(spp: Spp, sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPP_ENDPOINTS", "stripe=strype:test")
    (sound / "console.secret").unlink()
    found = wrong(spp)
    assert any(line.startswith("Endpoint stripe: ") for line in found)
    assert any("openssl rand -hex 32" in line for line in found)


def test_files_that_others_read_are_told(spp: Spp, sound: Path) -> None:
    (sound / "stripe.api").chmod(0o644)
    (found,) = wrong(spp)
    assert f"chmod o-rwx,g-w {sound / 'stripe.api'}" in found


def test_a_file_for_a_group_is_well(spp: Spp, sound: Path) -> None:
    (sound / "stripe.api").chmod(0o440)
    assert wrong(spp) == []


def test_a_database_that_is_away_hides_no_other_fault(spp: Spp, sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://spp:{PASSWORD}@127.0.0.1:9/none")
    monkeypatch.setenv("BROKER_URL", f"redis://:{PASSWORD}@127.0.0.1:9/0")
    found = wrong(spp)
    assert any(line.startswith("Database: ") for line in found)
    assert any(line.startswith("Broker: cannot be used") for line in found)


def test_an_older_schema_is_told(spp: Spp, sound: Path, make: Make) -> None:
    with make.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    (found,) = wrong(spp)
    assert "run spp migrate" in found


def test_a_role_that_may_too_much_or_too_little_is_told(spp: Spp, sound: Path, make: Make) -> None:
    with make.begin() as session:
        session.execute(text("GRANT UPDATE (note) ON ledger_entries TO spp_console"))
        session.execute(text("REVOKE INSERT ON webhook_events FROM spp_web"))
    assert [line.partition(";")[0] for line in wrong(spp)] == [
        "Roles: spp_web may do more or less than it should with webhook_events",
        "Roles: spp_console may do more or less than it should with ledger_entries",
    ]
    assert spp("migrate").code == 0
    assert wrong(spp) == []


def test_roles_that_are_not_there_or_own_something_are_told(
    spp: Spp, sound: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make.begin() as session:
        session.execute(text("ALTER TABLE pauses OWNER TO spp_worker"))
    assert any("spp_worker has rights beside" in line for line in wrong(spp))
    monkeypatch.setenv("SPP_DATABASE_ROLES", "other")
    assert [line.split()[1] for line in wrong(spp)] == ["other_web", "other_worker", "other_console"]
    monkeypatch.setenv("SPP_DATABASE_ROLES", "")
    assert "ok     Roles: none" in spp("doctor").out


def test_too_few_connections_are_told(
    spp: Spp, sound: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.database.migrations import upgrade

    with Postgres(tmp_path_factory.mktemp("small"), max_connections="20") as server:
        upgrade(server.url())
        monkeypatch.setenv("DATABASE_URL", server.url())
        monkeypatch.setenv("SPP_DATABASE_ROLES", "")
        (found,) = wrong(spp)
    assert "Raise max_connections" in found


def test_a_broker_that_may_throw_messages_away_is_told(
    spp: Spp, sound: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from redis import Redis

    with Broker(tmp_path_factory.mktemp("evicting")) as server:
        with Redis.from_url(server.url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        monkeypatch.setenv("BROKER_URL", server.url)
        (found,) = wrong(spp)
    assert "set it to noeviction" in found


def test_half_set_alerts_are_told(spp: Spp, sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPP_ALERT_EMAIL_TO", "ops@example.com")
    (found,) = wrong(spp)
    assert "SPP_SMTP_URL" in found


def test_an_endpoint_that_has_to_ask_needs_its_api_key(spp: Spp, sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPP_ENDPOINTS", "gc=gocardless:test")
    monkeypatch.setenv("SPP_SECRET_GC", SECRET)
    (found,) = wrong(spp)
    assert found.startswith("Endpoint gc: 1 secret, but no API key: nothing can be credited")
