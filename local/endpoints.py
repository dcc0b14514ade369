"""The test endpoints of an installation on one machine: one per processor, with secrets made for them.

The APIs behind them are stand-ins (local/standin), so that all of it can be tried without an
account anywhere. What is the user's own, SPP_ENDPOINTS, is never mixed with these.
"""

import base64
import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from local.api_objects import Objects
from local.kept import kept
from local.samples import Sample
from runtime.settings import Endpoint
from webhooks.processors import processor_class


def _token() -> str:
    return secrets.token_urlsafe(24)


ENDPOINTS: dict[str, tuple[str, Callable[[], str], str]] = {
    "stripe": ("stripe", lambda: f"whsec_{_token()}", "sk_test_1"),
    "standard": ("standard_webhooks", lambda: f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}", ""),
    "gocardless": ("gocardless", _token, "sandbox_1"),
    "adyen": ("adyen", lambda: secrets.token_hex(32).upper(), ""),
    "square": ("square", _token, "sandbox_1"),
    "braintree": ("braintree", lambda: f"public_1:{secrets.token_hex(16)}", "merchant_1 public_1 private_1"),
    "paypal": ("paypal", lambda: f"WH-{secrets.token_hex(8).upper()}", "client_1 secret_1"),
    "authorize-net": ("authorize_net", lambda: secrets.token_hex(64).upper(), "login_1 key_1"),
}
"""Endpoint name -> processor, what makes its secret, and the API key that its stand-in takes."""


def names() -> list[str]:
    """The endpoints whose processors' client libraries are here."""
    libraries = {
        name: processor_class(Endpoint(name=name, processor=kind, mode="test")).library
        for name, (kind, *_) in ENDPOINTS.items()
    }
    return [name for name, library in libraries.items() if not library or find_spec(library)]


@contextmanager
def provided(data: Path, *, run: bool) -> Iterator[dict[str, str]]:
    """The settings of these endpoints; with `run`, their APIs' stand-ins run as long as the block."""
    folder, urls_file = data / "secrets", data / "standin" / "urls.json"
    _make_secrets(folder)
    urls_file.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if run:
            from local.standin import STANDINS, StandIn  # a web framework, for few of those who load us

            running = {kind: stack.enter_context(StandIn(kind, urls_file.parent)) for kind in STANDINS}
            urls_file.write_text(json.dumps({kind: standin.url for kind, standin in running.items()}))
        urls = json.loads(urls_file.read_text()) if urls_file.exists() else {}
        words = [_word(name, ENDPOINTS[name][0], data, urls) for name in names()]
        yield {"SPP_ENDPOINTS": " ".join(words), "SPP_SECRETS_DIR": str(folder)}


def api_objects(data: Path, endpoint: Endpoint) -> Objects:
    """What the stand-in for that endpoint's API tells of."""
    return Objects(data / "standin" / endpoint.processor)


def api_tells(data: Path, endpoint: Endpoint, made: Iterable[Sample]) -> None:
    """Puts what the API behind these deliveries would tell where its stand-in finds it."""
    for one in made:
        for (kind, number), value in one.api.items():
            api_objects(data, endpoint).put(kind, number, value)


def _word(name: str, processor: str, data: Path, urls: dict[str, str]) -> str:
    options = {"api": urls[processor]} if processor in urls else {}
    if processor == "square":
        options["url"] = "https://gym.example/webhooks/square"
    if processor == "paypal":
        options["certs"] = str(_certificates(data / "certificates"))
    return ",".join([f"{name}={processor}:test", *(f"{option}={value}" for option, value in options.items())])


def _certificates(folder: Path) -> Path:
    from local.paypal_certificates import make  # its package comes with PayPal's extra

    if not folder.exists():
        folder.mkdir(mode=0o700)
        make(folder)
    return folder


def _make_secrets(folder: Path) -> None:
    for name, (_, make, api_key) in ENDPOINTS.items():
        kept(folder / name, make)
        kept(folder / f"{name}.api", partial(str, api_key))
