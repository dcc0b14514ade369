"""A Chromium, windows in it, and stacks of real processes. What a window's console tells fails its test."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from local.servers import Broker, Postgres
from models.staff.accounts import Role
from tests.browser import chromium, sample
from tests.browser.site import Site, Visit, console_environment, log_in, running, visit

_numbers = count(1)
_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[_failed] = report.failed or item.stash.get(_failed, False)
    return report


# Of a module, not longer: while it lives, no other code of this thread can run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium.find()
    if path is None:
        message = "There is no Chromium: `make test` installs one where it can."
        if os.environ.get("BROWSER_TESTS") in {"required", "all"}:
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=chromium.arguments())
        yield browser
        browser.close()


Open = Callable[..., AbstractContextManager[Site]]


@pytest.fixture(scope="session")
def open_site(
    postgres: Postgres, template: str, broker_server: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Open:
    """`with open_site("web", "worker") as site: ...`: the console and these, on a new database without a gym.

    Further arguments are settings.
    """

    @contextmanager
    def opened(*names: str, **more: str) -> Iterator[Site]:
        database = f"browser_{next(_numbers)}"
        postgres.create(database, template)
        environment = {**os.environ, **console_environment(postgres.url(database), broker_server.url), **more}
        with running(environment, tmp_path_factory.mktemp("logs"), *names) as site:
            yield site
        postgres.drop(database)

    return opened


@pytest.fixture(scope="session")
def site(open_site: Open) -> Iterator[Site]:
    """The console of the sample gym, for all tests that change no more of it than their own corner."""
    with open_site() as site:
        sample.fill(site.make, datetime.now(UTC))
        yield site


Enter = Callable[..., Page]


@pytest.fixture
def enter(browser: Browser, site: Site, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Enter]:
    """`enter(Role.DESK, java_script=False)`: a window of somebody of that role; of nobody yet for None."""
    visits: list[Visit] = []

    def open_window(role: Role | None = Role.ADMIN, *, java_script: bool = True, scheme: str = "light") -> Page:
        visits.append(visit(browser, site, java_script=java_script, scheme=scheme))
        if role is not None:
            log_in(visits[-1].page, site.account(role))
        return visits[-1].page

    yield open_window
    trouble = [line for visit in visits for line in visit.trouble]
    if trouble or request.node.stash.get(_failed, False):
        for number, one in enumerate(visits):
            one.page.screenshot(path=tmp_path / f"{number}.png", full_page=True)
    for one in visits:
        one.page.context.close()
    assert not trouble, f"pictures in {tmp_path}, the server's word in {site.stack.log('console')}"


@pytest.fixture
def page(enter: Enter) -> Page:
    """A window of an admin."""
    return enter()
