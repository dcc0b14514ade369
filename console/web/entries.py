"""Where an entry of the statement came from, back to what the processor sent or to the person."""

import json
import re
from datetime import UTC, datetime

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from console.web import member_page
from console.web.access import database, needs
from models import explanation, statement
from models.staff import Role

pages = Blueprint("entries", __name__)

SHOWN = 100
"""Entries of the grant that stand below."""
MAX_BODY = 100_000
"""Characters of a body; the rest is left out of the page."""

_PIECE = re.compile(r'"(?:\\.|[^"\\])*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


@pages.get("/<id:member_id>/entries/<id:entry_id>")
@needs(Role.VIEWER)
def explain(member_id: int, entry_id: int) -> ResponseReturnValue:
    """The chain of an entry: its payment, what was told of that, and the event with its body; or who did it."""
    now = datetime.now(UTC)
    member = member_page.find(member_id)
    why = explanation.explain(database(), member_id, entry_id, now) or abort(404)
    lot = statement.page(database(), member_id, limit=SHOWN, grant_id=why.grant.grant_id, item_id=why.entry.item_id)
    event = why.told.event if why.told else None
    return render_template(
        "members/entry.html", member=member, zone=member_page.zone_of(member), now=now, why=why, lot=lot,
        body=readable(event.body) if event else "",
        resource=readable(event.resource) if event and event.resource else "",
    )  # fmt: skip


def readable(body: bytes) -> str:
    """What was sent as text; JSON on lines of its own, every number and text in it as it was sent."""
    text = body.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        pass
    else:
        text = _indented(text)
    return text if len(text) <= MAX_BODY else f"{text[:MAX_BODY]}\n... {len(text) - MAX_BODY} more characters"


def _indented(text: str) -> str:
    lines, depth, before = [""], 0, ""
    for piece in _PIECE.findall(text):
        if piece in "}]":
            depth -= 1
            if before not in "{[":
                lines.append("  " * depth)
        elif before in ("{", "[", ","):
            lines.append("  " * depth)
        lines[-1] += ": " if piece == ":" else piece
        depth += piece in "{["
        before = piece
    return "\n".join(lines)
