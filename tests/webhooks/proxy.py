"""Between the app and PostgreSQL: a wire that can be cut at the worst moment."""

import selectors
import socket
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import make_url

SOCKET = ".s.PGSQL.5432"


class Wire:
    """Forwards connections to the database of `url`.

    `cuts` tells what to do with the app's next inserts, each of which is its own
    transaction, in turn: "before" cuts the app's connection and PostgreSQL never
    sees it, "after" lets PostgreSQL commit and cuts before its answer reaches the app.
    """

    def __init__(self, url: str, folder: Path) -> None:
        parsed = make_url(url)
        self._target = str(Path(str(parsed.query["host"]), SOCKET))
        self._path = folder / SOCKET
        self.url = f"postgresql://postgres@/{parsed.database}?host={quote(str(folder))}"
        self.cuts: list[str] = []
        self.done: list[str] = []
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None

    def up(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(50)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        """Nobody answers here any more, and whoever was connected is cut off."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            self._path.unlink()
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                app, _ = listener.accept()
                threading.Thread(target=self._forward, args=(app,), daemon=True).start()

    def _forward(self, app: socket.socket) -> None:
        with app, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(self._target)
            self._open |= {app, server}
            try:
                self._carry(app, server)
            finally:
                self._open -= {app, server}

    def _carry(self, app: socket.socket, server: socket.socket) -> None:
        with selectors.DefaultSelector() as ends:
            ends.register(app, selectors.EVENT_READ, server)
            ends.register(server, selectors.EVENT_READ, app)
            while True:
                for key, _ in ends.select():
                    source, target = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    if not (sent := source.recv(65536)):
                        return
                    if source is app and b"INSERT INTO webhook_events" in sent and self.cuts:
                        cut = self.cuts.pop(0)
                        if cut == "after":
                            server.sendall(sent)
                            # The rest of a long statement, until PostgreSQL answers it.
                            while all(key.fileobj is app for key, _ in ends.select()):
                                server.sendall(app.recv(65536))
                        self.done.append(cut)
                        return
                    target.sendall(sent)
