"""Operations as programs ask for them: the headline, error groups, and acts on all of a group."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.inbox import bulk
from models.staff.accounts import Role
from models.staff.tokens import TokenScope
from tests.console.api.conftest import Caller, Issue, answered, posted
from tests.models.gym import Gym, paid, tell


def troubled(session: Session, *names: str, state: str = "dead", error: str = "KeyError: 'amount' in 7") -> None:
    for name in names:
        values = {"name": name, "state": state, "error": error}
        insert = "INSERT INTO webhook_events (endpoint, event_id, type, body, state, error)"
        session.execute(text(f"{insert} VALUES ('stripe', :name, 'invoice.paid', '{{}}', :state, :error)"), values)
    session.commit()


def test_the_headline_is_that_of_the_console(reader: Caller, gym: Gym, session: Session) -> None:
    tell(session, paid("in_lost", "sub_lost"))
    session.execute(text("UPDATE webhook_events SET state = 'processed'"))
    troubled(session, "evt_1")
    found = answered(reader.get("/operations"))
    assert found["text"] == "2 payments or events need somebody: 1 failed, 1 in review (without sessions: 1 unmatched)"
    assert [one["what"] for one in found["parts"]] == ["1 failed", "1 in review"]
    assert "dead_letters" in [one["rule"] for one in found["alarms"]]


def test_a_group_is_replayed_once_its_number_is_confirmed(issue: Issue, api: Caller, session: Session) -> None:
    operator = issue(TokenScope.WRITE, Role.OPERATOR).caller
    troubled(session, "evt_1", "evt_2")
    troubled(session, "evt_3", error="KeyError: 'currency'")
    group = next(one for one in operator.data("/error-groups", state="dead") if one["events"] == 2)
    body = {"verb": "replay", "state": "dead", "group": group["name"], "expected": 3, "reason": "mended"}
    assert operator.post("/bulk-actions", body, "k1").status_code == 409
    assert api.post("/bulk-actions", body, "k2").status_code == 403
    act = posted(operator.post("/bulk-actions", {**body, "expected": 2}, "k3"))
    assert posted(operator.post("/bulk-actions", {**body, "expected": 2}, "k4"))["id"] == act["id"]
    bulk.work(session)
    session.execute(text("UPDATE webhook_events SET state = 'processed' WHERE event_id = 'evt_1'"))
    session.commit()
    found = answered(operator.get(f"/bulk-actions/{act['id']}"))
    assert [one["what"] for one in found["outcome"]] == ["1 credited", "1 waiting", "0 failed again"]
    assert (found["done"], found["settled"]) == (2, False)
    (event,) = operator.data("/events", act=act["id"], state="processed")
    assert event["decisions"][0]["reason"] == "mended"
    assert operator.get("/bulk-actions/9999").status_code == 404
    assert operator.data("/events", group=group["name"]) != []
    assert operator.get("/events", group="nonsense").status_code == 422


def test_what_letting_through_comes_to(reader: Caller, session: Session) -> None:
    troubled(session, "evt_1", state="quarantined")
    (group,) = reader.data("/error-groups")
    found = answered(reader.get("/error-groups/foresight", group=group["name"]))
    assert (found["looked_at"], found["outlooks"][0]["kind"]) == (1, "unreadable")
    one = answered(reader.get(f"/events/{group['example']}/foresight"))
    assert one["what"].startswith("It goes back into quarantine")
    assert reader.get("/events/9999/foresight").status_code == 404
