"""Moving in and out in a browser: a file with a wrong row, mended, imported, exported again, and undone."""

from pathlib import Path

from playwright.sync_api import Page, expect

from models.moving import working
from models.staff.accounts import Role
from tests.browser.conftest import Enter
from tests.browser.places import go
from tests.browser.site import Site

HEAD = "E-mail,name,club,offer,picks,joined,credits from\n"
ROW = "{name}@example.com,{name} Mover,{club},All In,Group Class | Personal Training,2024-03-01,2026-11-01\n"


def work(site: Site) -> None:
    """What a worker does; the page asks for it by itself."""
    while working.step(site.make, endpoints=("stripe",)):
        pass


def send(page: Page, text: str) -> None:
    page.get_by_label("File", exact=True).set_input_files(
        {"name": "movers.csv", "mimeType": "text/csv", "buffer": text.encode()}
    )
    page.get_by_role("button", name="Check the file").click()


def test_people_move_in_and_out(enter: Enter, site: Site, tmp_path: Path) -> None:
    page = enter(Role.MANAGER)
    good = ROW.format(name="Mona", club="Riverside"), ROW.format(name="Milo", club="Riverside")
    go(page, "Imports")
    page.get_by_role("link", name="Upload a file").first.click()
    send(page, HEAD + good[0] + ROW.format(name="Milo", club="Nowhere"))
    page.get_by_label("E-mail", exact=True).select_option(label="email")
    page.get_by_role("button", name="Check the rows").click()
    expect(page.get_by_text("Being checked")).to_be_visible()
    work(site)
    expect(page.get_by_role("row").filter(has_text="3 Milo")).to_contain_text("There is no club 'Nowhere'.")
    page.get_by_role("link", name="Upload the mended file").click()
    send(page, HEAD + "".join(good))
    work(site)
    page.get_by_label("Why").fill("We move in")
    page.get_by_role("button", name="Import 2 rows").click()
    work(site)
    expect(page.get_by_role("heading", name="What it made")).to_be_visible()
    imported = page.url
    go(page, "Exports")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download members", exact=True).click()
    download.value.save_as(tmp_path / "members.csv")
    assert "Mona Mover" in (tmp_path / "members.csv").read_text()
    page.goto(imported)
    page.get_by_role("link", name="Undo this import").click()
    page.get_by_label("Why").fill("The wrong file")
    page.get_by_role("button", name="Undo the import").click()
    work(site)
    expect(page.get_by_role("heading", name="What it had made")).to_be_visible()
    page.goto(f"{site.url}/members/?q=Mona")
    expect(page.get_by_text("Mona Mover")).to_have_count(0)
