"""Verifying: CPU time of one signature over a delivery of 2 kB, for every processor that signs with HMAC.

What the endpoint does, without a server: our adapters on their own sample deliveries,
filled up with blanks; Adyen's has one item. PayPal signs with RSA and is left out.
"""

from datetime import UTC, datetime
from time import process_time
from timeit import repeat

from werkzeug.datastructures import EnvironHeaders
from werkzeug.test import create_environ

from bench import report
from bench.site import Site
from local import endpoints, samples
from runtime.settings import Settings
from webhooks.processors import Processor, adapters

BYTES = 2_000
TIMES = 5_000


def measure(site: Site) -> list[report.Result]:
    """verify_us: the slowest of them."""
    with endpoints.provided(site.folder / "verify", run=False) as provided:
        nowhere = {"DATABASE_URL": "", "BROKER_URL": ""}
        named = {"endpoints": provided["SPP_ENDPOINTS"], "secrets_dir": provided["SPP_SECRETS_DIR"]}
        settings = Settings.model_validate(nowhere | named).with_secrets()
        processors = [adapter for adapter in adapters(settings.endpoints).values() if _name(adapter) != "paypal"]
    found = [report.Series(_name(adapter), "us", _verify_us(adapter, site.rounds)) for adapter in processors]
    found.sort(key=lambda series: series.median, reverse=True)
    return [report.Result("verify_us", found[0].median, tuple(found))]


def _name(adapter: Processor) -> str:
    return adapter.endpoint.processor


def _verify_us(adapter: Processor, rounds: int) -> list[float]:
    now = datetime.now(UTC)
    content, _ = samples.sample(_name(adapter), "paid", reference="sub_1", number="1", now=now)[0]
    delivery = adapter.sign(content.ljust(BYTES), int(now.timestamp()))
    headers = EnvironHeaders(create_environ(headers=delivery.headers))
    if invalid := adapter.verify(delivery.body, headers, now.timestamp()):
        raise ValueError(f"{_name(adapter)} does not take its own signature: {invalid.because}")
    # Of this process alone: whatever else runs would make more of it than all our schemes differ.
    seconds = repeat(
        lambda: adapter.verify(delivery.body, headers, now.timestamp()), timer=process_time, number=TIMES, repeat=rounds
    )
    return [one / TIMES * 1e6 for one in seconds]
