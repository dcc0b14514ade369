"""Imports in the console: upload, what each row would do, columns of other names, import, undo."""

from collections.abc import Callable
from io import BytesIO

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.database.engine import sessions
from models.members.memberships import Membership
from models.moving import working
from models.staff.accounts import Role
from tests.console.web.conftest import Browser
from tests.models.gym import ENDPOINT, Gym

PEOPLE = """email,name,club,offer,picks,joined,endpoint,billing references
ann@example.com,Ann Archer,Downtown,Gold,Spin | Training,2024-03-01,stripe,sub_1
ben@example.com,Ben <b>Baker,Downtown,{offer},Spin,2024-03-01,,
"""
BALANCES = "email,item,left,of,last day\nann@example.com,Spin,3,10,never\n"


class Office:
    """A manager, and the worker who does what they ask for."""

    def __init__(self, browser: Browser, session: Session) -> None:
        self.browser, self.session = browser, session
        self.make = sessions(session.get_bind())

    def upload(self, text: str, kind: str = "people", name: str = "members.csv", **fields: str) -> None:
        """Sends the file, lets it be judged, and looks at the page again."""
        self.browser.get("/imports/new")
        fields = {"credits_from": "2026-11-01", **fields}
        self.browser.post("/imports/new", kind=kind, file=(BytesIO(text.encode()), name), **fields)
        self.work()

    def work(self) -> None:
        while working.step(self.make, endpoints=(ENDPOINT,)):
            pass
        number = self.browser.page.partition("Import ")[2].split("<")[0].split(" ")[0]
        self.browser.get(f"/imports/{number}")

    def memberships(self) -> int:
        query = select(func.count()).select_from(Membership).where(Membership.withdrawn_at.is_(None))
        with self.make() as session:
            return session.scalars(query).one()


@pytest.fixture
def office(log_in: Callable[[Role], Browser], gym: Gym, session: Session) -> Office:
    return Office(log_in(Role.MANAGER), session)


def test_a_file_is_checked_mended_imported_and_undone(office: Office) -> None:
    manager = office.browser
    office.upload(PEOPLE.format(offer="Silver"))
    assert "It cannot be imported" in manager.text
    assert "3 Ben <b>Baker ben@example.com" in manager.text
    assert "offer: There is no offer 'Silver'" in manager.text
    assert "What has to be mended Rows Column Why 1 row 3 offer There is no offer 'Silver'" in manager.text
    assert "1 row is refused or in conflict" in manager.text
    assert "<b>Baker" not in manager.page
    assert office.memberships() == 0
    office.upload(PEOPLE.format(offer="Gold"))
    assert "Import 2 rows" in manager.text
    assert "Downtown Gold 2 0 0 0" in manager.text
    number = manager.page.partition('action="/imports/')[2].partition("/")[0]
    assert manager.post(f"/imports/{number}/write", count="2", reason=" ").status_code == 422
    assert "Say why" in manager.text
    assert manager.post(f"/imports/{number}/write", count="1", reason="We move in").status_code == 422
    manager.post(f"/imports/{number}/write", count="2", reason="We move in")
    assert "Being imported" in manager.text
    assert 'data-refresh="2"' in manager.page
    office.work()
    assert "What it made" in manager.text
    assert 'data-refresh="2"' not in manager.page
    assert office.memberships() == 2
    office.upload(PEOPLE.format(offer="Gold"))
    assert "Everything in this file is here already." in manager.text
    office.upload(BALANCES, "balances")
    assert "Downtown Spin 1 0 0 0 3" in manager.text
    manager.get(f"/imports/{number}/undo")
    assert "The memberships of 2 rows are taken away" in manager.text
    manager.post(f"/imports/{number}/undo", reason="The wrong file")
    office.work()
    assert "What it had made" in manager.text
    assert office.memberships() == 0
    manager.get("/log/")
    assert "Undo import import 2 of people and memberships, members.csv: 2 rows “The wrong file”" in manager.text


def test_columns_of_other_names_are_chosen_once(office: Office) -> None:
    theirs = PEOPLE.format(offer="Gold").replace("email,name", "Mail,Full Name").replace("joined", "Member Since")
    theirs = theirs.replace("billing references\n", "billing references,Shoe size\n").replace("sub_1\n", "sub_1,42\n")
    theirs = theirs.replace(",,\n", ",,,\n")
    manager = office.browser
    office.upload(theirs)
    assert "Which column is which?" in manager.text
    number = manager.page.partition('action="/imports/')[2].partition("/")[0]
    columns = ("email", "name", "club", "offer", "picks", "joined", "endpoint", "billing_references")
    chosen = {f"column{place}": key for place, key in enumerate(columns)}
    manager.post(f"/imports/{number}/columns", **chosen, column8="?")
    assert "These columns are not known: Shoe size." in manager.text
    manager.post(f"/imports/{number}/columns", **chosen, column8="name")
    assert "are both read as 'name'" in manager.text
    manager.post(f"/imports/{number}/columns", **chosen, column8="")
    office.work()
    assert "Import 2 rows" in manager.text
    manager.post(f"/imports/{number}/discard")
    assert "is discarded" in manager.text
    office.upload(theirs)
    assert "Import 2 rows" in manager.text


def test_a_file_that_cannot_be_read_is_refused_with_the_row(office: Office) -> None:
    manager = office.browser
    manager.get("/imports/new")
    for content, said in (
        (b"", "Choose a file."),
        (b"email,name\n\xff\xfe,x\n", "Row 2 is not UTF-8 text."),
        (b'email,name\n"open,x\n', "A quotation mark that is opened in row 2 is never closed."),
        (PEOPLE.encode() + b"\0", "control character"),
        (b"email,club\na@example.com,Downtown\n", "These columns are missing: name, offer, joined."),
    ):
        answer = manager.post("/imports/new", kind="people", file=(BytesIO(content), "x.csv" if content else ""))
        assert (answer.status_code, said in manager.text) == (422, True), manager.text
    large = manager.post("/imports/new", kind="people", file=(BytesIO(b"x" * (32 << 20)), "x.csv"))
    assert (large.status_code, "at most 32,768 kB" in manager.text) == (413, True)
    for kind in ("people", "balances"):
        assert manager.get(f"/imports/template-{kind}.csv").text.startswith("email,name,")
    assert manager.get("/imports/template-others.csv").status_code == 404
