"""The next step: on every page of an empty installation, and as a checklist until the first credit."""

import re
from collections.abc import Callable, Iterator
from html import unescape

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.members.memberships import Member
from models.staff.accounts import Role
from tests.console.web.at_the_desk import pay
from tests.console.web.conftest import Browser
from tests.models.gym import Gym

LogIn = Callable[[Role], Browser]
EMPTY = {
    "/announcements/", "/audits/", "/clubs/", "/expiry/", "/inventory/", "/members/", "/members/adjustments",
    "/offers/", "/operations/", "/operations/acts/", "/operations/events/", "/review/", "/review/not-dues",
    "/sign-up/", "/tokens/",
}  # fmt: skip
"""The pages with an empty list, for those who may open them."""


def pages(site: Flask) -> Iterator[str]:
    """The paths of all pages that need no id."""
    for rule in site.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.arguments and not rule.rule.startswith(("/api", "/openapi")):
            yield rule.rule


def empty_places(browser: Browser) -> Iterator[str]:
    """What stands where a list of the page is empty."""
    for place in browser.page.split('<div class="nothing">')[1:]:
        depth = 1
        for tag in re.finditer(r"<(/?)div\b", place):
            depth += -1 if tag[1] else 1
            if not depth:
                yield place[: tag.start()]
                break


@pytest.mark.parametrize("role", list(Role))
def test_every_list_of_an_empty_installation_says_the_next_step(site: Flask, log_in: LogIn, role: Role) -> None:
    reader, seen, opened = log_in(role), set(), set()
    for path in pages(site):
        if reader.get(path).status_code == 200:
            opened.add(path)
        for place in empty_places(reader):
            seen.add(path)
            link = re.search(r'<a [^>]*href="([^"]+)"', place)
            assert link or "can do that" in place or "<code>" in place, f"{path} says no next step: {place}"
            if link:
                assert reader.client.get(unescape(link[1])).status_code == 200, f"{path} leads to {link[1]}"
    assert seen >= EMPTY & opened, "pages whose lists are not empty, or that say nothing of it"


def test_check_in_and_adjust_say_what_comes_first(site: Flask, log_in: LogIn, session: Session) -> None:
    desk = log_in(Role.DESK)
    desk.get("/check-in/")
    assert re.search(r'<a href="/sign-up/">Sign up the first member</a>', desk.page)
    session.add(Member(email="nia@example.com", name="Nia"))
    session.commit()
    desk.get("/check-in/")
    assert "Sign up the first member" not in desk.page
    manager = log_in(Role.MANAGER)
    manager.get(f"/members/{session.scalars(select(Member.id)).one()}/adjust")
    assert '<a class="btn btn-outline-secondary" href="/inventory/new">Create a session item</a>' in manager.page


def test_the_checklist_links_what_the_reader_may_do_and_says_who_can_do_the_rest(log_in: LogIn) -> None:
    manager, desk = log_in(Role.MANAGER), log_in(Role.DESK)
    manager.get("/members/")
    assert "First steps 1 of 6 done. Next: Add your club" in manager.text
    assert '<a href="/clubs/new">Add your club</a>' in manager.page
    desk.get("/members/")
    assert "Next: Add your club (a manager can do that)" in desk.text
    assert 'href="/clubs/new"' not in desk.page


def test_it_says_what_stands_before_the_first_credit_and_is_gone_after_it(log_in: LogIn, gym: Gym) -> None:
    desk = log_in(Role.DESK)
    membership = gym.join("sub_ada")
    gym.session.commit()
    desk.get("/members/")
    assert "5 of 6 done. Next: No payment has come yet" in desk.text
    assert "<details open" not in desk.page.partition('class="checklist"')[2].partition("</section>")[0]
    pay(gym, "in_lost", "sub_lost", 1)
    desk.get("/members/")
    assert '<a href="/review/">A payment came and is in review: look why</a>' in desk.page
    pay(gym, "in_1", "sub_ada", 1)
    assert "checklist" in desk.page
    for path in ("/members/", f"/members/{membership.member_id}", "/clubs/"):
        desk.get(path)
        assert "First steps" not in desk.page
