"""Plain HTTP to a processor's API, for the processors without a client library to use.

Bounded in time and tries, and plain about what went wrong. Loaded by the worker only.
"""

import codecs
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from webhooks.processors import Unavailable, Unusable, strict

TIMEOUT_S = (3.05, 10)
"""To connect, and between two bytes of the answer."""

_RETRY = Retry(
    total=2, backoff_factor=0.3, status_forcelist=(502, 503, 504), respect_retry_after_header=False,
    allowed_methods=None, raise_on_status=False, redirect=0,
)  # fmt: skip


def ask(method: str, url: str, *, api_key_at: str, **request: Any) -> dict[str, Any]:
    """The JSON object that the API answers, read strictly; `request` as the requests library takes it.

    Raises Unavailable where it does not answer, limits us, refuses the key (which stands in `api_key_at`) or
    answers what cannot be read, and LookupError where it says that it has not what was asked for.
    """
    with requests.Session() as session:
        session.mount(url, HTTPAdapter(max_retries=_RETRY))
        try:
            answer = session.request(method, url, timeout=TIMEOUT_S, allow_redirects=False, **request)
        except requests.RequestException as error:
            raise Unavailable(f"its API does not answer ({type(error).__name__})") from None
    host, status = url.split("/")[2], answer.status_code
    if status in {401, 403}:
        raise Unavailable(f"{host} refuses the API key (status {status}): put a valid one into {api_key_at}")
    if status == 429 or status >= 500:
        raise Unavailable(f"{host} answers {status}")
    found = read(answer.content, f"{host} (status {status})")
    if not 200 <= status < 300:
        raise LookupError(f"{host} answers {status} to {method} {url}: {answer.text[:200]}")
    return found


def read(content: bytes, who: str) -> dict[str, Any]:
    """The JSON object in an answer, read strictly.

    Raises Unavailable for what cannot be read: it comes from something on the way, or was cut off.
    """
    try:
        return strict.loads(content.removeprefix(codecs.BOM_UTF8))
    except Unusable as why:
        raise Unavailable(f"{who} answers what cannot be read: {why}") from None


def check_same(asked: str, answered: object, who: str) -> None:
    """Raises Unavailable where an answer is about another object than was asked for."""
    if answered != asked:
        raise Unavailable(f"{who} answers about {answered!r:.60}, but was asked for {asked}")
