"""docs/api.md, run from top to bottom: what it shows is what is answered."""

import argparse
import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from models import tokens
from models.staff import Staff
from models.tokens import TokenScope
from tests.console.api.conftest import BY, Caller
from tests.models.gym import Gym, paid, tell

GUIDE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
EXAMPLES: list[tuple[str, str]] = re.findall(r"```sh\n(.*?)```\n\n```json\n(.*?)```", GUIDE, re.DOTALL)

curl = argparse.ArgumentParser()
curl.add_argument("url")
curl.add_argument("-H", dest="headers", action="append")
curl.add_argument("-d", dest="body")


def without_times(text: str) -> Any:
    return json.loads(re.sub(r'"\d{4}-\d\d-\d\dT[\d:.]+Z"', '"a time"', text))


def test_each_example_is_answered_as_shown(stranger: Caller, gym: Gym, owner: Staff, session: Session) -> None:
    token = tokens.make(session, owner, name="Scheduler", scope=TokenScope.WRITE, by=BY).text
    session.commit()
    assert len(EXAMPLES) == GUIDE.count("```sh") == GUIDE.count("```json") == 9
    for number, (command, shown) in enumerate(EXAMPLES):
        spoken = command.replace("\\\n", " ").replace("$API", "/api/v1").replace("$TOKEN", token)
        said = curl.parse_args(shlex.split(spoken)[1:])
        headers = dict(header.split(": ", 1) for header in said.headers)
        method = "GET" if said.body is None else "POST"
        answer = stranger.client.open(said.url, method=method, data=said.body, headers=headers)
        assert without_times(answer.text) == without_times(shown), command
        if number == 0:
            an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
            tell(session, paid("in_1", "sub_8Hx2", at=an_hour_ago), now=an_hour_ago)
