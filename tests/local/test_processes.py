"""What the operating system says of processes and ports, through local.processes."""

import random
import subprocess
import sys
from pathlib import Path

from local.processes import free_port

ROOT = Path(__file__).parents[2]


def test_two_processes_never_get_the_same_port() -> None:
    code = (
        "import random; from local.processes import free_port; random.seed(7); print(free_port(), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        before = random.getstate()
        random.seed(7)
        ours = [free_port(), free_port()]
        random.setstate(before)
        other.communicate("\n")
    assert theirs not in ours
    assert other.returncode == 0
