"""What an installation provides for the console, beside what is the user's own."""

from pathlib import Path

import pytest

from local import home


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Servers of the user's own, so that none is started."""
    for name, value in (("DATABASE_URL", "postgresql://"), ("BROKER_URL", "redis://"), ("SPP_ENDPOINTS", "")):
        monkeypatch.setenv(name, value)
    return monkeypatch


def provided(data: Path) -> tuple[str | None, str]:
    with home.installation(data, broker=True) as (environment, _):
        return environment.get("SPP_CONSOLE_SECRET"), environment["SPP_CONSOLE_HTTPS"]


def test_the_consoles_secret_is_made_once(own: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret, https = provided(tmp_path)
    assert (len(secret or ""), https) == (64, "false")
    assert provided(tmp_path) == (secret, "false")
    assert provided(tmp_path / "other")[0] != secret
    assert (tmp_path / "secrets" / "console.secret").stat().st_mode & 0o777 == 0o600


def test_what_is_set_stays_as_it_is(own: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own.setenv("SPP_CONSOLE_SECRET", "mine")
    own.setenv("SPP_CONSOLE_HTTPS", "true")
    assert provided(tmp_path) == ("mine", "true")
    assert list(tmp_path.iterdir()) == []


def test_the_secret_in_the_users_own_folder_is_left_to_the_console(own: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "console.secret").write_text("mine\n")
    own.setenv("SPP_SECRETS_DIR", str(tmp_path))
    assert provided(tmp_path / "data")[0] is None
    assert not (tmp_path / "data" / "secrets").exists()


def test_a_command_makes_no_secret(own: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with home.installation(tmp_path) as (environment, _):
        assert "SPP_CONSOLE_SECRET" not in environment
    assert list(tmp_path.iterdir()) == []
