"""docs/api.md, run from top to bottom on an empty gym: what it shows is what is answered."""

import argparse
import json
import re
import shlex
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from models.inbox import queue, storing
from models.inbox.events import EventState
from models.inbox.queue import Outcome
from models.inbox.storing import NewEvent
from models.payments import settlement
from models.payments.recorded import EventFacts
from models.staff.accounts import Role
from models.staff.tokens import TokenScope
from models.wording import day_of
from tests.console.api.conftest import Caller, Issue
from tests.models.gym import paid

GUIDE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
EXAMPLES: list[tuple[str, str]] = re.findall(r"```sh\n(.*?)```\n\n```json\n(.*?)```", GUIDE, re.DOTALL)

curl = argparse.ArgumentParser()
curl.add_argument("url")
curl.add_argument("-X", dest="method")
curl.add_argument("-H", dest="headers", action="append")
curl.add_argument("-d", dest="body")


WRITTEN_ON = date(2026, 3, 2)
"""The day on which she pays in the guide, at the club."""
A_DAY = re.compile(r"\b(\d{4}-\d\d-\d\d)(?!T)|\b([A-Z][a-z][a-z] \d{1,2}, \d{4})\b")


def as_of_today(text: str) -> str:
    """The guide with its days moved, so that she pays today."""
    paid_on = (datetime.now(UTC) - timedelta(hours=1)).astimezone(ZoneInfo("America/Chicago")).date()

    def moved(found: re.Match[str]) -> str:
        day = date.fromisoformat(found[1]) if found[1] else datetime.strptime(found[2], "%b %d, %Y").date()  # noqa: DTZ007
        later = day + (paid_on - WRITTEN_ON)
        return later.isoformat() if found[1] else day_of(later)

    return A_DAY.sub(moved, text)


def comparable(text: str) -> Any:
    """Without what differs each time: moments, codes, and the name of the account."""
    told = re.sub(r'"m_[a-z2-7]{16}"', '"a code"', text)
    told = re.sub(r'"\d{4}-\d\d-\d\dT[\d:.]+Z"', '"a time"', told)
    return json.loads(re.sub(r'"(token \d+ \()?[^"]*@example\.com"', r'"\1somebody"', told))


def pay(session: Session) -> None:
    """Her dues are paid: the webhook comes in and is credited."""
    at = datetime.now(UTC) - timedelta(hours=1)
    storing.store(session, [NewEvent("stripe", "evt_1", "invoice.paid", b"{}")], lambda *_: True)
    [event] = queue.claim(session, retried=False, limit=1, lease_s=60)
    told = [EventFacts(event.id, "stripe", [paid("in_1", "sub_8Hx2", at=at)])]
    assert settlement.take_in(session, told, now=at, late_credit=timedelta(0)) == {}
    queue.finish(session, [Outcome(event.id, EventState.PROCESSED)])
    session.commit()


def test_each_example_is_answered_as_shown(stranger: Caller, issue: Issue, session: Session) -> None:
    authorization = issue(TokenScope.WRITE, Role.MANAGER).caller.headers["Authorization"]
    assert len(EXAMPLES) == GUIDE.count("```sh") == GUIDE.count("```json") == 23
    for command, shown in (map(as_of_today, example) for example in EXAMPLES):
        spoken = command.replace("\\\n", " ").replace("$API", "/api/v1").replace("Bearer $TOKEN", authorization)
        said = curl.parse_args(shlex.split(spoken)[1:])
        headers = dict(header.split(": ", 1) for header in said.headers)
        method = said.method or ("GET" if said.body is None else "POST")
        answer = stranger.client.open(said.url, method=method, data=said.body, headers=headers)
        assert comparable(answer.text) == comparable(shown), command
        if said.url == "/api/v1/memberships":
            pay(session)
