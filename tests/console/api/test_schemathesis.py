"""What a fuzzer finds that knows the API's description: nothing."""

import logging
from collections import Counter
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
import schemathesis
from flask import Flask
from schemathesis import engine
from schemathesis.checks import CheckContext
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from schemathesis.engine import events
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case
from werkzeug.serving import make_server

from models.staff.accounts import Role
from models.staff.tokens import TokenScope
from tests.console.api.conftest import Issue, Paid, posted
from tests.models.gym import Gym


@schemathesis.check
def what_fits_the_description_is_no_invalid_request(ctx: CheckContext, response: Response, case: "Case[Any]") -> None:
    """A request that fits may be against the rules, but not badly formed.

    Except for a cursor that we never gave, and a time outside the years that the description names in words.
    """
    fits = case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE
    if fits and response.status_code == 422 and response.json()["type"].endswith("/invalid-request"):
        errors = response.json()["errors"]
        wrong = [
            one for one in errors if one.get("parameter") != "cursor" and "choose a time from" not in one["detail"]
        ]
        assert not wrong, wrong


@pytest.fixture
def url(site: Flask) -> Iterator[str]:
    """Where the API's description is, served over HTTP."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server("127.0.0.1", 0, site, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/v1/openapi.json"
    server.shutdown()
    thread.join()
    server.server_close()


def test_no_request_finds_the_api_other_than_described(url: str, issue: Issue, gym: Gym, ada: Paid) -> None:
    admin = issue(TokenScope.WRITE, Role.ADMIN).caller
    body = {"member_id": ada.id, "item_id": gym.spin.id, "quantity": 1}
    assert posted(admin.post("/redemptions", body, "check-in-1"))["id"] == 1  # the one in the examples
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "auth": {"openapi": {"token": {"bearer": admin.headers["Authorization"].removeprefix("Bearer ")}}},
            "generation": {"deterministic": True, "max-examples": 1, "no-shrink": True},
            "checks": {
                "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", "422"]},
                # A repeated key is answered as at first, also after what was made then has been deleted.
                "ensure_resource_availability": {"enabled": False},
            },
        }
    )
    statuses: Counter[int] = Counter()
    found = []
    for event in engine.from_schema(schemathesis.openapi.from_url(url, config=config)).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            found.append(str(event))
        elif isinstance(event, events.ScenarioFinished):
            seen = event.recorder
            statuses.update(one.response.status_code for one in seen.interactions.values() if one.response)
            checks = [check.failure_info for checks in seen.checks.values() for check in checks]
            found += [f"{event.label}: {one.failure}\n{one.code_sample}" for one in checks if one]
    assert not found, "\n\n".join(found)
    assert {200, 201, 401, 404, 409, 415, 422} <= statuses.keys(), statuses
