"""Release and part payments in the window of a payment term, and the sentence that follows what is typed."""

import pytest
from sqlalchemy.orm import Session

from models.members.memberships import Membership
from tests.console.web.builder import acts, beside
from tests.console.web.conftest import Browser
from tests.console.web.test_terms import MONTHLY, manager, numbers, path, term
from tests.models.gym import Gym

__all__ = ["manager"]  # the fixture

YEARLY = {**MONTHLY, "name": "Yearly", "dues": "1,188.00", "interval": "year", "partial": "full"}

LIFE = (
    "Dues paid while the membership is frozen give no sessions: they are the fee of the freeze."
    " When the membership ends, unused sessions are usable until their own day."
)
"""What the sentence says of a freeze and of the end, where nothing else is chosen."""


def eight(gym: Gym) -> dict[str, str]:
    """8 classes for 30 days, and no trainings."""
    return numbers(gym, Spin=(8, 30), Training=(0, 0))


class TestRelease:
    def test_it_is_saved_shown_and_logged(self, manager: Browser, gym: Gym, session: Session) -> None:
        manager.post(
            path(gym, "new"),
            **YEARLY,
            release="monthly",
            release_times="",
            **eight(gym),
        )
        assert "Each $1,188.00 yearly payment gives 8 Spin sessions a month, 12 times (30 days each)." in manager.text
        assert "What a payment for a part of the time gives: All the sessions." in manager.text
        made = term(session, "Yearly")
        assert made is not None
        assert (made.release, made.release_times, made.partial) == ("monthly", None, "full")
        several = {"release": "times", "release_times": "4"}
        manager.post(path(gym, made.id), **YEARLY, **several, **eight(gym))
        assert "gives 8 Spin sessions, 4 times over the year (30 days each)." in manager.text
        assert acts(session)[0].endswith("release monthly -> times, release_times None -> 4")

    @pytest.mark.parametrize(
        ("fields", "field", "message"),
        [
            ({"interval": "month", "release": "monthly"}, "release", "only of dues for more than a month"),
            ({"interval": "once", "release": "times", "release_times": "3"}, "release", "fall due once"),
            ({"release": "times"}, "release_times", "2 to 60 (it is not set)"),
            ({"release": "times", "release_times": "61"}, "release_times", "2 to 60 (it is 61)"),
            ({"release": "times", "release_times": "x"}, "release_times", "Type a whole number"),
            ({"release": "daily"}, "release", "Not a valid choice"),
            ({"partial": "half"}, "partial", "Not a valid choice"),
        ],
    )
    def test_what_makes_no_sense_stands_beside_its_field(
        self, manager: Browser, gym: Gym, session: Session, fields: dict[str, str], field: str, message: str
    ) -> None:
        assert manager.post(path(gym, "new"), **YEARLY | fields, **eight(gym)).status_code == 422
        assert message in beside(manager, field)
        assert term(session, "Yearly") is None

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            (
                {"release": "monthly"},
                "8 Spin sessions a month, 12 times (30 days each).",
            ),
            ({"name": ""}, "8 Spin sessions (30 days)."),
            ({"dues": "89,0"}, ""),
            ({"interval": "month", "release": "monthly"}, ""),
            ({"interval_count": "x"}, ""),
        ],
    )
    def test_the_sentence_follows_what_is_typed(
        self, manager: Browser, gym: Gym, session: Session, fields: dict[str, str], said: str
    ) -> None:
        typed = {**YEARLY, **eight(gym), **fields}
        answer = manager.get(path(gym, "preview"), query_string=typed)
        whole = f"Each $1,188.00 yearly payment gives {said} {LIFE}" if said else ""
        assert (answer.status_code, answer.text, answer.mimetype) == (200, whole, "text/plain")
        assert term(session, "Yearly") is None

    def test_an_edit_leaves_it_to_memberships(self, manager: Browser, gym: Gym, session: Session) -> None:
        membership = gym.join()
        session.commit()
        changed = {"interval": "year", "release": "monthly", "partial": "none"}
        manager.post(path(gym, gym.term.id), **MONTHLY | changed, **numbers(gym))
        session.expire_all()
        assert (gym.term.release, gym.term.partial) == ("monthly", "none")
        [pinned] = session.get_one(Membership, membership.id).versions
        assert (pinned.interval, pinned.release, pinned.partial) == ("month", "at_once", "proportional")
