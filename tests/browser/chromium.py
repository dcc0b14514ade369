"""A Chromium for the browser tests and the pictures in the docs: the system's, or one that is installed now."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
PACKAGES = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "chromium")
LOCAL_ONLY = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"


def find() -> str | None:
    """The path of a Chromium that starts, or None; some that bear the name only tell what to install."""
    return next((path for path in _known() if _starts(path)), None)


def arguments() -> list[str]:
    """What it is started with: it talks to this machine alone; root has no sandbox."""
    return [LOCAL_ONLY, "--no-sandbox"] if os.geteuid() == 0 else [LOCAL_ONLY]


def install() -> str | None:
    """Installs one by the system's packages or else by Playwright; its path, or None where neither can."""
    for command in _ways():
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode == 0 and (path := find()):
            return path
    return None


def _known() -> Iterator[str]:
    yield from filter(None, map(shutil.which, NAMES))
    yield MAC
    with sync_playwright() as playwright:
        yield playwright.chromium.executable_path


def _starts(path: str) -> bool:
    if not Path(path).exists():
        return False
    return subprocess.run([path, "--version"], capture_output=True, check=False, timeout=60).returncode == 0


def _ways() -> Iterator[list[str]]:
    before: list[str] = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if all(map(shutil.which, ["apt-get", *before[:1]])):
        subprocess.run([*before, "apt-get", "update", "--quiet"], capture_output=True, check=False)
        yield [*before, *PACKAGES]
    yield [sys.executable, "-m", "playwright", "install", "chromium"]


def main() -> int:
    if find() or install():
        return 0
    sys.stderr.write("There is no Chromium and none can be installed here: the tests in a browser will be skipped.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
