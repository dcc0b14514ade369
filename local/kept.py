"""Secrets that are made once and kept, each in a file that only its owner can read."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile


def kept(file: Path, make: Callable[[], str]) -> str:
    """The content of the file. If it does not exist, write what `make` returns first, whole or not at all."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}.") as draft:
            draft.write(make() + "\n")
            draft.flush()
            with suppress(FileExistsError):  # another process was faster: its secret counts
                os.link(draft.name, file)
    return file.read_text().strip()
