"""The gym that hostile input meets: the sample gym, and a club of which nobody bound to the first one may know."""

import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from time import time
from typing import Any

from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from local import sample_gym, samples
from models.catalogue.clubs import Club
from models.catalogue.items import Item
from models.catalogue.tables import PaymentTerm
from models.members.memberships import add_billing_reference
from models.members.signing_up import sign_up
from models.staff import accounts
from models.staff.accounts import Role
from webhooks.processors import Processor

SECRET = "Zyzzyva"
"""A word in the names and addresses of all members of the other club, and in nothing else."""
REFERENCES = ("sub_ann", "sub_zyzzyva_0", "sub_of_nobody")


def make(session: Session, processors: Sequence[Processor]) -> None:
    """Make both clubs, their members, and an account of each role, bound to the first club or not."""
    sample_gym.make(session)
    first = session.scalars(select(Club)).one()
    other = Club(name=f"{SECRET} Hall", time_zone="Europe/Berlin", currency="USD")
    session.add(other)
    term, items = session.scalars(select(PaymentTerm)).one(), session.scalars(select(Item)).all()
    picks = [item for item in items if item.name in (sample_gym.PERSONAL_TRAINING, sample_gym.CLASSES)]
    by, now = sample_gym.BY, datetime.now(UTC)
    for number in range(3):
        membership = sign_up(
            session, email=f"{number}@{SECRET}.example", name=f"{SECRET} {number}", club=other, term=term, picks=picks,
            by=by, now=now,
        )  # fmt: skip
        for one in processors:
            add_billing_reference(session, membership, one.endpoint.name, f"sub_zyzzyva_{number}", by=by)
    for role in Role:
        for start in ("", "bound-"):
            person = accounts.add(
                session, email=f"{start}{role}@example.com", name=f"{start}{role}", role=role,
                password="hostile all the same", by=by, now=now,
            )  # fmt: skip
            if start and role != Role.ADMIN:
                accounts.bind(session, person, [first.id], by=by)


def deliveries(processors: Sequence[Processor]) -> Iterator[tuple[str, bytes, Mapping[str, str]]]:
    """Signed deliveries of every sample, for a member of each club and for nobody: endpoint, body, headers."""
    for number, one in enumerate(processors):
        kind = one.endpoint.processor
        for place, reference in enumerate(REFERENCES):
            for name in samples.names(kind):
                made = samples.sample(
                    kind, name, reference=reference, number=f"{number}{place}{len(name)}", now=datetime.now(UTC)
                )
                for each in made:
                    yield one.endpoint.name, *one.sign(each.content, int(time()))


def post(app: Flask, endpoint: str, body: bytes, headers: Mapping[str, str]) -> int:
    """The status of the app's answer to a delivery."""
    answered: list[str] = []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST", "PATH_INFO": f"/webhooks/{endpoint}", "QUERY_STRING": "", "SCRIPT_NAME": "",
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(), "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0), "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(body)),
    }  # fmt: skip
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value

    list(app(environ, lambda status, *_: answered.append(status)))  # type: ignore[arg-type]
    return int(answered[0][:3])
