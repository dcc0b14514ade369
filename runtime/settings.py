"""What an installation sets, read once from the environment and frozen.

`load()` is called by each process at its start. Whatever is missing or wrong
ends the start with a `SettingsError` that names the variable and the remedy.
"""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import AliasChoices, BaseModel, Field, HttpUrl, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIN_CONSOLE_SECRET_LENGTH = 32
# No endpoint's file has a dot followed by that.
CONSOLE_VARIABLE, CONSOLE_FILE = "SPP_CONSOLE_SECRET", "console.secret"

DATABASE_PASSWORD = ("SPP_DATABASE_PASSWORD", "postgres.password")
BROKER_PASSWORD = ("SPP_BROKER_PASSWORD", "broker.password")
METRICS_TOKEN = ("SPP_METRICS_TOKEN", "metrics.token")
ALERT_SECRET = ("SPP_ALERT_WEBHOOK_SECRET", "alert.secret")
SMTP_URL = ("SPP_SMTP_URL", "smtp.url")


class DatabaseRole(StrEnum):
    """What a process may do in the database: models/database/privileges.py. A migration has none: it is the owner."""

    WEB = "web"
    """Receives webhooks."""
    WORKER = "worker"
    CONSOLE = "console"
    """The pages, the API, and the commands of `spp` that do the same."""

    @property
    def password(self) -> tuple[str, str]:
        """Where its password stands: the variable, or the file."""
        return f"SPP_DATABASE_PASSWORD_{self.upper()}", f"postgres.{self}.password"


class SettingsError(Exception):
    """The settings do not allow a start; the message says which one and what to do."""


