"""A member's record: a misspelt address is corrected, a family shares one, a membership moves, a reference too."""

from playwright.sync_api import expect
from sqlalchemy import select

from models.members.memberships import Membership
from models.staff.accounts import Role
from tests.browser import sample
from tests.browser.conftest import Enter
from tests.browser.places import SIGN_UP, WITH_AND_WITHOUT
from tests.browser.site import Site


def membership_of(site: Site, name: str) -> int:
    """Of a newcomer of that name."""
    member_id = sample.newcomer(site.make, name)
    with site.make() as session:
        return session.scalars(select(Membership.id).filter_by(member_id=member_id)).one()


def test_a_misspelt_address_is_corrected(enter: Enter, site: Site) -> None:
    page = enter(Role.DESK)
    page.goto(f"/members/{sample.newcomer(site.make, 'Lea')}")
    page.get_by_role("link", name="Edit", exact=True).click()
    window = page.get_by_role("dialog")
    window.get_by_label("E-mail").fill("ben@example.com")
    window.get_by_role("button", name="Save").click()
    expect(window).to_contain_text("Member 2 has this address already.")
    expect(window.get_by_label("It is another person with the same address")).not_to_be_checked()
    window.get_by_label("E-mail").fill("lea.lee@example.com")
    window.get_by_label("Why").fill("misspelt at sign-up")
    window.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("<lea.lee@example.com> is saved.")


def test_a_family_shares_an_address(enter: Enter, site: Site) -> None:
    sample.newcomer(site.make, "Clara")
    page = enter(Role.DESK)
    page.goto(f"{SIGN_UP}&email=clara@example.com")
    page.get_by_label("It is another person with the same address").check()
    page.get_by_label("Name").fill("Cleo")
    page.get_by_label("Personal Training").check()
    page.get_by_role("button", name="Sign up", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("Signed up: Cleo")
    page.goto("/members/?q=clara@example.com")
    expect(page.get_by_role("row").filter(has_text="clara@example.com")).to_have_count(2)


@WITH_AND_WITHOUT
def test_a_membership_moves_after_its_preview(enter: Enter, site: Site, java_script: bool) -> None:
    page = enter(Role.ADMIN, java_script=java_script)
    name = f"Uptown {java_script}"
    page.goto("/clubs/new")
    page.get_by_label("Name").fill(name)
    page.get_by_role("dialog").get_by_role("button").last.click()
    page.goto(f"/memberships/{membership_of(site, f'Mover{java_script}')}")
    page.get_by_role("link", name="Move to another club").click()
    window = page.get_by_role("dialog")
    window.get_by_label("Club").select_option(name)
    if not java_script:
        window.get_by_role("button", name="Preview").click()
    expect(window).to_contain_text(f"count by the days of {name}")
    window.get_by_label("Why").fill("moved house")
    window.get_by_role("button", name="Move to this club").click()
    expect(page.get_by_role("status").first).to_contain_text(f"It is at {name} now.")
    expect(page.get_by_role("region", name="Terms", exact=True)).to_contain_text(
        "payments made before count by its days"
    )


@WITH_AND_WITHOUT
def test_a_reference_moves_after_its_preview(enter: Enter, site: Site, java_script: bool) -> None:
    """There by a search, and from there to nobody."""
    page = enter(Role.MANAGER, java_script=java_script)
    subscription = f"sub_giver{java_script}".lower()
    page.goto(f"/memberships/{membership_of(site, f'Giver{java_script}')}")
    page.get_by_role("link", name=f"Move or remove {subscription} on stripe").click()
    window = page.get_by_role("dialog")
    window.get_by_placeholder("Name or e-mail of the member who gets it").fill("ben@example.com")
    window.get_by_role("button", name="Find").click()
    window.get_by_label("ben@example.com").check()
    if not java_script:
        window.get_by_role("button", name="Preview").click()
    expect(window).to_contain_text("Payments to come with it count for membership 2.")
    window.get_by_label("Why").fill("his contract")
    window.get_by_role("button", name="Move it").click()
    expect(page.get_by_role("status").first).to_contain_text("count for membership 2.")
    page.goto("/memberships/2")
    page.get_by_role("link", name=f"Move or remove {subscription} on stripe").click()
    window.get_by_label("Nobody: remove it").check()
    if not java_script:
        window.get_by_role("button", name="Preview").click()
    expect(window).to_contain_text("wait in review until a membership has it")
    window.get_by_label("Why").fill("cancelled")
    window.get_by_role("button", name="Remove it").click()
    expect(page.get_by_role("status").first).to_contain_text("wait in review")
