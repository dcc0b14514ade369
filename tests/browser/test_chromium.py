"""Which Chromium the tests take."""

from pathlib import Path

import pytest

from tests.browser import chromium


def test_a_stub_that_does_not_start_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, says in (("chromium", "exit 1"), ("google-chrome", "exit 0")):
        stub = tmp_path / name
        stub.write_text(f"#!/bin/sh\n{says}\n")
        stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert chromium.find() == str(tmp_path / "google-chrome")
