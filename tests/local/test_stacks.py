"""Which of the running stacks a terminal means."""

import os
from pathlib import Path

import pytest

from local import stacks
from local.stacks import RunningStack, SeveralStacks


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "spp" / "running"


def stack(data: str, started_in: str, pid: int = 1) -> RunningStack:
    return RunningStack(Path(data), Path(started_in), pid, "http://127.0.0.1:1", "http://127.0.0.1:2")


@pytest.mark.parametrize(
    ("here", "meant"),
    [
        ("/gym", "/gym/.spp"),
        ("/gym/docs/more", "/gym/.spp"),
        ("/gym/inner", "/data/inner"),
        ("/gym/inner/deep", "/data/inner"),
        ("/data", None),
        ("/gymnasium", None),
    ],
)
def test_it_is_the_one_of_the_nearest_folder(here: str, meant: str | None) -> None:
    running = [stack("/gym/.spp", "/elsewhere"), stack("/data/inner", "/gym/inner")]
    if meant is None:
        with pytest.raises(SeveralStacks, match=r"(?s)runs 2 times.*SPP_DATA=/gym/\.spp .*SPP_DATA=/data/inner "):
            stacks.nearest(Path(here), running)
    else:
        found = stacks.nearest(Path(here), running)
        assert found
        assert found.data == Path(meant)


def test_it_is_the_only_one_wherever_it_runs() -> None:
    assert stacks.nearest(Path("/home"), [stack("/data", "/gym")]) == stack("/data", "/gym")
    assert stacks.nearest(Path("/home"), []) is None


def test_two_of_one_folder_leave_a_choice() -> None:
    with pytest.raises(SeveralStacks):
        stacks.nearest(Path("/gym"), [stack("/gym/.spp", "/gym"), stack("/data", "/gym")])


def test_it_is_known_as_long_as_its_process_holds_the_file(state: Path, tmp_path: Path) -> None:
    mine = stack(str(tmp_path / "data"), "/gym", os.getpid())
    assert stacks.running() == []
    with stacks.registered(mine) as found:
        assert found
        assert stacks.running() == [mine]
        assert stacks.on(tmp_path / "data") == mine
        assert stacks.on(tmp_path) is None
    assert (stacks.running(), list(state.iterdir())) == ([], [])


def test_what_a_killed_one_left_over_is_ignored_and_removed_by_the_next(state: Path) -> None:
    state.mkdir(parents=True)
    for name, content in (("1.json", '{"data": "/a"}'), ("2.json", "{"), ("3.json", "")):
        (state / name).write_text(content)
    assert stacks.running() == []
    with stacks.registered(stack("/data", "/gym", 4)):
        assert [file.name for file in state.iterdir()] == ["4.json"]


def test_where_no_file_can_be_written_it_runs_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with stacks.registered(stack("/data", "/gym")) as found:
        assert not found
    assert stacks.running() == []


def test_the_data_folder_of_a_folder_above_is_used(tmp_path: Path) -> None:
    inner = tmp_path / "docs" / "more"
    inner.mkdir(parents=True)
    assert stacks.own_folder(inner) == inner / ".spp"
    (tmp_path / ".spp").mkdir()
    assert stacks.own_folder(inner) == tmp_path / ".spp"