class Endpoint(BaseModel, frozen=True, extra="forbid"):
    """One configured webhook receiver, answering at POST /webhooks/NAME.

    `secrets` are all tried in turn, so that a secret can be rotated without a
    gap. `account` is the processor's account that every event must name, where
    the processor names one (Stripe Connect). `options` are the processor's own.
    `api_key` is what its API asks for, in the order its documentation has it;
    only fetching and reconciling need it. Live events never count on a test
    endpoint, nor test events on a live one.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    processor: str
    mode: Literal["live", "test"]
    account: str | None = None
    options: Mapping[str, str] = Field(default_factory=dict)
    secrets: tuple[SecretStr, ...] = ()
    api_key: tuple[SecretStr, ...] = ()

    @cached_property
    def keys(self) -> tuple[bytes, ...]:
        """The secrets as bytes, the way verifiers take them."""
        return tuple(secret.get_secret_value().encode() for secret in self.secrets)


class Settings(BaseSettings):
    """One frozen object; durations carry their unit in their name."""

    model_config = SettingsConfigDict(env_prefix="SPP_", frozen=True, extra="ignore")

    database_url: str = Field(repr=False, validation_alias=AliasChoices("DATABASE_URL", "database_url"))
    database_roles: str = Field(default="", pattern=r"^([a-z][a-z0-9_]{0,49})?$")
    """What the names of the roles begin with, by which processes log in to the database: `spp` is for spp_web,
    spp_worker and spp_console. Where it is empty, all are who DATABASE_URL says."""
    broker_url: str = Field(repr=False, validation_alias=AliasChoices("BROKER_URL", "broker_url"))
    endpoints: Annotated[tuple[Endpoint, ...], NoDecode] = ()
    secrets_dir: Path | None = None

    body_limit_bytes: int = Field(default=1024 * 1024, gt=0)
    store_timeout_s: float = Field(default=5.0, gt=0)

    max_attempts: int = Field(default=15, gt=0)
    retry_base_s: float = Field(default=2.0, gt=0)
    retry_cap_s: float = Field(default=3600.0, gt=0)
    lease_s: float = Field(default=60.0, gt=0)
    """How long a claimed event is left to its worker before another may take it;
    longer than the tasks' hard time limit, so that no living worker is overtaken."""

    sweep_every_s: float = Field(default=10.0, gt=0)
    timer_every_s: float = Field(default=1.0, gt=0)
    expire_every_s: float = Field(default=60.0, gt=0)

    reconcile_hour_utc: int = Field(default=3, ge=0, le=23)
    audit_hour_utc: int = Field(default=4, ge=0, le=23)
    prune_hour_utc: int = Field(default=5, ge=0, le=23)

    keep_bodies_days: int = Field(default=400, ge=60)
    """So long the bodies of events that are done with are kept. Processors repeat them for up to 30 days."""

    expire_breaker_from: int = Field(default=1000, gt=0)
    """So many grants may always expire in a day; more is stopped where it is also unusual."""
    expire_breaker_times: int = Field(default=5, gt=0)
    """So many times the largest day of the last five weeks is unusual."""

    late_credit_hours: int = Field(default=24, ge=0)
    """Sessions credited later than this after their payment count their days from
    the day they were credited; 0 turns the protection off."""

    max_event_age_days: int = Field(default=550, gt=0)
    """Older events are quarantined: a replay of years-old traffic is no payment."""

    console_secret: SecretStr | None = None
    """Signs the console's session cookies; or the file `console.secret` in the secrets folder."""
    console_https: bool = True
    """Whether people reach the console by HTTPS, as they should; without, cookies travel in the clear."""
    console_session_hours: float = Field(default=12, gt=0)
    """Who does nothing for that long is logged out."""
    second_factor_roles: str = Field(default="", pattern=r"^((viewer|desk|manager|operator|admin)( |$))*$")
    """The roles, separated by blanks, whose people have to set up a second factor before anything else."""
    console_url: HttpUrl | None = None
    """Where people reach the console; links in mails begin with it. Without it, nobody resets a password by mail."""
    trusted_proxies: int = Field(default=0, ge=0)
    """How many reverse proxies before us add to X-Forwarded-For; of theirs, the address is believed."""
    adjust_alone_up_to: int = Field(default=10, ge=0)
    """Sessions that one person may give or take by hand; more needs a second person."""

    alert_webhook_url: HttpUrl | None = None
    """Where alarms are posted to; signed by the secret in `alert.secret` or SPP_ALERT_WEBHOOK_SECRET."""
    alert_email_to: str = ""
    """Addresses that alarms are mailed to, separated by white space; by way of `smtp.url` or SPP_SMTP_URL."""
    alert_email_from: str = "spp@localhost"

    sentry_dsn: SecretStr | None = None
    """Errors are reported there; needs the extra `sentry`."""
    otlp_endpoint: HttpUrl | None = None
    """Traces are sent there by OTLP over HTTP, to its path /v1/traces; needs the extra `otel`."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def late_credit(self) -> timedelta:
        """How long after its payment a credit is late; zero is never."""
        return timedelta(hours=self.late_credit_hours)

    @field_validator("alert_webhook_url", "otlp_endpoint", "sentry_dsn", mode="before")
    @classmethod
    def _unset_where_blank(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("endpoints", mode="before")
    @classmethod
    def _parse_endpoints(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [_parse_endpoint(word) for word in value.split()]

    def with_secrets(self, role: DatabaseRole | None = None, *, receives: bool = True) -> Self:
        """These settings with the passwords of database and broker, and each endpoint's secrets and API key, filled in.

        With a role, as its process needs them: it logs in to the database by that role. A process that `receives`,
        the web's or one without a role, has to have the webhook secrets. Raises SettingsError naming the first
        endpoint without one.
        """
        receives = receives and role in {None, DatabaseRole.WEB}
        found = tuple(
            endpoint
            if endpoint.secrets
            else endpoint.model_copy(
                update={"secrets": self._secrets(endpoint, needed=receives), "api_key": self._api_key(endpoint)}
            )
            for endpoint in self.endpoints
        )
        return self.model_copy(
            update={"database_url": self._login(role), "broker_url": self._broker(), "endpoints": found}
        )

    def role_name(self, role: DatabaseRole) -> str:
        """What the role is called in the database."""
        return f"{self.database_roles}_{role}"

    def _login(self, role: DatabaseRole | None) -> str:
        user = self.role_name(role) if role and self.database_roles else None
        password = self.one_secret(role.password if role and user else DATABASE_PASSWORD)
        # What stands in the query counts more than what stands before the @.
        login = {"user": user, "password": password}
        more = "&".join(f"{name}={quote(value, safe='')}" for name, value in login.items() if value)
        return self.database_url + (("&" if "?" in self.database_url else "?") + more if more else "")

    def _broker(self) -> str:
        password = self.one_secret(BROKER_PASSWORD)
        scheme, _, rest = self.broker_url.partition("://")
        user, _, host = rest.rpartition("@")
        if not password or ":" in user:
            return self.broker_url
        return f"{scheme}://{user}:{quote(password, safe='')}@{host}"

    def _secrets(self, endpoint: Endpoint, *, needed: bool) -> tuple[SecretStr, ...]:
        secrets = self._read(secret_variable(endpoint.name), endpoint.name)
        if not secrets and needed:
            raise SettingsError(
                f"Endpoint {endpoint.name!r} has no webhook secret. Put it (several, separated by white space, "
                f"while rotating) into {self.places(secret_variable(endpoint.name), endpoint.name)}."
            )
        return secrets

    def _api_key(self, endpoint: Endpoint) -> tuple[SecretStr, ...]:
        return self._read(api_key_variable(endpoint.name), f"{endpoint.name}.api")

    def _read(self, variable: str, file_name: str) -> tuple[SecretStr, ...]:
        text = os.environ.get(variable, "").strip()
        if not text and self.secrets_dir is not None:
            try:
                text = (self.secrets_dir / file_name).read_text()
            except FileNotFoundError:
                text = ""
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"{self.secrets_dir / file_name} cannot be read: {error}") from None
        return tuple(SecretStr(word) for word in text.split())

    def console_key(self) -> str:
        """What signs the console's session cookies. Raises SettingsError where it is missing or short."""
        given = (self.console_secret,) if self.console_secret else self._read(CONSOLE_VARIABLE, CONSOLE_FILE)
        key = given[0].get_secret_value() if given else ""
        if len(key) < MIN_CONSOLE_SECRET_LENGTH:
            raise SettingsError(
                f"The console needs a secret of at least {MIN_CONSOLE_SECRET_LENGTH} random characters. Put it into "
                f"{self.places(CONSOLE_VARIABLE, CONSOLE_FILE)}; `openssl rand -hex 32` makes one."
            )
        return key

    def one_secret(self, secret: tuple[str, str]) -> str | None:
        """The secret of that variable or file (METRICS_TOKEN, ...), or None where neither has one."""
        given = self._read(*secret)
        return given[0].get_secret_value() if given else None

    def places(self, variable: str, file_name: str) -> str:
        """Where a secret may stand, for messages about one that is missing."""
        file = f" or the file {self.secrets_dir / file_name}" if self.secrets_dir else ""
        return f"the environment variable {variable}{file}"

    def endpoint(self, name: str) -> Endpoint | None:
        """The endpoint of that name, or None."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, Endpoint]:
        return {endpoint.name: endpoint for endpoint in self.endpoints}

    @property
    def test_endpoints(self) -> list[str]:
        """The names of the endpoints in test mode."""
        return [endpoint.name for endpoint in self.endpoints if endpoint.mode == "test"]


def _parse_endpoint(word: str) -> dict[str, object]:
    match = re.fullmatch(r"([^=:,]+)=([^=:,]+):([^=:,]+)((?:,[a-z_]+=[^,]+)*)", word)
    if match is None:
        raise ValueError(f"{word!r} is not of the form NAME=PROCESSOR:live or NAME=PROCESSOR:test[,OPTION=VALUE...]")
    name, processor, mode, more = match.groups()
    options = dict(option.split("=", 1) for option in more.split(",")[1:])
    account = options.pop("account", None)
    return {"name": name, "processor": processor, "mode": mode, "account": account, "options": options}


def secret_variable(endpoint: str) -> str:
    """The environment variable that holds an endpoint's secrets: stripe-live -> SPP_SECRET_STRIPE_LIVE."""
    return "SPP_SECRET_" + endpoint.upper().replace("-", "_")


def api_key_variable(endpoint: str) -> str:
    """The environment variable that holds an endpoint's API key: stripe-live -> SPP_API_KEY_STRIPE_LIVE."""
    return "SPP_API_KEY_" + endpoint.upper().replace("-", "_")


def load(role: DatabaseRole | None = None, *, receives: bool = True) -> Settings:
    """The settings of this process, complete and checked; of no role where it may do everything, or asks nothing of the
    database. See Settings.with_secrets. Raises SettingsError.
    """
    try:
        settings = Settings()  # type: ignore[call-arg]
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(dict(item)) for item in error.errors())) from None
    names = [endpoint.name for endpoint in settings.endpoints]
    variables = [secret_variable(name) for name in names]
    if len(set(variables)) < len(variables):
        raise SettingsError(f"SPP_ENDPOINTS names an endpoint twice: {' '.join(names)}. Rename one.")
    return settings.with_secrets(role, receives=receives)


def _explain(item: dict[str, object]) -> str:
    location = item["loc"]
    name = str(location[0]) if isinstance(location, tuple) and location else "?"
    variable = name if name.isupper() else f"SPP_{name.upper()}"
    if item["type"] == "missing":
        return f"{variable} is not set."
    return f"{variable}: {item['msg']}"
