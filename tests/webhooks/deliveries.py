"""Deliveries as they reach us: recorded bodies, changed where a test wants it, and their headers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr
from werkzeug.datastructures import Headers

from runtime.settings import Endpoint
from webhooks.processors import ParsedEvent, Processor, adapter

PAYLOADS = Path(__file__).parent.parent / "payloads"
NOW = 1_793_600_000


def endpoint(
    processor: str,
    *secrets: str,
    mode: Literal["live", "test"] = "test",
    account: str | None = None,
    api_key: Sequence[str] = (),
    **options: str,
) -> Processor:
    """The adapter of an endpoint named like its processor."""
    hidden = [tuple(SecretStr(secret) for secret in words) for words in (secrets, api_key)]
    return adapter(
        Endpoint(
            name=processor.replace("_", "-"),
            processor=processor,
            mode=mode,
            account=account,
            options=options,
            secrets=hidden[0],
            api_key=hidden[1],
        )
    )


def recorded(processor: str) -> dict[str, bytes]:
    """The recorded deliveries of a processor, by file name."""
    return {file.stem: file.read_bytes() for file in sorted((PAYLOADS / processor).glob("*.json"))}


def changed(body: bytes, **changes: object) -> bytes:
    """The body with other values; `a__b__0=1` sets `["a"]["b"][0]`, and `...` takes the key away."""
    value = json.loads(body)
    for path, new in changes.items():
        *parents, last = (int(step) if step.isdigit() else step for step in path.split("__"))
        holder: Any = value
        for step in parents:
            holder = holder[step]
        if new is ...:
            del holder[last]
        else:
            holder[last] = new
    return json.dumps(value).encode()


def received(headers: Mapping[str, str]) -> Headers:
    """Headers as the app hands them over: looked up in whatever case, one latin-1 character per byte."""
    return Headers({name: value.encode().decode("latin-1") for name, value in headers.items()})


def part_of(adapter: Processor, body: bytes) -> ParsedEvent:
    """The event of the delivery of that body."""
    delivery = adapter.sign(body, NOW)
    headers = received(delivery.headers)
    assert adapter.verify(delivery.body, headers, NOW) is None
    (part,) = adapter.parse(delivery.body, headers)
    return part
