"""How long the console takes: a member's page, the search, suggestions and the list of 100,000 members.

There are a million grants: 5,000 members have 200 of them each, with as many entries. The pages are asked for over HTTP
by somebody who is logged in, one request at a time, a different member each time, so that nothing is in a cache because
it was asked for before.
"""

import http.client
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from statistics import quantiles
from urllib.parse import quote, urlencode

from bench import loading, report
from bench.site import Site
from models.database.engine import make_engine, sessions
from models.staff import accounts
from models.staff.accounts import Role
from models.staff.actions import Actor

DATABASE = "pages"
MEMBERSHIPS = 5_000
EVENTS = 500_000
CROWD = 95_000
"""Further members, without grants."""
REQUESTS = 200
EMAIL, PASSWORD = "bench@example.com", "correct horse battery staple"


def measure(site: Site) -> list[report.Result]:
    """member_page_ms, search_ms, suggest_p99_ms and members_page_ms: the p99 of each."""
    loading.our_database(site, DATABASE, MEMBERSHIPS)
    loading.past(site, DATABASE, events=EVENTS, memberships=MEMBERSHIPS, until=datetime.now(UTC), bodies=False)
    site.run_sql(DATABASE, "crowd.sql", {"members": CROWD})
    loading.tidy(site, DATABASE)
    _make_account(site)
    stack = site.our_stack(DATABASE)
    try:
        stack.start("console")
        stack.wait_ready()
        browser = Browser(stack.console_port)
        browser.log_in()
        return [
            _timed("member_page_ms", site.rounds, browser, lambda number: f"/members/{number}"),
            _timed("search_ms", site.rounds, browser, _search),
            _timed("suggest_p99_ms", site.rounds, browser, _suggest),
            _timed("members_page_ms", site.rounds, browser, lambda number: f"/members/?page={number}"),
        ]
    finally:
        stack.stop()


def _search(number: int) -> str:
    """By part of a name, by e-mail address, by billing reference and by payment in turn."""
    suffix = f"{number:09}"
    sought = (f"bench{suffix[:-1]}", f"member{number}@", f"sub_bench{suffix}", f"in_past{number}")[number % 4]
    return f"/members/?q={quote(sought)}"


def _suggest(number: int) -> str:
    """What somebody has typed so far: from one letter on, of names that thousands share, and with two words."""
    word = ("m", "zo", "jose", "kim n", "sub_bench", f"member{number}", "san", "a")[number % 8]
    return f"/check-in/suggestions?q={quote(word)}"


def _timed(name: str, rounds: int, browser: "Browser", path: Callable[[int], str]) -> report.Result:
    numbers = _numbers()
    for _ in range(20):
        browser.get(path(next(numbers)))
    middle, slow = report.Series("p50", "ms", []), report.Series("p99", "ms", [])
    for _ in range(rounds):
        took = []
        for _ in range(REQUESTS):
            began = time.perf_counter()
            browser.get(path(next(numbers)))
            took.append(1e3 * (time.perf_counter() - began))
        cuts = quantiles(took, n=100)
        middle.values.append(cuts[49])
        slow.values.append(cuts[98])
    return report.Result(name, slow.median, (slow, middle))


def _numbers() -> Iterator[int]:
    """Members far from each other, none twice in a run."""
    for step in range(MEMBERSHIPS - 1):
        yield 1 + step * 1_709 % (MEMBERSHIPS - 1)


class Browser:
    """Somebody who is logged in, on one connection that stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._cookie = ""

    def log_in(self) -> None:
        """Enters the bench's account. Raises RuntimeError where the console refuses it."""
        page = self._request("GET", "/login")[1]
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        fields = {"csrf_token": token[1] if token else "", "email": EMAIL, "password": PASSWORD}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self._request("POST", "/login", urlencode(fields), headers)[0] != 302:
            raise RuntimeError("The console did not let the bench in.")

    def get(self, path: str) -> None:
        """Asks for a page. Raises RuntimeError unless it is shown, or found to be one member's own."""
        status, page = self._request("GET", path)
        if status not in {200, 302} or "/login" in page[:500]:
            raise RuntimeError(f"{path} was answered with {status}")

    def _request(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        self._connection.request(method, path, body, {"Cookie": self._cookie, **(headers or {})})
        response = self._connection.getresponse()
        for cookie in SimpleCookie(response.headers.get("Set-Cookie", "")).values():
            self._cookie = f"{cookie.key}={cookie.value}"
        return response.status, response.read().decode()


def _make_account(site: Site) -> None:
    engine = make_engine(site.postgres.url(DATABASE))
    with sessions(engine).begin() as session:
        accounts.add(
            session,
            email=EMAIL,
            name="Bench",
            role=Role.DESK,
            password=PASSWORD,
            by=Actor("bench", "command line"),
            now=datetime.now(UTC),
        )
    engine.dispose()
