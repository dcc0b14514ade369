"""Makes the pictures in docs/img again: `make screenshots`."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

from local.home import make_roles
from local.servers import Broker, Postgres
from local.stack import ROOT
from models.database.migrations import upgrade
from models.staff.accounts import Role
from tests.browser import chromium, sample
from tests.browser.site import console_environment, log_in, running, visit

FOLDER = ROOT / "docs" / "img"
PICTURES = {"offer-builder": "/offers/1", "member": "/members/1", "review": "/review", "operations": "/operations"}
"""Name of the picture -> the page that it shows."""


def main() -> int:
    path = chromium.find()
    if path is None:
        sys.stderr.write("There is no Chromium: `make test` installs one where it can.\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    with (
        TemporaryDirectory(prefix="spp-pictures-") as folder,
        Postgres(Path(folder, "postgres")) as postgres,
        Broker(Path(folder, "broker")) as broker,
    ):
        upgrade(postgres.url())
        make_roles(postgres.url())
        environment = {**os.environ, **console_environment(postgres.url(), broker.url)}
        environment["SPP_ENDPOINTS"] += " gocardless=gocardless:test"
        environment |= {"SPP_SECRET_GOCARDLESS": "of these pictures", "SPP_API_KEY_GOCARDLESS": "none"}
        with (
            running(environment, Path(folder, "logs"), "web", "worker", "beat") as site,
            sync_playwright() as playwright,
        ):
            sample.fill(site.make, datetime.now(UTC))
            sample.unlike(site.make, datetime.now(UTC))
            sample.traffic(site.make)
            browser = playwright.chromium.launch(executable_path=path, args=chromium.arguments())
            page = visit(browser, site).page
            log_in(page, site.account(Role.ADMIN))
            for name, address in PICTURES.items():
                page.goto(address)
                page.screenshot(path=FOLDER / f"{name}.png")
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
