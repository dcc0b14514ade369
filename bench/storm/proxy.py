"""A proxy between our processes and PostgreSQL that cuts, loses answers, and is slow, when it is told to."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

COMMIT = b"COMMIT\x00"
"""As it stands in a query message of the protocol."""
STORES = b"INSERT INTO webhook_events"
"""Of a connection on which deliveries are stored, the first time; later, the statement has a number only."""
PIECE = 65536


class _Pair:
    """One connection of ours, and its other half."""

    def __init__(self, to_us: asyncio.StreamWriter, to_them: asyncio.StreamWriter) -> None:
        self.to_us, self.to_them = to_us, to_them
        self.stores = False

    def abort(self) -> None:
        self.to_us.transport.abort()
        self.to_them.transport.abort()


class Proxy:
    """Listens on a socket in `folder`, and passes on to `server`. Its faults may be ordered from any thread.

    `happened` is called with what it has done, once for each connection or answer.
    """

    def __init__(self, folder: Path, server: Path, happened: Callable[[str], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._server = server
        self._happened = happened
        self._delay_s = 0.0
        self._to_lose: Counter[bytes] = Counter()
        self._pairs: list[_Pair] = []
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def cut(self) -> None:
        """End every connection now."""
        self._loop.call_soon_threadsafe(self._cut)

    def cut_one(self, chance: float) -> None:
        """End one connection, chosen by a number between 0 and 1."""
        self._loop.call_soon_threadsafe(self._cut_one, chance)

    def lose_answers(self, number: int, of: bytes = b"") -> None:
        """Pass on so many of the next messages that have `of` in them, and end their connections before the answer.

        `STORES` stands for whatever is asked on a connection that stores deliveries.
        """
        self._to_lose[of] += number

    @property
    def to_lose(self) -> int:
        """Answers that are still to be lost."""
        return self._to_lose.total()

    def slow(self, delay_s: float) -> None:
        """Wait so long before each piece is passed on; 0 is not at all."""
        self._delay_s = delay_s

    def calm(self) -> None:
        """No faults from now on."""
        self._to_lose, self._delay_s = Counter(), 0.0

    def close(self) -> None:
        """End it."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self) -> None:
        socket = self.folder / ".s.PGSQL.5432"
        await asyncio.start_unix_server(self._connected, str(socket))
        socket.chmod(0o777)

    def _cut(self) -> None:
        for pair in self._pairs:
            pair.abort()

    def _cut_one(self, chance: float) -> None:
        if self._pairs:
            self._pairs[int(chance * len(self._pairs))].abort()

    async def _connected(self, ours: asyncio.StreamReader, to_us: asyncio.StreamWriter) -> None:
        try:
            theirs, to_them = await asyncio.open_unix_connection(str(self._server / ".s.PGSQL.5432"))
        except OSError:
            to_us.transport.abort()
            return
        pair = _Pair(to_us, to_them)
        self._pairs.append(pair)
        try:
            asking = asyncio.create_task(self._ask(ours, pair))
            answering = asyncio.create_task(self._pass_on(theirs, to_us))
            await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
            for task in (asking, answering):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await task
        finally:
            self._pairs.remove(pair)
            pair.abort()

    async def _ask(self, ours: asyncio.StreamReader, pair: _Pair) -> None:
        while piece := await ours.read(PIECE):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            pair.stores = pair.stores or STORES in piece
            pair.to_them.write(piece)
            await pair.to_them.drain()
            for of in [*self._to_lose]:
                if pair.stores if of == STORES else of in piece:
                    self._to_lose -= Counter([of])
                    pair.to_us.transport.abort()
                    self._happened("an answer to COMMIT lost" if COMMIT in piece else "an answer to a statement lost")
                    # The server gets to work on it before it sees that nobody is there.
                    await asyncio.sleep(0.05)
                    return

    async def _pass_on(self, theirs: asyncio.StreamReader, to_us: asyncio.StreamWriter) -> None:
        while piece := await theirs.read(PIECE):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            to_us.write(piece)
            await to_us.drain()
