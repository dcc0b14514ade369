"""A gym's console as its people have it: real processes on a database of its own, and somebody at the browser."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect

from local.home import ROLES
from local.stack import Stack
from models.database.engine import make_engine, sessions
from models.staff import accounts
from models.staff.accounts import Role
from models.staff.actions import Actor
from tests.worker.scene import SECRET, Make

PASSWORD = "correct horse battery"
PATIENCE_MS = 30_000
"""How long a page may take before a test gives up; how fast it is, is measured elsewhere."""
SEEN_AS_ANSWER = "Failed to load resource: the server responded with a status of"


@dataclass
class Site:
    """The console at `url`, the webhook server of the same stack, and the database behind both."""

    stack: Stack
    make: Make

    @property
    def url(self) -> str:
        """Where the console answers."""
        return self.stack.console_url

    def account(self, role: Role) -> str:
        """The login name of an account of that role, made when first asked for."""
        email = f"{role}@example.com"
        with self.make.begin() as session:
            if accounts.find(session, email) is None:
                by, name = Actor("tests", "command line"), f"{role.title()} Example"
                now = datetime.now(UTC)
                accounts.add(session, email=email, name=name, role=role, password=PASSWORD, by=by, now=now)
        return email


def console_environment(database_url: str, broker_url: str) -> dict[str, str]:
    """The settings of a stack with the console and a test endpoint of Stripe's."""
    return {
        "DATABASE_URL": database_url,
        "SPP_DATABASE_ROLES": ROLES,
        "BROKER_URL": broker_url,
        "SPP_ENDPOINTS": "stripe=stripe:test",
        "SPP_SECRET_STRIPE": SECRET.decode(),
        "SPP_CONSOLE_SECRET": "of these tests, which nobody keeps",
        "SPP_CONSOLE_HTTPS": "false",
    }


@contextmanager
def running(environment: Mapping[str, str], logs: Path, *names: str) -> Iterator[Site]:
    """These processes and the console, on the database that the environment names."""
    stack = Stack(environment, logs)
    engine = make_engine(environment["DATABASE_URL"])
    try:
        stack.start("console", *names)
        stack.wait_ready(60)
        yield Site(stack, sessions(engine))
    finally:
        engine.dispose()
        stack.stop()


@dataclass
class Visit:
    """One person's window: `page`, and what went wrong in it that no person would see."""

    page: Page
    url: str
    trouble: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.trouble.append(f"script: {error}"))
        self.page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        # Also how the browser tells of what the content security policy forbids.
        if message.type == "error" and not message.text.startswith(SEEN_AS_ANSWER):
            self.trouble.append(message.text)

    def _answered(self, response: Response) -> None:
        request = response.request
        page = request.is_navigation_request() or "x-shown" in request.headers  # its reader sees refusals
        if response.status >= (500 if page else 400) or not response.url.startswith((self.url, "data:")):
            self.trouble.append(f"{response.status} from {response.url}")


def visit(browser: Browser, site: Site, *, java_script: bool = True, scheme: str = "light", width: int = 1280) -> Visit:
    """A new window, of a person who is not logged in."""
    expect.set_options(timeout=PATIENCE_MS)
    context = browser.new_context(
        base_url=site.url,
        java_script_enabled=java_script,
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 900},
        reduced_motion="reduce",
        locale="en-US",
        timezone_id="America/New_York",
    )
    return Visit(context.new_page(), site.url)


def log_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """Through the login page to the start."""
    page.goto("/login")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
