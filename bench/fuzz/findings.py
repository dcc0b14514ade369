"""What was found: each kind once, with the input that showed it."""

import json
import os
from collections import Counter
from pathlib import Path


class Findings:
    """How many tries there were, by what became of them, and what was not as it has to be."""

    def __init__(self, file: Path) -> None:
        self.counts: Counter[str] = Counter()
        self.found: dict[str, str] = {}
        self._file = file

    def note(self, kind: str, shown: object) -> None:
        """Keep the first input that shows a finding of this kind."""
        self.found.setdefault(kind, repr(shown)[:4000])

    def end(self) -> None:
        """Write down what there is, and end the process: a fuzzer's library may have taken it over."""
        self._file.write_text(json.dumps({"counts": self.counts, "found": self.found}))
        os._exit(0)
