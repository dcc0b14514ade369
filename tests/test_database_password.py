"""The database's password, where it stands in a file and not in DATABASE_URL."""

from pathlib import Path

import pytest

import settings
from models.database import make_engine

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


def test_without_the_file_the_url_stays_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://spp:its%20own@db/spp")
    assert settings.load().database_url == "postgresql://spp:its%20own@db/spp"
