"""The test endpoints of an installation on one machine: one per processor, with secrets made for them.

Each is set up as its adapter says (`Processor.trial`). The APIs behind them are stand-ins (local/standin), so that
everything can be tried without an account anywhere. The user's own SPP_ENDPOINTS are never mixed with these.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from local.api_objects import Objects
from local.kept import kept
from local.samples import Sample
from runtime.settings import Endpoint
from webhooks.processors import ADAPTERS, Processor, processor_named

ENDPOINTS: dict[str, str] = {
    processor_named(processor).trial.endpoint or processor.replace("_", "-"): processor for processor in ADAPTERS
}
"""Endpoint name -> processor."""


def _kind(name: str) -> type[Processor]:
    return processor_named(ENDPOINTS[name])


def names() -> list[str]:
    """The endpoints whose processors' client libraries are installed."""
    return [name for name in ENDPOINTS if not (library := _kind(name).library) or find_spec(library)]


@contextmanager
def provided(data: Path, *, run: bool) -> Iterator[dict[str, str]]:
    """The settings of these endpoints; with `run`, their APIs' stand-ins run as long as the block."""
    folder, urls_file = data / "secrets", data / "standin" / "urls.json"
    for name in ENDPOINTS:
        trial = _kind(name).trial
        kept(folder / name, trial.secret)
        kept(folder / f"{name}.api", partial(str, trial.api_key))
    urls_file.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if run:
            from local.standin import StandIn, standins  # a web framework, which few importers of this module need

            running = {kind: stack.enter_context(StandIn(kind, urls_file.parent)) for kind in standins()}
            urls_file.write_text(json.dumps({kind: standin.url for kind, standin in running.items()}))
        urls = json.loads(urls_file.read_text()) if urls_file.exists() else {}
        words = [_word(name, data, urls.get(ENDPOINTS[name])) for name in names()]
        yield {"SPP_ENDPOINTS": " ".join(words), "SPP_SECRETS_DIR": str(folder)}


def put_api_objects(data: Path, endpoint: Endpoint, made: Iterable[Sample]) -> None:
    """Put the API's objects behind these deliveries where the stand-in of the endpoint's processor finds them."""
    objects = Objects(data / "standin" / endpoint.processor)
    for one in made:
        for (kind, number), value in one.api.items():
            objects.put(kind, number, value)


def _word(name: str, data: Path, api: str | None) -> str:
    trial = _kind(name).trial
    options = {"api": api} if api else {}
    for option, function in trial.folders.items():
        folder = data / f"{name}-{option}"
        options[option] = str(folder)
        if not folder.exists():
            folder.mkdir(mode=0o700)
            module, _, fill = function.partition(":")
            getattr(import_module(module), fill)(folder)
    options |= trial.options
    return ",".join([f"{name}={ENDPOINTS[name]}:test", *(f"{option}={value}" for option, value in options.items())])
