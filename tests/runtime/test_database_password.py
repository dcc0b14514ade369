"""The passwords of the database, its roles and the broker, which stand in files and not in URLs."""

from pathlib import Path
from urllib.parse import quote

import pytest

from models.database.engine import make_engine
from runtime import settings
from runtime.settings import DatabaseRole
from webhooks.processors import ADAPTERS, adapters

PASSWORD = "odd&long?100%@40%25ü"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BROKER_URL", "redis://localhost/0")
    monkeypatch.setenv("SPP_SECRETS_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("url", ["postgresql://spp@db/spp", "postgresql://spp:old@db/spp?sslmode=require"])
def test_the_file_s_password_is_the_one_that_the_server_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    (folder / "postgres.password").write_text(PASSWORD + "\n")
    engine = make_engine(settings.load().database_url)
    told = engine.dialect.create_connect_args(engine.url)[1]
    assert (told["password"], told["user"], told["host"], told["dbname"]) == (PASSWORD, "spp", "db", "spp")
    assert PASSWORD not in repr(settings.load())


@pytest.mark.parametrize("role", DatabaseRole)
def test_a_role_logs_in_with_its_own_name_and_password(
    folder: Path, monkeypatch: pytest.MonkeyPatch, role: DatabaseRole
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://owner:old@db/spp")
    (folder / "postgres.password").write_text("the-owner's")
    (folder / f"postgres.{role}.password").write_text(PASSWORD + "\n")

    def told() -> tuple[str, str]:
        engine = make_engine(settings.load(role).database_url)
        arguments = engine.dialect.create_connect_args(engine.url)[1]
        return arguments["user"], arguments["password"]

    assert told() == ("owner", "the-owner's")
    monkeypatch.setenv("SPP_DATABASE_ROLES", "gym")
    assert told() == (f"gym_{role}", PASSWORD)
    monkeypatch.setenv(f"SPP_DATABASE_PASSWORD_{role.upper()}", "the-variable's")
    assert told() == (f"gym_{role}", "the-variable's")
    assert settings.load().database_url == "postgresql://owner:old@db/spp?password=the-owner%27s"


@pytest.mark.parametrize("role", DatabaseRole)
def test_webhook_secrets_are_asked_of_the_web_process_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, role: DatabaseRole
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/spp")
    options = {"square": ",url=https://gym.example/"}
    words = [f"{name.replace('_', '-')}={name}:test{options.get(name, '')}" for name in ADAPTERS]
    monkeypatch.setenv("SPP_ENDPOINTS", " ".join(words))
    if role == DatabaseRole.WEB:
        with pytest.raises(settings.SettingsError, match="has no webhook secret"):
            settings.load(role)
    else:
        assert len(adapters(settings.load(role).endpoints)) == len(ADAPTERS)
    with pytest.raises(settings.SettingsError, match="has no webhook secret"):
        settings.load()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://valkey:6379/0", "redis://:{}@valkey:6379/0"),
        ("valkeys://valkey/1", "valkeys://:{}@valkey/1"),
        ("redis://spp@valkey/0", "redis://spp:{}@valkey/0"),
        ("amqp://guest:guest@rabbitmq//", "amqp://guest:guest@rabbitmq//"),
        ("redis://:own@valkey/0", "redis://:own@valkey/0"),
    ],
)
def test_the_brokers_password_comes_from_its_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, url: str, told: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/spp")
    monkeypatch.setenv("BROKER_URL", url)
    assert settings.load().broker_url == url
    (folder / "broker.password").write_text(PASSWORD + "\n")
    assert settings.load().broker_url == told.format(quote(PASSWORD, safe=""))
    assert PASSWORD not in repr(settings.load())


def test_without_the_file_the_url_stays_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://spp:its%20own@db/spp")
    assert settings.load().database_url == "postgresql://spp:its%20own@db/spp"
