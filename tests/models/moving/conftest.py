"""A gym into which files are moved, committed, so that the worker's own sessions see it."""

from collections.abc import Callable
from datetime import date
from io import BytesIO

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from models.database.engine import sessions
from models.errors import ImportNotWritable
from models.moving import imports, working
from models.moving.columns import Kind
from models.moving.imports import Import, ImportState
from tests.models.gym import BY, ENDPOINT, Gym

ENDPOINTS = (ENDPOINT, "gocardless")
Moved = Callable[..., Import]


@pytest.fixture
def make(engine: Engine) -> sessionmaker[Session]:
    return sessions(engine)


@pytest.fixture
def bring(open_gym: Gym, make: sessionmaker[Session]) -> Moved:
    """Uploads a file and lets it be judged; with `write`, also written. The import as it is then."""

    def bring(kind: Kind, text: str | bytes, *, write: bool = False, **more: object) -> Import:
        more = {"credits_from": date(2026, 11, 1), "file_name": "members.csv", **more}
        content = text if isinstance(text, bytes) else text.encode()
        with make.begin() as session:
            import_id = imports.upload(session, kind, BytesIO(content), by=BY, **more).id
        return ended(make, import_id, write=write)

    return bring


def ended(make: sessionmaker[Session], import_id: int, *, write: bool = False, undo: bool = False) -> Import:
    """The import, after all that is asked of it was done."""
    working.run(make, import_id, endpoints=ENDPOINTS)
    with make.begin() as session:
        made = imports.the_import(session, import_id)
        if write and made.why_not_written:
            with pytest.raises(ImportNotWritable):
                imports.write(session, import_id, expected=made.new_rows, reason="we move in", by=BY)
        elif write:
            imports.write(session, import_id, expected=made.new_rows, reason="we move in", by=BY)
        if undo and made.state == ImportState.WRITTEN:
            imports.undo(session, import_id, reason="the wrong file", by=BY)
    working.run(make, import_id, endpoints=ENDPOINTS)
    with make() as session:
        return imports.the_import(session, import_id)
