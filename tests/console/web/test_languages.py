"""Pages in the language and formats of who reads them, and catalogues that lack nothing."""

import re
from datetime import UTC, date, datetime

import pytest
from babel import Locale
from flask import Flask
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from console.web import languages
from console.web.languages import spoken
from local import translations
from models.catalogue.clubs import Club
from models.database.engine import sessions
from models.errors import DateInPast, NotAnAmount
from models.staff.accounts import Role, Staff
from models.wording import amount, counted, day_of, minor_units, money, percent
from runtime.language import LOCALES, Language, grouped, in_english, locale, speaking
from tests.browser import every_page, sample
from tests.console.web.builder import LogIn
from tests.console.web.conftest import Browser
from tests.console.web.marked import Marked, outside
from tests.console.web.test_first_steps import pages
from tests.models.gym import Gym

HOLES = re.compile(r"%\(\w+\)s|\{\w+(?:!r)?\}")
SPANISH = Locale("es")
NAMES = (
    "Ann Archer", "Ben Bishop", "Cem Celik", "Ada Admin", "Riverside", "Nowhere", "All In", "Per Month",
    "Personal Training", "Group Class", "Yoga", "Spin", "Towel", "Sessions Per Payment", *LOCALES.values(),
)  # fmt: skip
NOTES = (
    "Class cancelled by the instructor", "Ten weeks at our other club", "Far away", "The plan is known now",
    "Towels are rented by the day", "RuntimeError: the plan is unknown", "tests", "sample gym", "command line",
)  # fmt: skip
TECHNICAL = (
    "adyen", "authorize-net", "braintree", "gocardless", "paypal", "square", "standard", "stripe", "Stripe", "US$",
    "kB", "min", "Ctrl",
)  # fmt: skip
OF_LIBRARIES = (
    *SPANISH.months["format"]["abbreviated"].values(), *SPANISH.days["format"]["abbreviated"].values(), "hora central",
    "Este campo es obligatorio.", "Opción inválida.", "No es un valor entero válido.",
)  # fmt: skip
DATA = re.compile(rf"\b(?:{'|'.join(map(re.escape, (*NAMES, *NOTES, *TECHNICAL, *OF_LIBRARIES)))})(?!\w)")
"""What stands on pages of the sample gym and is no text of ours."""


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("en_US", ["Nov 14, 2026", "12,345", "$1,234.50", "1234.50", "4%"]),
        ("en_GB", ["14 Nov 2026", "12,345", "US$1,234.50", "1234.50", "4%"]),
        ("es", ["14 nov 2026", "12.345", "1.234,50 US$", "1234,50", "4 %"]),
    ],
)
def test_days_numbers_and_money_are_written_in_the_locale(language: str, written: list[str]) -> None:
    with speaking(spoken(language)):
        said = [day_of(date(2026, 11, 14)), grouped(12345), money(123450, "USD"), amount(123450, "USD"), percent(0.04)]
    assert [one.replace("\xa0", " ") for one in said] == written


@pytest.mark.parametrize(
    ("typed", "minor"), [("89,00", 8900), ("1.234,50", 123450), ("1.234", 123400), ("89", 8900), ("89,00 $", 8900)]
)
def test_amounts_are_typed_as_the_locale_writes_them(typed: str, minor: int) -> None:
    with speaking(spoken("es")):
        assert minor_units(typed, "USD") == minor
    if typed != "89":
        with pytest.raises(NotAnAmount):
            minor_units(typed, "USD")


@pytest.mark.parametrize("typed", ["89.00", "1,234.50", "1.23", "1,234"])
def test_an_amount_in_anothers_way_is_never_guessed(typed: str) -> None:
    with speaking(spoken("es")), pytest.raises(NotAnAmount, match="89,00"):
        minor_units(typed, "USD")


def test_what_is_stored_is_in_english_whoever_acts() -> None:
    with speaking(spoken("es")):
        assert in_english(day_of)(date(2026, 11, 14)) == "Nov 14, 2026"
        assert "14 nov 2026" in str(DateInPast(day=date(2026, 11, 14)))
        assert locale() == "es"
    assert counted(1234, "membership") == "1,234 memberships"


def test_a_person_chooses_and_else_it_is_the_clubs(log_in: LogIn, gym: Gym, session: Session) -> None:
    browser = log_in(Role.MANAGER)
    session.scalars(select(Club)).one().locale = "es"
    session.commit()
    browser.get("/clubs/")
    assert '<html lang="es">' in browser.page
    browser.post("/language/", locale="en_GB", next="/clubs/")
    assert '<html lang="en-GB">' in browser.page
    assert session.scalars(select(Staff.locale).where(Staff.locale.is_not(None))).all() == ["en_GB"]
    assert locale() == "en_US"


def test_before_the_login_it_is_the_browsers(stranger: Browser) -> None:
    for asked, lang in (("es-MX,es;q=0.9", "es"), ("en-GB", "en-GB"), ("en", "en-US"), ("fr", "en-US")):
        answer = stranger.client.get("/login", headers={"Accept-Language": asked})
        assert f'<html lang="{lang}">' in answer.text


def test_the_catalogues_have_every_text_and_a_translation_keeps_what_is_filled_in() -> None:
    found, spanish = translations.extracted(), translations.read("es")
    assert [one.id for one in found if one.id and one.id not in spanish] == [], "run `make translations`"
    for language in translations.LANGUAGES:
        for one in translations.read(language):
            said = one.string if isinstance(one.string, tuple) else (one.string,)
            texts = one.id if isinstance(one.id, (tuple, list)) else (one.id,)
            for text, source in zip(said if one.id else (), texts, strict=False):
                assert not text or set(HOLES.findall(text)) == set(HOLES.findall(source)), one.id
            assert not one.fuzzy or not one.id


def test_everything_has_a_spanish_translation() -> None:
    assert translations.missing(translations.read("es")) == []


def test_every_text_of_every_page_is_of_a_catalogue(
    site: Flask, log_in: LogIn, stranger: Browser, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked = Language("es", Marked(translations.read("es")))
    monkeypatch.setattr(languages, "spoken", lambda _: marked)
    ada, make, found = log_in(Role.ADMIN), sessions(engine), dict[str, str]()

    def look(path: str, browser: Browser = ada) -> None:
        if browser.get(path, follow_redirects=True).mimetype == "text/html":
            note(path, browser)

    def send(path: str, browser: Browser = ada, **fields: str) -> None:
        if browser.post(path, follow=False, **fields).status_code != 302:
            note(f"POST {path}", browser)

    def note(place: str, browser: Browser) -> None:
        for said in outside(browser.page, DATA):
            found.setdefault(said, place)

    for way in ("/login", "/login/forgot", "/login/password/of-nobody"):
        look(way, stranger)
        send(way, stranger)
    rename(engine, "staff", "Ada Admin")
    for path in pages(site):
        look(path)
    sample.fill(make, datetime.now(UTC))
    every_page.prepare(make)
    rename(engine, "payment_terms", "Per Month")
    send("/tokens/new", name="Yoga", owner="1", scope="read")
    assert "⟦It is shown this once" in ada.page
    paths = every_page.paths(site, make)
    for path in paths:
        look(path)
    routes = site.url_map.bind("localhost")
    # Forms that are sent empty say what they lack.
    for path in paths:
        if "POST" in routes.allowed_methods(path.partition("?")[0]):
            send(path)
    assert not found, "outside of every catalogue:\n" + "\n".join(f"{place}: {said}" for said, place in found.items())


def rename(engine: Engine, table: str, name: str) -> None:
    """Give its rows a name that is no text of ours."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {table} SET name = '{name}'")
