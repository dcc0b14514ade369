"""Secrets that are made once and kept in a file of their own, which only its owner reads."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile


def kept(file: Path, make: Callable[[], str]) -> str:
    """What the file holds; where there is none yet, what `make` makes, written whole or not at all."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}.") as draft:
            draft.write(make() + "\n")
            draft.flush()
            with suppress(FileExistsError):  # somebody else was faster: theirs counts
                os.link(draft.name, file)
    return file.read_text().strip()
