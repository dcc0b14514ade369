"""`spp doctor`: what is wrong with an installation, and how to mend it. It changes nothing and prints no secret."""

import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import click
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from console import broker_state
from console.alerts import channels
from console.cli import show
from console.cli.doctor_database import Finding, database
from console.cli.installed import installed_settings
from models.errors import SppError
from models.wording import counted
from runtime import settings, telemetry
from runtime.logs import first_line
from runtime.settings import METRICS_TOKEN, Settings, SettingsError
from webhooks.processors import adapter

FREE = 0.05

Check = Callable[[Settings], Iterator[Finding]]


@click.command()
@show.json_option
def doctor() -> None:
    """Check settings, secrets, database, broker and clock: what is wrong, and how to mend it.

    Exit 1 if something is wrong.
    """
    found = list(_examine())
    lines = [f"{'ok   ' if finding.ok else 'WRONG'}  {finding.what}" for finding in found]
    show.answer([finding._asdict() for finding in found], *lines)
    if not all(finding.ok for finding in found):
        raise click.exceptions.Exit(1)


def _examine() -> Iterator[Finding]:
    try:
        with installed_settings(None) as loaded:
            yield Finding(True, f"Settings: {len(loaded.endpoints)} endpoints.")
            for check in (_endpoints, *_OTHERS):
                yield from _carefully(check, loaded)
    except (SettingsError, SppError) as error:
        yield Finding(False, f"Settings: {error}")
        # The other checks do not need the endpoints.
        with suppress(ValidationError):
            without = Settings(endpoints=())  # type: ignore[call-arg]
            for check in _OTHERS:
                yield from _carefully(check, without)


def _carefully(check: Check, loaded: Settings) -> Iterator[Finding]:
    """The findings of a check. An exception becomes a finding, so that the other checks still run."""
    try:
        yield from check(loaded)
    except SQLAlchemyError as error:
        yield Finding(False, f"Database: {first_line(error)}")
    except Exception as error:  # noqa: BLE001 -- one fault must not hide another
        yield Finding(False, f"{(check.__doc__ or '').rstrip('.')}: {first_line(error)}")


def _endpoints(loaded: Settings) -> Iterator[Finding]:
    """Endpoints."""
    if not loaded.endpoints:
        yield Finding(False, "Endpoints: none. Set SPP_ENDPOINTS, such as stripe=stripe:live.")
    for endpoint in loaded.endpoints:
        try:
            processor = adapter(endpoint)
        except SettingsError as error:
            yield Finding(False, f"Endpoint {endpoint.name}: {error}")
            continue
        secrets = counted(len(endpoint.secrets), "secret")
        if (processor.fetches or processor.horizon) and not endpoint.api_key:
            where = loaded.places(settings.api_key_variable(endpoint.name), f"{endpoint.name}.api")
            cannot = "credited" if processor.needs_api else "reconciled"
            what = f"{secrets}, but no API key: nothing can be {cannot} without it. Put it into {where}."
            yield Finding(not processor.needs_api, f"Endpoint {endpoint.name}: {what}")
        else:
            yield Finding(True, f"Endpoint {endpoint.name}: {endpoint.processor}, {endpoint.mode}, {secrets}.")


def _secrets(loaded: Settings) -> Iterator[Finding]:
    """Secret files."""
    folder = loaded.secrets_dir
    if folder is None:
        return
    open_ones = [file for file in sorted(folder.iterdir()) if file.is_file() and _is_open(file)]
    for file in open_ones:
        yield Finding(False, f"Secret files: other users can read or change {file}. Run: chmod o-rwx,g-w {file}")
    if not open_ones:
        yield Finding(True, f"Secret files: no other user can read those in {folder}.")


def _is_open(file: Path) -> bool:
    return bool(file.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP))


def _console(loaded: Settings) -> Iterator[Finding]:
    """Console."""
    loaded.console_key()
    proxies = f"{loaded.trusted_proxies} trusted proxies"
    yield Finding(True, f"Console: has its secret; {'HTTPS' if loaded.console_https else 'no HTTPS'}, {proxies}.")


def _alerts(loaded: Settings) -> Iterator[Finding]:
    """Alerts, metrics and traces."""
    names = [channel.name for channel in channels.channels(loaded)]
    sent_by = f"sent by {' and '.join(names)}" if names else "not sent; see SPP_ALERT_WEBHOOK_URL"
    yield Finding(True, f"Alerts: {sent_by}.")
    exposed = "exposed, with a token" if loaded.one_secret(METRICS_TOKEN) else "not exposed: no token is set"
    yield Finding(True, f"Metrics: {exposed}.")
    telemetry.check(loaded)
    sent = [name for name, given in (("Sentry", loaded.sentry_dsn), ("traces", loaded.otlp_endpoint)) if given]
    yield Finding(True, f"Telemetry: {' and '.join(sent) or 'none'}.")


def _broker(loaded: Settings) -> Iterator[Finding]:
    """Broker."""
    state = broker_state.look(loaded.broker_url)
    mend = " Check BROKER_URL, and whether it runs." if state.trouble else ""
    reached = "reached; " if state.reachable else ""
    yield Finding(state.trouble is None, f"Broker: {reached}{state.summary}.{mend}")
    if state.eviction is not None:
        ok = state.eviction == "noeviction"
        mend = "" if ok else ": it may drop messages; set it to noeviction"
        yield Finding(ok, f"Broker: maxmemory-policy {state.eviction}{mend}.")


def _disk(loaded: Settings) -> Iterator[Finding]:  # noqa: ARG001
    """Disk."""
    here = Path.cwd()
    usage = shutil.disk_usage(here)
    share = usage.free / usage.total
    mend = "" if share > FREE else ": make room"
    yield Finding(share > FREE, f"Disk: {usage.free / 1e9:.0f} GB free ({share:.0%}) at {here}{mend}.")


_OTHERS: tuple[Check, ...] = (_secrets, _console, _alerts, database, _broker, _disk)
