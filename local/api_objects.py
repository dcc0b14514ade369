"""The objects behind a stand-in's API: JSON files in a folder, PROCESSOR/KIND/ID.json.

Files, so that another process can add to them.
"""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4


class Objects:
    """The objects of one processor's API, by kind and id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, kind: str, id: str, value: Any) -> None:
        """Add or replace an object."""
        file = self._folder / kind / f"{id}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        # Whoever reads meanwhile gets the one before, whole.
        new = file.with_suffix(f".{uuid4().hex}")
        new.write_text(json.dumps(value))
        new.replace(file)

    def get(self, kind: str, id: str) -> Any:
        """The object, or None."""
        file = self._folder / kind / f"{id}.json"
        return json.loads(file.read_text()) if file.is_file() and file.parent.name == kind else None

    def all(self, kind: str) -> list[Any]:
        """All objects of a kind, in the order of their ids."""
        return [json.loads(file.read_text()) for file in sorted((self._folder / kind).glob("*.json"))]
