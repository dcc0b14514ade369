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

    Raises Unavailable where it does not answer, limits us or refuses the key (which stands in
    `api_key_at`), and LookupError where it has not what was asked for.
    """
    with requests.Session() as session:
        session.mount(url, HTTPAdapter(max_retries=_RETRY))
        try:
            answer = session.request(method, url, timeout=TIMEOUT_S, allow_redirects=False, **request)
        except requests.RequestException as error:
            raise Unavailable(f"its API does not answer ({type(error).__name__})") from None
    host = url.split("/")[2]
    if answer.status_code in {401, 403}:
        raise Unavailable(
            f"{host} refuses the API key (status {answer.status_code}): put a valid one into {api_key_at}"
        )
    if answer.status_code == 429 or answer.status_code >= 500:
        raise Unavailable(f"{host} answers {answer.status_code}")
    if not 200 <= answer.status_code < 300:
        raise LookupError(f"{host} answers {answer.status_code} to {method} {url}: {answer.text[:200]}")
    try:
        return strict.loads(answer.content.removeprefix(codecs.BOM_UTF8))
    except Unusable as why:
        raise LookupError(f"{host} answers what cannot be read: {why}") from None
