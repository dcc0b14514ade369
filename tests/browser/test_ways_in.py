"""The ways in: a password by mail, and a second factor, as somebody at the browser finds them."""

import re
from datetime import UTC, datetime, timedelta

import pyotp
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from models.staff.accounts import Role
from tests.browser.conftest import Open
from tests.browser.site import visit
from tests.browser.test_accessible import faults
from tests.console.listening import smtp

NEW = "battery staple horse"


def found(page: Page) -> list[str]:
    """What is wrong with a page that was gone to, so that axe is not there yet."""
    page.evaluate(AXE_SCRIPT)
    return faults(page)


def test_a_password_by_mail_then_a_second_factor(browser: Browser, open_site: Open) -> None:
    with (
        smtp() as box,
        open_site(SPP_SMTP_URL=f"smtp://127.0.0.1:{box.port}", SPP_CONSOLE_URL="https://gym.example") as site,
    ):
        email = site.account(Role.MANAGER)
        one = visit(browser, site)
        page, wrong = one.page, []
        page.goto("/login")
        page.get_by_role("link", name="Forgot the password?").click()
        wrong += found(page)
        page.get_by_label("E-mail").fill(email)
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("a mail with a link is on its way")
        for _ in range(500):
            if not box.mails:
                page.wait_for_timeout(20)
        [(_, mail)] = box.mails
        content = mail.get_payload(decode=True)
        assert isinstance(content, bytes)
        [path] = re.findall(rb"https://gym\.example(/\S+)", content)
        page.goto(path.decode())
        wrong += found(page)
        page.get_by_label("New password", exact=True).fill(NEW)
        page.get_by_label("The new password again").fill(NEW)
        page.keyboard.press("Enter")
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill(NEW)
        page.keyboard.press("Enter")

        page.get_by_label("Manager Example").click()
        page.get_by_role("link", name="Second factor").click()
        expect(page.get_by_role("img", name="QR code for the app")).to_be_visible()
        wrong += found(page)
        app = pyotp.TOTP(page.locator(".reference").inner_text())
        page.get_by_label("Code that the app shows").fill(app.now())
        page.get_by_label("Your password").fill(NEW)
        page.keyboard.press("Enter")
        expect(page.get_by_role("listitem").filter(has_text=re.compile("^[a-z2-7-]{19}$"))).to_have_count(10)
        wrong += found(page)
        page.get_by_role("link", name="I have kept them").click()
        page.get_by_label("Manager Example").click()
        page.get_by_role("button", name="Log out").click()

        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill(NEW)
        page.keyboard.press("Enter")
        expect(page.get_by_label("Code from your app, or a recovery code")).to_be_focused()
        wrong += found(page)
        page.keyboard.type(app.at(datetime.now(UTC) + timedelta(seconds=30)))
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Members")).to_be_visible()
        assert (wrong, one.trouble) == ([], [])
        page.context.close()
