import os
from pathlib import Path

import pytest

from runtime import settings
from runtime.settings import Endpoint, SettingsError
from webhooks.app import create_app
from webhooks.processors import adapters
from webhooks.processors.stripe import Stripe


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine with a database and a broker set, and no endpoint."""
    for name in [name for name in os.environ if name.startswith("SPP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/spp")
    monkeypatch.setenv("BROKER_URL", "redis://localhost/0")
    return monkeypatch


def secrets(name: str) -> list[str]:
    endpoint = settings.load().endpoint(name)
    assert endpoint is not None
    return [secret.get_secret_value() for secret in endpoint.secrets]


def test_endpoints(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SPP_ENDPOINTS", " stripe-live=stripe:live,account=acct_1\n  gym2=standard_webhooks:test ")
    environment.setenv("SPP_SECRET_STRIPE_LIVE", "whsec_1")
    environment.setenv("SPP_SECRET_GYM2", "whsec_2")
    first, second = settings.load().endpoints
    assert (first.name, first.processor, first.mode, first.account) == ("stripe-live", "stripe", "live", "acct_1")
    assert (second.name, second.processor, second.mode, second.account) == ("gym2", "standard_webhooks", "test", None)
    assert first.keys == (b"whsec_1",)
    assert second.keys == (b"whsec_2",)
    assert settings.load().endpoint("nobody") is None


def test_no_endpoints_is_fine() -> None:
    assert settings.load().endpoints == ()


@pytest.mark.parametrize(
    "word",
    [
        "stripe",
        "stripe=stripe",
        "=stripe:test",
        "stripe=:test",
        "stripe=stripe:",
        "stripe=stripe:staging",
        "stripe=stripe:TEST",
        "stripe=stripe:test,account=",
        "stripe=stripe:test,acct_1",
        "stripe=stripe:test:live",
        "Stripe=stripe:test",
        "stripe/live=stripe:test",
        "-stripe=stripe:test",
        "s_tripe=stripe:test",
        "x" * 64 + "=stripe:test",
    ],
)
def test_an_endpoint_written_wrongly(environment: pytest.MonkeyPatch, word: str) -> None:
    environment.setenv("SPP_ENDPOINTS", word)
    environment.setenv("SPP_SECRET_STRIPE", "whsec_1")
    with pytest.raises(SettingsError, match=r"^SPP_ENDPOINTS: "):
        settings.load()


def test_several_secrets_for_rotation(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SPP_ENDPOINTS", "stripe=stripe:test")
    environment.setenv("SPP_SECRET_STRIPE", " whsec_new  whsec_old\n")
    assert secrets("stripe") == ["whsec_new", "whsec_old"]


def test_secrets_from_the_folder(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("SPP_ENDPOINTS", "stripe=stripe:test")
    environment.setenv("SPP_SECRETS_DIR", str(tmp_path))
    (tmp_path / "stripe").write_text("whsec_new\nwhsec_old\n")
    assert secrets("stripe") == ["whsec_new", "whsec_old"]
    environment.setenv("SPP_SECRET_STRIPE", "whsec_environment")
    assert secrets("stripe") == ["whsec_environment"]
    environment.setenv("SPP_SECRET_STRIPE", "")
    assert secrets("stripe") == ["whsec_new", "whsec_old"]


@pytest.mark.parametrize("value", [None, "", " ", "\n\t"])
def test_a_secret_missing_or_empty(environment: pytest.MonkeyPatch, tmp_path: Path, value: str | None) -> None:
    environment.setenv("SPP_ENDPOINTS", "gym=stripe:test stripe-live=stripe:live")
    environment.setenv("SPP_SECRET_GYM", "whsec_1")
    if value is not None:
        environment.setenv("SPP_SECRET_STRIPE_LIVE", value)
    with pytest.raises(SettingsError, match=r"'stripe-live'.*the environment variable SPP_SECRET_STRIPE_LIVE\.$"):
        settings.load()
    environment.delenv("SPP_SECRET_STRIPE_LIVE", raising=False)
    environment.setenv("SPP_SECRETS_DIR", str(tmp_path))
    if value is not None:
        (tmp_path / "stripe-live").write_text(value)
    with pytest.raises(SettingsError, match=r"'stripe-live'.*SPP_SECRET_STRIPE_LIVE or the file") as refused:
        settings.load()
    assert str(tmp_path / "stripe-live") in str(refused.value)


def test_a_secret_that_cannot_be_read(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("SPP_ENDPOINTS", "stripe=stripe:test")
    environment.setenv("SPP_SECRETS_DIR", str(tmp_path))
    (tmp_path / "stripe").write_bytes(b"whsec_\xff")
    with pytest.raises(SettingsError, match="stripe cannot be read") as refused:
        settings.load()
    assert "whsec" not in str(refused.value)
    (tmp_path / "stripe").unlink()
    (tmp_path / "stripe").mkdir()
    with pytest.raises(SettingsError, match="stripe cannot be read"):
        settings.load()


@pytest.mark.parametrize(
    "words",
    ["stripe=stripe:test stripe=stripe:test", "stripe=stripe:test stripe=standard_webhooks:live"],
)
def test_two_endpoints_of_one_name(environment: pytest.MonkeyPatch, words: str) -> None:
    environment.setenv("SPP_ENDPOINTS", words)
    environment.setenv("SPP_SECRET_STRIPE", "whsec_1")
    with pytest.raises(SettingsError, match=r"twice: stripe stripe\."):
        settings.load()


@pytest.mark.parametrize("variable", ["DATABASE_URL", "BROKER_URL"])
def test_a_server_that_is_not_set(environment: pytest.MonkeyPatch, variable: str) -> None:
    environment.delenv(variable)
    with pytest.raises(SettingsError, match=rf"^{variable} is not set\.$"):
        settings.load()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SPP_BODY_LIMIT_BYTES", "0"),
        ("SPP_STORE_TIMEOUT_S", "-1"),
        ("SPP_MAX_ATTEMPTS", "many"),
        ("SPP_LATE_CREDIT_HOURS", "-1"),
        ("SPP_AUDIT_HOUR_UTC", "24"),
        ("SPP_PRUNE_HOUR_UTC", "-1"),
        ("SPP_EXPIRE_BREAKER_FROM", "0"),
        ("SPP_EXPIRE_BREAKER_TIMES", "0"),
        ("SPP_LOG_LEVEL", "loud"),
    ],
)
def test_a_number_out_of_bounds(environment: pytest.MonkeyPatch, variable: str, value: str) -> None:
    environment.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable}: "):
        settings.load()


def test_an_unknown_processor(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SPP_ENDPOINTS", "gym=paypel:test")
    environment.setenv("SPP_SECRET_GYM", "whsec_1")
    loaded = settings.load()
    for start in (lambda: adapters(loaded.endpoints), lambda: create_app(loaded)):
        with pytest.raises(SettingsError, match=r"'gym' names processor 'paypel'.*adyen, .*stripe"):
            start()


def test_an_answer_in_time_for_every_processor(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SPP_ENDPOINTS", "stripe=stripe:test own=standard_webhooks:test")
    environment.setenv("SPP_SECRET_STRIPE", "whsec_1")
    environment.setenv("SPP_SECRET_OWN", "whsec_AAAA")
    environment.setenv("SPP_STORE_TIMEOUT_S", "15")
    with pytest.raises(SettingsError, match=r"_S is 15, but standard_webhooks \(endpoint 'own'\) waits"):
        create_app(settings.load())


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("gym=stripe:test,colour=blue", r"'gym': 'colour' is not an option of stripe, which has the options: api"),
        (
            "gym=standard_webhooks:test,api=x",
            r"'gym': 'api' is not an option of standard_webhooks, which has no options",
        ),
        ("gym=stripe:test,two=stripe:test", r"'gym': 'two' is not an option of stripe, which has the options: api"),
    ],
)
def test_an_option_that_the_processor_has_not(environment: pytest.MonkeyPatch, word: str, said: str) -> None:
    environment.setenv("SPP_ENDPOINTS", word)
    environment.setenv("SPP_SECRET_GYM", "whsec_AAAA")
    with pytest.raises(SettingsError, match=said):
        adapters(settings.load().endpoints)


def test_options_and_api_keys(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("SPP_ENDPOINTS", "gym=stripe:test,account=acct_1,api=http://127.0.0.1:8/a?b=c")
    environment.setenv("SPP_SECRET_GYM", "whsec_1")
    environment.setenv("SPP_API_KEY_GYM", "one two")
    gym = settings.load().endpoints[0]
    assert (gym.account, gym.options) == ("acct_1", {"api": "http://127.0.0.1:8/a?b=c"})
    assert [key.get_secret_value() for key in gym.api_key] == ["one", "two"]
    environment.delenv("SPP_API_KEY_GYM")
    assert settings.load().endpoints[0].api_key == ()
    environment.setenv("SPP_SECRETS_DIR", str(tmp_path))
    (tmp_path / "gym.api").write_text("three\n")
    assert [key.get_secret_value() for key in settings.load().endpoints[0].api_key] == ["three"]


def test_a_client_library_that_is_missing(environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch) -> None:
    environment.setenv("SPP_ENDPOINTS", "gym=stripe:test")
    environment.setenv("SPP_SECRET_GYM", "whsec_1")
    monkeypatch.setattr(Stripe, "library", "no_such_package")
    adapters(settings.load().endpoints)  # which needs it only to ask Stripe's API
    environment.setenv("SPP_API_KEY_GYM", "sk_test_1")
    for start in (lambda: adapters(settings.load().endpoints), lambda: create_app(settings.load())):
        with pytest.raises(SettingsError, match=r"'gym' needs the package 'no_such_package'.*payment\[stripe\]'"):
            start()


def test_secrets_are_in_no_text_of_the_settings(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SPP_ENDPOINTS", "stripe=stripe:test")
    environment.setenv("SPP_SECRET_STRIPE", "whsec_very_secret")
    loaded = settings.load()
    assert loaded.endpoints[0].keys == (b"whsec_very_secret",)
    for text in (repr(loaded), str(loaded), repr(loaded.endpoints), str(loaded.model_dump()), loaded.model_dump_json()):
        assert "very_secret" not in text


def test_passwords_of_the_servers_are_in_no_text_of_the_settings(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABASE_URL", "postgresql://spp:pass_database@localhost/spp")
    environment.setenv("BROKER_URL", "redis://:pass_broker@localhost/0")
    loaded = settings.load()
    assert "pass_database" in loaded.database_url
    for text in (repr(loaded), str(loaded)):
        assert "pass_" not in text


def test_settings_are_frozen() -> None:
    loaded = settings.load()
    endpoint = Endpoint(name="gym", processor="stripe", mode="test")
    for frozen, name in ((loaded, "database_url"), (endpoint, "mode")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(frozen, name, "other")


@pytest.mark.parametrize("text", ["", "x" * 31])
def test_the_console_needs_a_long_secret(environment: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    environment.setenv("SPP_CONSOLE_SECRET", text)
    environment.setenv("SPP_SECRETS_DIR", str(tmp_path))
    with pytest.raises(SettingsError, match=r"at least 32 random .* SPP_CONSOLE_SECRET or the file .*console\.secret"):
        settings.load().console_key()


def test_the_consoles_secret_stands_in_a_variable_or_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "console.secret").write_text("f" * 32 + "\n")
    environment.setenv("SPP_SECRETS_DIR", str(tmp_path))
    assert settings.load().console_key() == "f" * 32
    environment.setenv("SPP_CONSOLE_SECRET", "v" * 32)
    assert settings.load().console_key() == "v" * 32
