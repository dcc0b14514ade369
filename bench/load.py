"""Putting load on a server: `send(Plan(...))` runs one load in a process of its own and returns its `Outcome`.

Closed loop: every connection sends its next request as soon as its last one is
answered. Open loop: requests fall due at a fixed rate whether or not earlier ones
are answered, and latency counts from that moment, so that a stalled server cannot
hide its stall.
"""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field

from bench.processes import ROOT


@dataclass(frozen=True)
class Plan:
    """What to send: deliveries `first`, `first` + 1, ... at `rate_per_s`, or as fast as answers come.

    The first `warmup_s` are sent but not counted. `count` matters to a closed loop
    only: it ends early when they are used up, unless `repeat` lets it begin again.
    With `requests`, those in this file (pickled) are sent, in their order, instead of deliveries made here.
    """

    port: int
    seconds: float
    first: int = 0
    count: int = 1
    memberships: int = 1000
    rate_per_s: float | None = None
    connections: int = 32
    warmup_s: float = 1.0
    repeat: bool = False
    trace: bool = False
    requests: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came back. `cpu` is the generator's own CPU seconds per second; `began_at`, and
    with `trace` each delivery's number in `due_at`, are Unix times at which sending fell due."""

    answered_per_s: float
    statuses: dict[str, int]
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu: float
    began_at: float
    sent: int
    due_at: dict[str, float] = field(default_factory=dict)

    def require_all_accepted(self) -> "Outcome":
        """This outcome; raises ValueError unless every answer was a 2xx."""
        if not self.statuses or any(not status.startswith("2") for status in self.statuses):
            raise ValueError(f"Not every delivery was accepted: {self.statuses}")
        return self


def send(plan: Plan) -> Outcome:
    """Runs the plan in a process of its own, and returns when the last answer is in."""
    argv = [sys.executable, "-m", "bench.generator", json.dumps(asdict(plan))]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    return Outcome(**json.loads(done.stdout))
