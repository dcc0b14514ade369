"""Where things are on the console's pages, as people and their screen readers find them."""

import os
from datetime import date

import pytest
from playwright.sync_api import Locator, Page

MINUS = "\u2212"

ALL = os.environ.get("BROWSER_TESTS") == "all"
WITHOUT = pytest.param(
    False, id="without JavaScript", marks=pytest.mark.skipif(not ALL, reason="BROWSER_TESTS is not all")
)
WITH_AND_WITHOUT = pytest.mark.parametrize("java_script", [pytest.param(True, id="with JavaScript"), WITHOUT])
"""Each page works without scripts; the gate tries that in a few places, and `BROWSER_TESTS=all` in all."""
SIGN_UP = "/sign-up/?club=1&offer=1&term=1"
"""A sign-up for what the sample gym sells, whichever clubs and offers other tests have made meanwhile."""


def go(page: Page, name: str) -> None:
    """By the bar."""
    bar = page.get_by_role("navigation", name="Main")
    if name not in {"Check in", "Members", "Sign-up", "Review", "Offer Builder", "Operations"}:
        bar.locator("summary", has_text="More").click()
    if name in {"Imports", "Exports"}:
        bar.get_by_role("link", name="Moving in and out").click()
        bar = page.get_by_role("navigation", name="Moving in")
    bar.get_by_role("link", name=name).click()


def balance(page: Page, item: str) -> Locator:
    """The card on a member's page that says what can be used of the item."""
    cards = page.get_by_role("region", name="Sessions").locator(".balance")
    return cards.filter(has=page.get_by_role("heading", name=item))


def rows(page: Page, section: str) -> Locator:
    """The lines of the table in that part of a page."""
    return page.get_by_role("region", name=section).get_by_role("row")


def written(day: date) -> str:
    """`Nov 3, 2026`."""
    return f"{day:%b} {day.day}, {day.year}"
