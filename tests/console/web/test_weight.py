"""What a page weighs over the wire when the browser has nothing of it yet, and that it never asks for a file twice."""

import re
from collections.abc import Callable

from flask import Flask, url_for

from console.web.app import MORE_NAVIGATION, NAVIGATION, TABS
from tests.console.web.conftest import Browser

KB = 1000
ASSET = re.compile(r'<(?:link|script|img)\b[^>]* (?:href|src)="([^"]+)"')
LIKE_A_BROWSER = {"Accept-Encoding": "gzip, deflate, br, zstd", "Sec-Fetch-Site": "same-origin"}


def weighs(browser: Browser, path: str) -> int:
    """Bytes of the page and of all that it names."""
    assets = set(ASSET.findall(browser.get(path, follow_redirects=True).get_data(as_text=True)))
    return sum(len(browser.client.get(one, headers=LIKE_A_BROWSER).data) for one in {path, *assets})


def test_the_first_page(stranger: Browser) -> None:
    assert weighs(stranger, "/login") < 100 * KB


def test_every_page_of_the_bar(site: Flask, log_in: Callable[..., Browser]) -> None:
    ada = log_in()
    links = [link for group in (NAVIGATION, *MORE_NAVIGATION.values(), *TABS) for link in group]
    with site.test_request_context():
        paths = {url_for(endpoint) for endpoint, _, _ in links}
    assert {path: weight for path in paths if (weight := weighs(ada, path)) > 150 * KB} == {}


def test_files_are_kept_for_ever_under_an_address_that_changes_with_them(log_in: Callable[..., Browser]) -> None:
    ada = log_in()
    ada.get("/members/")
    named = next(one for one in ASSET.findall(ada.page) if "console.css" in one)
    assert "immutable" in ada.get(named).headers["Cache-Control"]
    for other in ("/static/console.css", "/static/console.css?v=of-another-version"):
        assert ada.get(other).headers["Cache-Control"] == "no-cache"


def test_what_another_site_asks_for_is_not_compressed(log_in: Callable[..., Browser]) -> None:
    ada = log_in()
    for asked_from, encoding in (("same-origin", "zstd"), ("none", "zstd"), ("cross-site", None), ("same-site", None)):
        answer = ada.client.get("/members/", headers={**LIKE_A_BROWSER, "Sec-Fetch-Site": asked_from})
        assert answer.headers.get("Content-Encoding") == encoding, asked_from
