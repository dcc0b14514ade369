"""Plain HTTP to a processor's API, for processors without a client library of use to us.

Bounded in time and tries, with clear errors. Loaded by the worker only.
"""

import codecs
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from webhooks.processors import strict
from webhooks.processors.base import Object, Processor
from webhooks.processors.events import Unavailable, Unusable

TIMEOUT_S = (3.05, 10)
"""To connect, and between two bytes of the answer."""

_RETRY = Retry(
    total=2, backoff_factor=0.3, status_forcelist=(502, 503, 504), respect_retry_after_header=False,
    allowed_methods=None, raise_on_status=False, redirect=0,
)  # fmt: skip


def ask(processor: Processor, method: str, path: str, **request: Any) -> Object:
    """The JSON object that the processor's API answers, read strictly; `request` as the requests library takes it.

    Raises Unavailable where it does not answer, limits us, refuses the API key or sends something unreadable, and
    LookupError where it does not have what was asked for.
    """
    url = processor.api_address + path
    with requests.Session() as session:
        session.mount(url, HTTPAdapter(max_retries=_RETRY))
        try:
            answer = session.request(method, url, timeout=TIMEOUT_S, allow_redirects=False, **request)
        except requests.RequestException as error:
            raise Unavailable(f"its API does not answer ({type(error).__name__})") from None
    host, status = url.split("/")[2], answer.status_code
    if status in {401, 403}:
        raise processor.key_refused(host, status)
    if status == 429 or status >= 500:
        raise Unavailable(f"{host} answers {status}")
    found = read(answer.content, f"{host} (status {status})")
    if not 200 <= status < 300:
        raise LookupError(f"{host} answers {status} to {method} {url}: {answer.text[:200]}")
    return found


def read(content: bytes, host: str) -> Object:
    """The JSON object in an answer, read strictly.

    Raises Unavailable for an unreadable one: it comes from a proxy on the way, or was cut off.
    """
    try:
        return strict.loads(content.removeprefix(codecs.BOM_UTF8))
    except Unusable as why:
        raise Unavailable(f"{host} answers what cannot be read: {why}") from None


def check_same(asked: str, answered: object, host: str) -> None:
    """Raises Unavailable where an answer is about another object than the one asked for."""
    if answered != asked:
        raise Unavailable(f"{host} answers about {answered!r:.60}, but was asked for {asked}")
