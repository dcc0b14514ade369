"""What of the machine itself is broken: a clock that jumps, and small disks.

The clock needs a C compiler on Linux, the disks need root. Where these are not, the storm does without.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

DISKS_MB = {"postgres": 2000, "logs": 30}

_SOCKETS = shutil.ignore_patterns(".s.*")


class Machine:
    """The clock of all processes that get `environment`, and small file systems by what is on them."""

    def __init__(self, disks_mb: Mapping[str, int] = DISKS_MB) -> None:
        self._disks_mb = disks_mb
        self.environment: dict[str, str] = {}
        self.disks: dict[str, Path] = {}
        self._clock = Path()

    @contextmanager
    def prepared(self, folder: Path) -> Iterator[None]:
        """All of it, in that folder, as long as the block lasts; what is started within has this clock."""
        folder.chmod(0o755)
        self._clock = folder / "clock"
        if (compiler := shutil.which("cc")) and sys.platform == "linux":
            library = folder / "clock.so"
            source = Path(__file__).with_name("clock.c")
            subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
            self.environment = {"LD_PRELOAD": str(library), "STORM_CLOCK": str(self._clock)}
            self._clock.write_bytes(bytes(8))
        before = dict(os.environ)
        with ExitStack() as stack:
            for name, megabytes in self._disks_mb.items() if os.geteuid() == 0 else ():
                disk = folder / name
                disk.mkdir()
                mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(disk)]
                if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
                    stack.callback(subprocess.run, ["umount", "--lazy", str(disk)], check=False)
                    self.disks[name] = disk
            os.environ.update(self.environment)
            try:
                yield
            except BaseException:
                for name in self.disks:
                    shutil.copytree(
                        folder / name, folder / f"{name} kept", ignore_dangling_symlinks=True, ignore=_SOCKETS
                    )
                raise
            finally:
                os.environ.clear()
                os.environ.update(before)

    def jump(self, seconds: int) -> None:
        """Let the clock be wrong by so many seconds from now on."""
        if self.environment:
            with self._clock.open("r+b") as file:
                file.write(seconds.to_bytes(8, sys.byteorder, signed=True))
