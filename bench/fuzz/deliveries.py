"""Hostile deliveries: mutated, signed as they should be or not, to every endpoint, and then worked off.

Guided by coverage where atheris is installed (requirements-fuzz.lock); otherwise drawn at random.
"""

import time
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from pydantic import SecretStr
from sqlalchemy import text

from bench.fuzz.findings import Findings
from bench.fuzz.mutating import mutated

REFERENCE, BYSTANDER = "sub_ann", "sub_ben"
"""Billing references of the sample gym; nobody signs a delivery about the second one."""
PAYLOADS = Path(__file__).parents[2] / "tests" / "payloads"
WORKED_OFF_EVERY = 500
"""Accepted deliveries."""
HOW = ("signed",) * 6 + ("stripped", "tampered", "another's")
"""How a delivery is signed; only the first is authentic."""
NOT_FOR = {"adyen": ("stripped", "tampered"), "braintree": ("stripped",), "paypal": ("another's",)}
"""Where the signature is part of the body, or of parts of it; and where another's key takes a certificate."""
LARGEST = 1 << 20
_GIVEN_TO_BYSTANDER = """
    SELECT count(*) FROM credit_grants g JOIN memberships m ON m.member_id = g.member_id
    JOIN billing_references r ON r.membership_id = m.id WHERE r.reference = :reference
"""
_FAILED = """
    SELECT endpoint, error, min(body) FROM webhook_events
    WHERE error NOT LIKE 'cannot be fetched: LookupError%' AND waits_since IS NULL AND state IN ('pending', 'dead')
    GROUP BY 1, 2
"""
# What waits for an API that will never know it would only be asked for again and again.
_WAIT_LONGER = """
    UPDATE webhook_events SET next_attempt_at = next_attempt_at + interval '1 day'
    WHERE state = 'pending' AND waits_since IS NOT NULL AND next_attempt_at < now() + interval '1 hour'
"""


class Deliveries:
    """One fuzzer's app, worker and inputs. An input: endpoint, how it is signed, content."""

    def __init__(self, findings: Findings, seconds: float, tries: int) -> None:
        # Imported here, so that atheris sees the imports.
        from bench.fuzz import gym
        from local import samples
        from models.database.engine import make_engine
        from runtime.settings import DatabaseRole, load
        from webhooks.app import create_app
        from webhooks.processors import adapter, adapters
        from worker.process import WorkerProcess

        settings = load(DatabaseRole.WEB)
        self._findings, self._tries, self._post = findings, tries, gym.post
        self._until = time.monotonic() + seconds
        self._app = create_app(settings)
        self._worker = WorkerProcess(load(DatabaseRole.WORKER))
        self._engine = make_engine(settings.database_url)
        self._processors = list(adapters(settings.endpoints).values())
        self._others = {
            one.endpoint.name: adapter(_with_secret(one.endpoint, one.trial.secret())) for one in self._processors
        }
        self._accepted = 0
        self.seeds: list[bytes] = []
        for number, one in enumerate(self._processors):
            kind, start = one.endpoint.processor, bytes([number, 0])
            for name in samples.names(kind):
                made = samples.sample(kind, name, reference=REFERENCE, number=f"{number}1", now=datetime.now(UTC))
                self.seeds += [start + each.content for each in made]
            files = sorted(file for file in (PAYLOADS / kind).rglob("*.*") if file.suffix in (".json", ".xml"))
            self.seeds += [start + file.read_bytes() for file in files]

    def vary(self, data: bytes, seed: int) -> bytes:
        """Another input, made of this one."""
        random = Random(seed)
        if len(data) < 3 or random.random() < 0.02:
            data = random.choice(self.seeds)
        # A new id, or the event is known after the first time.
        content = data[2:].replace(b"evt_", b"evt_%d" % random.randrange(10**6), 1)
        return bytes([data[0], random.randrange(len(HOW))]) + mutated(content, random)[:LARGEST]

    def try_one(self, data: bytes) -> None:
        """Post the delivery that an input stands for; work off what was accepted from time to time."""
        if len(data) < 3:
            return
        processor, how = self._processors[data[0] % len(self._processors)], HOW[data[1] % len(HOW)]
        if how in NOT_FOR.get(processor.endpoint.processor, ()):
            how = "signed"
        content = data[2:] if how == "signed" else data[2:].replace(REFERENCE.encode(), BYSTANDER.encode())
        try:
            signing = processor if how != "another's" else self._others[processor.endpoint.name]
            body, headers = signing.sign(content, int(time.time()))
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
            return  # its own signature cannot be made of that
        if how == "stripped":
            headers = {"Content-Type": headers.get("Content-Type", "application/json")}
        elif how == "tampered":
            body += b" "
        status = self._post(self._app, processor.endpoint.name, body, headers)
        self._findings.counts[f"{how}: {status}"] += 1
        self._findings.counts["tries"] += 1
        if status >= 500:
            self._findings.note(f"{processor.endpoint.name} answers {status}", (how, body, headers))
        if status < 300:
            if how != "signed":
                self._findings.note(f"{processor.endpoint.name} accepts what is {how}", (body, headers))
            self._accepted += 1
            if self._accepted % WORKED_OFF_EVERY == 0:
                self._work_off()
        if self._findings.counts["tries"] >= self._tries or time.monotonic() >= self._until:
            self.end()

    def end(self) -> None:
        """Work off the rest, look at all, and end the process."""
        self._work_off()
        with self._engine.begin() as connection:
            paid = connection.scalar(text(_GIVEN_TO_BYSTANDER), {"reference": BYSTANDER})
        if paid:
            self._findings.note("what nobody signed gave sessions", paid)
        self._findings.end()

    def _work_off(self) -> None:
        self._worker.credit(sweep=True)
        with self._engine.begin() as connection:
            for endpoint, error, body in connection.execute(text(_FAILED)):
                self._findings.note(f"{endpoint}: {str(error)[:60]}", (error, bytes(body)))
            connection.execute(text(_WAIT_LONGER))


def _with_secret(endpoint: Any, secret: str) -> Any:
    kind = type(endpoint)
    return kind(**{name: getattr(endpoint, name) for name in kind.model_fields} | {"secrets": (SecretStr(secret),)})


def fuzz(file: Path, seed: int, seconds: float, tries: int) -> None:
    """Try so many inputs, or as long as that; write what came of it into the file, and end the process."""
    findings = Findings(file)
    if find_spec("atheris"):
        _guided(findings, file.with_suffix(".corpus"), seed, seconds, tries)
    made, random = Deliveries(findings, seconds, tries), Random(seed)
    while True:
        made.try_one(made.vary(random.choice(made.seeds), random.getrandbits(32)))


def _guided(findings: Findings, corpus: Path, seed: int, seconds: float, tries: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["webhooks", "models.payments"], enable_loader_override=False):
        made = Deliveries(findings, seconds, tries)
    corpus.mkdir()
    for number, each in enumerate(made.seeds):
        (corpus / str(number)).write_bytes(each)

    def vary(data: bytes, most: int, drawn: int) -> bytes:
        return made.vary(data, drawn)[:most]

    options = [f"-seed={seed}", f"-max_len={LARGEST}", "-verbosity=0", "-timeout=300", "-rss_limit_mb=0"]
    atheris.Setup(["fuzz", *options, str(corpus)], made.try_one, custom_mutator=vary)
    atheris.Fuzz()
