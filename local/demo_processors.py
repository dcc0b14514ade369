"""The demo's second part: the samples of every processor, posted to its endpoint, and counted."""

from collections.abc import Sequence
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from time import time

from sqlalchemy.orm import Session

from local import endpoints, sample_gym, samples
from models.members.lookup import find_member
from models.statements import statement
from runtime.settings import Endpoint
from webhooks.processors import adapter

PICKS = [sample_gym.PERSONAL_TRAINING, sample_gym.CLASSES]
PAID = tuple(sample_gym.BUCKETS[item][0] for item in PICKS)
NOTHING = (0, 0)


def _email(endpoint: Endpoint, name: str) -> str:
    return f"{name}@{endpoint.name}.example"


def join(session: Session, everybody: Sequence[Endpoint]) -> None:
    """Sign up one member for each endpoint and sample."""
    for endpoint in everybody:
        for name in samples.names(endpoint.processor):
            sample_gym.join(session, _email(endpoint, name), endpoint.name, PICKS, [(endpoint.name, f"sub_{name}")])


def post(folder: Path, port: int, everybody: Sequence[Endpoint]) -> list[int]:
    """Post every sample; returns the statuses of the answers."""
    answers: list[int] = []
    for place, endpoint in enumerate(everybody):
        processor = adapter(endpoint)
        for name in samples.names(endpoint.processor):
            number = f"{int(time())}{place}{len(answers)}"
            made = samples.sample(
                endpoint.processor, name, reference=f"sub_{name}", number=number, now=datetime.now(UTC)
            )
            endpoints.put_api_objects(folder, endpoint, made)
            for one in made:
                delivery = processor.sign(one.content, int(time()))
                connection = HTTPConnection("127.0.0.1", port, timeout=15)
                connection.request("POST", f"/webhooks/{endpoint.name}", delivery.body, delivery.headers)
                answers.append(connection.getresponse().status)
                connection.close()
    return answers


def compare(session: Session, everybody: Sequence[Endpoint]) -> tuple[list[list[object]], bool]:
    """The usable sessions of each sample's member, by endpoint, and whether they are all as expected."""
    table: list[list[object]] = []
    agreed = True
    for endpoint in everybody:
        row: list[object] = [endpoint.processor]
        for name in samples.NAMES:
            member = find_member(session, _email(endpoint, name))
            if member is None:
                row.append("-")
                continue
            held = {one.item: one.usable for one in statement.balances(session, member.id, datetime.now(UTC))}
            usable = tuple(held.get(item, 0) for item in PICKS)
            row.append(f"{usable[0]} + {usable[1]}")
            agreed = agreed and usable == (PAID if name == "paid" else NOTHING)
        table.append(row)
    return table, agreed
