"""The action log as it is read: the newest first, page by page, of whom and what is asked for."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.staff import actions
from models.staff.actions import Actor
from tests.models.gym import Gym

ADA, BEN = Actor("ada@example.com", "192.0.2.1"), Actor("ben@example.com", "192.0.2.2")


@pytest.fixture
def acts(session: Session) -> list[int]:
    """Five acts: ada's and ben's in turn, the last a sale."""
    wanted = [(ADA, "look"), (BEN, "look"), (ADA, "look"), (BEN, "look"), (ADA, "sell")]
    return [actions.log(session, by, verb, "a thing") for by, verb in wanted]


def ids(page: actions.Page) -> list[int]:
    return [act.id for act in page.acts]


def test_the_newest_come_first_and_older_ones_on_further_pages(session: Session, acts: list[int]) -> None:
    seen, before = [], None
    for _ in range(3):
        page = actions.page(session, limit=2, before=before)
        seen.append(ids(page))
        before = page.older
    assert seen == [acts[:2:-1], acts[2:0:-1], acts[:1]]
    assert before is None


def test_a_page_stays_as_it_is_while_people_act(session: Session, acts: list[int]) -> None:
    before = actions.page(session, limit=2).older
    actions.log(session, BEN, "look", "a thing")
    assert ids(actions.page(session, limit=2, before=before)) == acts[2:0:-1]


def test_a_last_page_that_is_full_has_none_after_it(session: Session, acts: list[int]) -> None:
    assert actions.page(session, limit=5).older is None


def test_those_of_one_actor_verb_or_both(session: Session, acts: list[int]) -> None:
    assert ids(actions.page(session, limit=9, actor=BEN.name)) == [acts[3], acts[1]]
    assert ids(actions.page(session, limit=9, verb="sell")) == [acts[4]]
    assert ids(actions.page(session, limit=9, actor=ADA.name, verb="look")) == [acts[2], acts[0]]


def test_those_to_one_member(session: Session, gym: Gym, acts: list[int]) -> None:
    membership = gym.join()
    [act] = actions.page(session, limit=9, member_ids=[membership.member_id]).acts
    assert act.verb == "sign up"
    assert not actions.page(session, limit=9, member_ids=[0]).acts


def test_those_of_some_time(session: Session, acts: list[int]) -> None:
    times = {act.id: act.recorded_at for act in actions.page(session, limit=9).acts}
    start, end = times[acts[1]], times[acts[3]]
    assert ids(actions.page(session, limit=9, since=start, until=end)) == acts[2:0:-1]
    assert not actions.page(session, limit=9, since=max(times.values()) + timedelta(microseconds=1)).acts


def test_all_that_acted_and_all_that_was_done_are_known(session: Session, acts: list[int]) -> None:
    assert actions.actors(session) == ["ada@example.com", "ben@example.com"]
    assert actions.verbs(session) == ["look", "sell"]


def test_nothing_done_is_an_empty_log(session: Session) -> None:
    assert actions.page(session, limit=2) == ([], None)
    assert actions.actors(session) == actions.verbs(session) == []


def test_one_actor_is_found_by_an_index(session: Session) -> None:
    many = "SELECT 'a' || n % 50, 'v' || n % 50, 's' FROM generate_series(1, 5000) n"
    session.execute(text(f"INSERT INTO actions (actor, verb, subject) {many}"))
    session.execute(text("ANALYZE actions"))
    for column, index in (("actor", "ix_actions_actor_id"), ("verb", "ix_actions_verb_id")):
        query = text(f"EXPLAIN SELECT * FROM actions WHERE {column} = '{column[0]}7' ORDER BY id DESC LIMIT 51")
        assert index in str(session.scalars(query).all())
