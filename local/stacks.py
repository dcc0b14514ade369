"""The stacks that `spp up` runs for this user, so that another terminal finds them, and the data folder it means.

Each has a file in the user's state folder, which its process keeps locked. The kernel drops the lock when the process
dies, however it dies: a file that is not locked is left over, and is ignored.
"""

import fcntl
import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from local.errors import LocalFailure

FOLDER = ".spp"
"""The data folder, in the folder where the work is done."""


class RunningStack(NamedTuple):
    """A running `spp up`."""

    data: Path
    started_in: Path
    pid: int
    console: str
    webhooks: str


class SeveralStacks(LocalFailure):
    """Several stacks run, and none of them is nearer than the others."""

    def __init__(self, found: list[RunningStack]) -> None:
        lines = "".join(
            f"\n  export SPP_DATA={shlex.quote(str(one.data))}   console at {one.console}, pid {one.pid}"
            for one in found
        )
        super().__init__(f"`spp up` runs {len(found)} times. Choose one of them by its data folder:{lines}")


@contextmanager
def registered(stack: RunningStack) -> Iterator[bool]:
    """Let other terminals find the stack for the length of the block. Yields False where no file can be written."""
    folder, name = _folder(), str(stack.pid)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = (folder / f"{name}.new").open("w")
    except OSError:
        yield False
        return
    with draft:
        fcntl.flock(draft, fcntl.LOCK_EX)
        json.dump(stack._asdict(), draft, default=str)
        draft.flush()
        Path(draft.name).replace(folder / f"{name}.json")  # the lock belongs to the file, whatever its name
        try:
            _tidy(folder)
            yield True
        finally:
            (folder / f"{name}.json").unlink(missing_ok=True)


def running() -> list[RunningStack]:
    """The stacks that run now, ordered by their data folder."""
    found = (_read(file) for file in _folder().glob("*.json"))
    return sorted(stack for stack in found if stack)


def on(data: Path) -> RunningStack | None:
    """The stack that runs on this data folder, or None."""
    return next((stack for stack in running() if stack.data == data.resolve()), None)


def nearest(here: Path, stacks: list[RunningStack]) -> RunningStack | None:
    """The stack that a terminal in the folder `here` means; None if none runs.

    It is the one that was started, or keeps its `.spp`, in this folder or in the nearest folder above it; else the only
    one that runs. Raises SeveralStacks where that leaves a choice.
    """
    deepest = max((_depth(stack, here) for stack in stacks), default=0)
    found = [stack for stack in stacks if _depth(stack, here) == deepest]
    if len(found) > 1:
        raise SeveralStacks(found)
    return found[0] if found else None


def _depth(stack: RunningStack, here: Path) -> int:
    """How deep the stack's folder lies that holds `here`; 0 if none of its folders does."""
    places = [stack.started_in, *([stack.data.parent] if stack.data.name == FOLDER else [])]
    return max((len(place.parts) for place in places if here.is_relative_to(place)), default=0)


def own_folder(here: Path) -> Path:
    """The user's data folder in `here` or in the nearest folder above it; where there is none, `here` gets it."""
    for place in (here, *here.parents):
        with suppress(OSError):
            if (place / FOLDER).stat().st_uid == os.geteuid():  # a folder of somebody else's is not to be trusted
                return place / FOLDER
    return here / FOLDER


def _read(file: Path) -> RunningStack | None:
    """The stack of this file, if its process lives."""
    try:
        with file.open() as text:
            if _unlocked(text.fileno()):
                return None
            known = json.load(text)
            return RunningStack(Path(known.pop("data")), Path(known.pop("started_in")), **known)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _unlocked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tidy(folder: Path) -> None:
    """Remove what is left over from stacks that were killed."""
    for file in folder.glob("*.json"):
        with suppress(OSError), file.open() as text:
            if _unlocked(text.fileno()):
                file.unlink()


def _folder() -> Path:
    """The folder of the files: in XDG_STATE_HOME, or else where that points by default."""
    state = os.environ.get("XDG_STATE_HOME")
    try:
        return (Path(state) if state else Path.home() / ".local" / "state") / "spp" / "running"
    except RuntimeError:  # the user has no home
        return Path("/nonexistent")
