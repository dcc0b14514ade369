"""The public webhook server and the console are apps of their own: neither answers at the other's paths."""

from collections.abc import Iterator

import pytest
from flask import Flask
from pydantic import SecretStr
from werkzeug.routing import Rule

from console.web.app import create_app
from runtime.settings import Settings
from tests.webhooks.site import Site

BOTH = {"/healthz", "/readyz", "/metrics"}


def paths(rules: list[Rule]) -> list[str]:
    """One path for each rule, with a 1 for whatever it takes."""
    built = [rule.build(dict.fromkeys(rule.arguments, 1), append_unknown=False) for rule in rules]
    return sorted({path for _, path in filter(None, built)} - BOTH)


@pytest.fixture
def console(settings: Settings) -> Iterator[Flask]:
    changed = settings.model_copy(update={"console_secret": SecretStr("x" * 32), "console_https": False})
    console = create_app(changed)
    yield console
    console.extensions["spp_engine"].dispose()


def test_the_webhook_server_has_no_page_of_the_console(site: Site, console: Flask) -> None:
    theirs = paths(list(console.url_map.iter_rules()))
    assert {"/login", "/members/", "/offers/1"} <= set(theirs)
    client = site.app.test_client()
    assert {path for path in theirs if client.get(path).status_code != 404} == set()
    assert {path for path in theirs if client.post(path).status_code != 404} == set()


@pytest.mark.parametrize("path", ["/webhooks/stripe", "/webhooks/standard"])
def test_the_console_receives_no_webhook(console: Flask, path: str) -> None:
    assert console.test_client().post(path, data=b"{}").status_code == 404
