"""A proxy between our processes and PostgreSQL that cuts, loses answers, and is slow, when it is told to."""

import asyncio
import contextlib
import threading
from pathlib import Path

COMMIT = b"COMMIT\x00"
"""As it stands in a query message of the protocol."""
PIECE = 65536


class Proxy:
    """Listens on a socket in `folder`, and passes on to `server`. Its faults may be ordered from any thread."""

    def __init__(self, folder: Path, server: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.lost = 0
        """Answers that were lost, those to COMMITs among them."""
        self._server = server
        self._delay_s = 0.0
        self._to_lose = 0
        self._of = b""
        self._pairs: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def cut(self) -> None:
        """End every connection now."""
        self._loop.call_soon_threadsafe(self._cut)

    def lose_answers(self, number: int, of: bytes = b"") -> None:
        """Pass on so many of the next messages that have `of` in them, and end their connections before the answer."""
        self._to_lose, self._of = number, of

    def slow(self, delay_s: float) -> None:
        """Wait so long before each piece is passed on; 0 is not at all."""
        self._delay_s = delay_s

    def calm(self) -> None:
        """No faults from now on."""
        self._to_lose, self._delay_s = 0, 0.0

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
        for writer in [*self._pairs]:
            writer.transport.abort()

    async def _connected(self, ours: asyncio.StreamReader, to_us: asyncio.StreamWriter) -> None:
        try:
            theirs, to_them = await asyncio.open_unix_connection(str(self._server / ".s.PGSQL.5432"))
        except OSError:
            to_us.transport.abort()
            return
        pair = {to_us, to_them}
        self._pairs |= pair
        try:
            asking = asyncio.create_task(self._ask(ours, to_them, to_us))
            answering = asyncio.create_task(self._pass_on(theirs, to_us))
            await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
            for task in (asking, answering):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await task
        finally:
            self._pairs -= pair
            for writer in pair:
                writer.transport.abort()

    async def _ask(
        self, ours: asyncio.StreamReader, to_them: asyncio.StreamWriter, to_us: asyncio.StreamWriter
    ) -> None:
        while piece := await ours.read(PIECE):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            to_them.write(piece)
            await to_them.drain()
            if self._to_lose > 0 and self._of in piece:
                self._to_lose -= 1
                self.lost += 1
                to_us.transport.abort()
                # The server gets to work on it before it sees that nobody is there.
                await asyncio.sleep(0.05)
                return

    async def _pass_on(self, theirs: asyncio.StreamReader, to_us: asyncio.StreamWriter) -> None:
        while piece := await theirs.read(PIECE):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            to_us.write(piece)
            await to_us.drain()
