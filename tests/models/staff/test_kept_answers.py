"""An act counts once per key, and a repetition gets the first answer."""

from functools import partial

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from models.errors import KeyReused
from models.staff import kept_answers
from tests.models.gym import together


def act(session: Session, asked: str = "make it", *, answer: str = "made") -> str:
    """Does what is asked, once; what is answered."""
    if known := kept_answers.take(session, "key", asked):
        return f"{known.answer} before, see {known.location}"
    kept_answers.keep(session, "key", location="/it", answer=answer)
    return answer


def test_a_repetition_gets_the_first_answer(session: Session) -> None:
    assert act(session) == "made"
    session.commit()
    assert act(session, answer="made again") == "made before, see /it"


def test_a_key_used_for_something_else_is_refused(session: Session) -> None:
    act(session)
    with pytest.raises(KeyReused):
        act(session, "make another")


def test_what_was_undone_has_not_used_up_its_key(session: Session) -> None:
    act(session)
    session.rollback()
    assert act(session, "make another") == "made"


def test_of_many_at_once_one_does_it(engine: Engine) -> None:
    jobs = [partial(act, answer=str(number)) for number in range(8)]
    answers = together(engine, jobs)
    [first] = [answer for answer in answers if "before" not in str(answer)]
    assert sorted(map(str, answers)) == sorted([str(first), *[f"{first} before, see /it"] * 7])
