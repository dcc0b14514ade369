"""The overview of Operations: what it shows of a known scene."""

import re
from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.operations import heartbeats
from models.operations.heartbeats import ProcessKind
from models.staff.accounts import Role
from tests.console.web.at_the_desk import pay, paying_member
from tests.console.web.conftest import Browser
from tests.models.gym import Gym, paid, tell

LogIn = Callable[[Role], Browser]


def test_nothing_has_happened_yet(log_in: LogIn) -> None:
    viewer = log_in(Role.VIEWER)
    assert viewer.get("/operations/").status_code == 200
    assert "Due now 0 nothing waits" in viewer.text
    assert "No worker has been seen in the last day" in viewer.text
    assert "No webhook server or console has answered in the last day." in viewer.text
    assert "Yes. Nothing is wrong." not in viewer.text


def test_the_figures_of_a_scene(log_in: LogIn, gym: Gym, session: Session) -> None:
    paying_member(gym)
    pay(gym, "in_lost", "sub_lost", 2)
    session.execute(text("UPDATE webhook_events SET state = 'dead' WHERE id = (SELECT max(id) FROM webhook_events)"))
    session.execute(text("INSERT INTO heartbeats (worker, doing, memory_bytes) VALUES ('here:1', 'credited', 90e6)"))
    session.execute(text("INSERT INTO delivery_counts VALUES ('stripe', date_trunc('hour', now()), 'duplicate', 7)"))
    session.commit()
    viewer = log_in(Role.VIEWER)
    viewer.get("/operations/")
    for said in (
        "Failed 1 given up",
        "In review 1",
        "Unmatched 1",
        "Duplicates 7",
        "Due now 1",
        "here:1",
        "credited",
        "90 MB",
    ):
        assert said in viewer.text, said
    assert "1 event failed on stripe" in viewer.text
    assert "2 received" in viewer.text


def test_paid_payments_without_sessions_are_the_answer_and_each_part_is_a_link(log_in: LogIn, gym: Gym) -> None:
    gym.join("sub_ada")
    pay(gym, "in_lost", "sub_lost", 2)
    tell(gym.session, paid("in_euro", "sub_ada", currency="EUR"))
    viewer = log_in(Role.VIEWER)
    viewer.get("/operations/")
    assert "Not all of it. 2 payments or events need somebody, the first for" in viewer.text
    assert "2 in review Paid, but without sessions: 1 unmatched 1 held" in viewer.text
    for reason in ("unmatched", "held"):
        assert f'href="/review/?reason={reason}"' in viewer.page
    assert "2 payments in review on stripe" in viewer.text
    assert 'href="/review/?endpoint=stripe"' in viewer.page


def test_nothing_is_right_while_a_payment_may_lack_its_sessions(log_in: LogIn, gym: Gym, session: Session) -> None:
    paying_member(gym)
    session.execute(text("UPDATE webhook_events SET state = 'quarantined'"))
    session.commit()
    viewer = log_in(Role.VIEWER)
    viewer.get("/operations/")
    assert "1 payment or event needs somebody, the first for" in viewer.text
    assert 'href="/operations/events/?state=quarantined">1 quarantined</a>' in viewer.page
    assert "Nothing is wrong" not in viewer.text
    assert "max 1 a minute" in viewer.text
    assert "max 1 an hour" in viewer.text


def test_web_processes_stand_beside_the_workers(log_in: LogIn, session: Session) -> None:
    heartbeats.beat(session, "host:1", 0)
    heartbeats.beat(session, "host:3", 4, kind=ProcessKind.CONSOLE)
    heartbeats.beat(session, "host:2", 1234, kind=ProcessKind.RECEIVER, memory_bytes=91_000_000)
    session.execute(text("UPDATE heartbeats SET seen_at = seen_at - interval '40 s' WHERE worker = 'host:2'"))
    session.commit()
    viewer = log_in(Role.VIEWER)
    viewer.get("/operations/")
    workers, web = viewer.text.split("Web processes")
    assert ("host:1" in workers, "host:2" in workers) == (True, False)
    assert re.search(r"host:2 Webhooks 4\d s ago 1,234 91 MB", web)
    assert re.search(r"host:3 Console .* ago 4 ", web)
    assert "host:1" not in web
    assert re.search(r"No webhook server has answered for 4\d s", workers)


def test_only_who_operates_sees_the_buttons(log_in: LogIn) -> None:
    for role, sees in ((Role.VIEWER, False), (Role.MANAGER, False), (Role.OPERATOR, True), (Role.ADMIN, True)):
        person = log_in(role)
        person.get("/operations/")
        assert ("/operations/endpoints/stripe/pause" in person.page) == sees
