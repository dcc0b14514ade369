"""Hostile requests to every page and route, from people of every role, tokens of every scope, and strangers."""

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import psycopg
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from bench.fuzz import gym
from bench.fuzz.findings import Findings
from bench.fuzz.mutating import changed, mutated, odd_or
from console.web.app import create_app
from local.sample_gym import BY
from models.database.engine import make_engine
from models.staff import accounts, logins, tokens
from models.staff.accounts import Role, Staff
from models.staff.tokens import TokenScope
from runtime.settings import DatabaseRole, Settings, load
from webhooks.app import create_app as webhooks
from webhooks.processors import adapters
from worker.process import WorkerProcess

AFRESH_EVERY = 1000
"""Requests: what they changed is undone, so that later ones meet a gym with everything in it."""
REMEMBERED = 400
"""Texts of pages that are typed elsewhere."""
API = "/api/v1"
READING = {"GET", "HEAD", "OPTIONS"}
WRITTEN = """
    SELECT (SELECT max(id) FROM ledger_entries), (SELECT max(id) FROM actions), (SELECT max(id) FROM memberships),
           (SELECT max(id) FROM redemptions), (SELECT count(*) FROM payment_terms), (SELECT count(*) FROM items),
           (SELECT count(*) FROM staff WHERE disabled_at IS NULL)
"""
"""What changes where a request has an effect; logging in and out, and the choice of a language, are none."""
UNCOUNTED = ("login.", "password_links.", "languages.", "second_factor.")
FILES = (
    b"reference,name,email,club,offer,payment term,items\n1,Ann Archer,ann@example.com,Riverside,All In,Monthly,Spin\n",
    b"reference,item,quantity,expires on\n1,Spin,4,2027-01-31\n",
)


PARAMETERS = (
    "q", "club", "club_id", "as_of", "state", "item", "after", "before", "cursor", "limit", "since", "sort", "endpoint",
    "reason", "member", "with", "email", "offer", "term", "days", "locale", "next", "shown",
)  # fmt: skip


@dataclass
class Sender:
    """Somebody who sends requests: a browser that is logged in or not, or a token."""

    name: str
    client: FlaskClient
    role: Role | None = None
    bound: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    may_write: bool = True
    csrf: str = ""

    @property
    def is_token(self) -> bool:
        """Whether it calls the API."""
        return bool(self.headers)


@dataclass
class Sent:
    """One request."""

    rule: Rule
    method: str
    path: str
    query: dict[str, str]
    content: dict[str, Any]
    """What the client's `open` takes beside it."""


class Fields(HTMLParser):
    """The fields of a page's forms, with their values, and the names of those that take a file."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.files: set[str] = set()
        self._select = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a field in."""
        given = {name: value or "" for name, value in attrs}
        if tag == "select":
            self._select = given.get("name", "")
        if tag == "option" and self._select and ("selected" in given or self._select not in self.values):
            self.values[self._select] = given.get("value", "")
        if tag in ("input", "textarea") and (name := given.get("name")):
            if given.get("type") == "file":
                self.files.add(name)
            elif given.get("type") not in ("checkbox", "radio") or "checked" in given:
                self.values[name] = given.get("value", "")
            else:
                self.values.setdefault(name, given.get("value", ""))


class Requests:
    """One fuzzer's console, and who sends to it."""

    def __init__(self, findings: Findings, seed: int) -> None:
        self._findings, self._random = findings, Random(seed)
        self._settings: Settings = load(DatabaseRole.CONSOLE)
        self._url = make_url(self._settings.database_url)
        self._app: Flask = create_app(self._settings)
        self._logins: dict[str, str] = {}
        self._tokens: list[tuple[str, Role, bool, TokenScope, str]] = []
        self._fill()
        self._copy(f"{self._url.database}_kept", str(self._url.database))
        self._connection = psycopg.connect(self._plain(str(self._url.database)), autocommit=True)
        self._rules = [
            rule
            for rule in self._app.url_map.iter_rules()
            if not rule.endpoint.endswith("static") and not rule.rule.startswith(f"{API}/docs")
        ]
        self._described = json.loads(self._app.test_client().get(f"{API}/openapi.json").text)
        self._known: list[str] = ["soon", "2026-12-01", "Ann", "1"]
        self._senders = list(self._made_senders())

    def go_on(self, seconds: float, tries: int) -> None:
        """Send as many requests, or for as long."""
        until = monotonic() + seconds
        while self._findings.counts["requests"] < tries and monotonic() < until:
            self._findings.counts["requests"] += 1
            if self._findings.counts["requests"] % AFRESH_EVERY == 0:
                self._start_afresh()
            able = [one for one in self._senders if one.role == Role.ADMIN and one.may_write]
            sender = self._random.choice(able if self._random.random() < 0.3 else self._senders)
            self._judge(sender, self._drawn(sender))

    def _judge(self, sender: Sender, sent: Sent) -> None:
        before = self._written()
        answer = self._send(sender, sent)
        status, page = answer.status_code, answer.get_data(as_text=True)
        what = f"{sent.method} {sent.rule.rule}"
        shown = (sender.name, sent.method, sent.path, sent.query, sent.content, page[:600])
        self._findings.counts[f"{'token' if sender.is_token else 'browser'}: {status}"] += 1
        if status >= 500 or "Traceback (most recent call last)" in page:
            self._findings.note(f"{what} answers {status}", shown)
        if not self._is_open(sender, sent):
            if status < 300:
                self._findings.note(f"{what} answers {status} to {sender.name}", shown)
            if self._written() != before:
                self._findings.note(f"{what} has an effect for {sender.name}", shown)
        elif status >= 400 and not sent.rule.endpoint.startswith(UNCOUNTED) and self._written() != before:
            self._findings.note(f"{what} was refused and has an effect", shown)
        if sender.bound and gym.SECRET.lower() in page.lower():
            # Others may have moved the member to the sender's club meanwhile.
            self._start_afresh()
            sender = next(one for one in self._senders if one.name == sender.name)
            if gym.SECRET.lower() in self._send(sender, sent).get_data(as_text=True).lower():
                self._findings.note(f"{what} shows {sender.name} what is another club's", shown)
        if not sender.is_token and (token := re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)):
            sender.csrf = token[1]
        if not sender.bound and sent.method == "GET":
            values = Fields(page).values.values()
            shown_values = (value for value in values if value and gym.SECRET.lower() not in value.lower())
            self._known = [*self._known, *shown_values][-REMEMBERED:]

    def _is_open(self, sender: Sender, sent: Sent) -> bool:
        """Whether the sender's role, and a token's scope, are enough for the method, by what is documented."""
        if sent.rule.rule.startswith(API):
            operation = self._described["paths"].get(_documented(sent.rule), {}).get(sent.method.lower())
            if operation is None:
                return True
            needed = re.search(r"Needs a token(?: of scope (\w+))? whose owner is ([^.]*)", operation["description"])
            if needed is None or sender.role is None:
                return needed is None and bool(sender.is_token or not operation.get("security", [True]))
            return (needed[1] != "write" or sender.may_write) and sender.role.value in re.findall(r"\w+", needed[2])
        needs = getattr(self._app.view_functions[sent.rule.endpoint], "needs", ())
        if needs == ():
            return True
        if sender.role is None or sender.is_token:
            return False
        return accounts.may(sender.role, *map(Role, needs))

    def _drawn(self, sender: Sender) -> Sent:
        for_api = sender.is_token or self._random.random() < 0.02
        acts_only = self._random.random() < 0.5
        rule = self._random.choice(
            [
                one
                for one in self._rules
                if one.rule.startswith(API) == for_api and not (acts_only and (one.methods or set()) <= READING)
            ]
        )
        methods = sorted((rule.methods or set()) - (READING if acts_only else set()))
        method = self._random.choice(methods) if self._random.random() < 0.98 else self._random.choice(("PUT", "TRACE"))
        values = {name: self._argument(name) for name in rule.arguments}
        path = re.sub(r"<(?:[^:>]*:)?([^>]+)>", lambda found: values[found[1]], rule.rule)
        if for_api:
            return Sent(rule, method, path, *self._for_api(rule, method))
        return Sent(rule, method, path, *self._for_page(sender, rule, method, path))

    def _argument(self, name: str) -> str:
        if name == "name":
            return self._random.choice(("stripe", "people", "balances", "members", "nobody"))
        if self._random.random() < 0.93:
            return str(self._random.choice((1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8)))
        return self._random.choice(("0", "-1", str(2**63), "9" * 30, "x", "1 ", "%00", "1.0", "٣"))

    def _for_page(self, sender: Sender, rule: Rule, method: str, path: str) -> tuple[dict[str, str], dict[str, Any]]:
        if method != "POST":
            return self._parameters(), {}
        values: dict[str, Any] = {}
        files: set[str] = set()
        if "GET" in (rule.methods or ()) and self._random.random() < 0.8:
            fields = Fields(sender.client.get(path).get_data(as_text=True))
            values, files = dict(fields.values), fields.files
        else:
            values = dict(self._parameters())
        for name in self._random.sample(sorted(values), min(len(values), self._random.randrange(4))):
            values[name] = odd_or(self._random.choice(self._known), self._random)
        for name in files:
            values[name] = (io.BytesIO(mutated(self._random.choice(FILES), self._random)), "file.csv")
        if self._random.random() < 0.95:
            values.setdefault("csrf_token", sender.csrf)
        return self._parameters() if self._random.random() < 0.1 else {}, {"data": values}

    def _parameters(self) -> dict[str, str]:
        chosen = self._random.sample(PARAMETERS, self._random.choice((0, 0, 1, 1, 2, 5)))
        return {name: odd_or(self._random.choice(self._known), self._random) for name in chosen}

    def _for_api(self, rule: Rule, method: str) -> tuple[dict[str, str], dict[str, Any]]:
        operation = self._described["paths"].get(_documented(rule), {}).get(method.lower(), {})
        query = {
            one["name"]: odd_or(str(self._valued(one["schema"])), self._random)
            for one in operation.get("parameters", ())
            if one["in"] == "query" and self._random.random() < 0.3
        }
        headers = {"Idempotency-Key": f"key-{self._random.randrange(10**6)}"}
        if self._random.random() < 0.05:
            headers["Idempotency-Key"] = self._random.choice(("", " ", "k" * 300, "key-1", "ключ"))
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            return query, {
                "headers": headers,
                "data": mutated(self._random.choice(FILES), self._random) if content else b"",
            }
        body = self._valued(content["application/json"]["schema"])
        for _ in range(self._random.choice((0, 0, 0, 0, 1, 2))):
            body = changed(body, self._random) if isinstance(body, dict) and body else body
        text = json.dumps(body).encode()
        if self._random.random() < 0.05:
            text = mutated(text, self._random)
        return query, {"headers": headers, "data": text, "content_type": "application/json"}

    def _valued(self, schema: Mapping[str, Any]) -> Any:
        """A value that is as the schema says, or nearly."""
        if reference := schema.get("$ref"):
            return self._valued(self._described["components"]["schemas"][reference.rpartition("/")[2]])
        for several in ("anyOf", "oneOf", "allOf"):
            if several in schema:
                return self._valued(self._random.choice(schema[several]))
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        if schema.get("examples") and self._random.random() < 0.5:
            return self._random.choice(schema["examples"])
        match schema.get("type"):
            case "object":
                wanted, needed = schema.get("properties", {}), schema.get("required", ())
                chosen = [name for name in wanted if name in needed or self._random.random() < 0.5]
                return {name: self._valued(wanted[name]) for name in chosen}
            case "array":
                return [self._valued(schema.get("items", {})) for _ in range(self._random.randrange(3))]
            case "integer" | "number":
                return self._random.choice((1, 1, 2, 3, 8, schema.get("minimum", 0), schema.get("maximum", 10**6)))
            case "boolean":
                return self._random.random() < 0.5
            case "null":
                return None
        if schema.get("format") == "date":
            return self._random.choice(("2026-12-01", "2027-01-31", "2026-11-01"))
        if schema.get("format") == "date-time":
            return self._random.choice((datetime.now(UTC).isoformat(), "2026-12-01T00:00:00Z"))
        return self._random.choice(self._known)

    def _send(self, sender: Sender, sent: Sent) -> TestResponse:
        content = dict(sent.content)
        content["headers"] = {**sender.headers, **content.get("headers", {})}
        if isinstance(content.get("data"), dict):  # a file is read once
            content["data"] = {
                name: (io.BytesIO(value[0].getvalue()), value[1]) if isinstance(value, tuple) else value
                for name, value in content["data"].items()
            }
        return sender.client.open(sent.path, method=sent.method, query_string=sent.query, **content)

    def _written(self) -> object:
        return self._connection.execute(WRITTEN).fetchone()

    # The gym

    def _fill(self) -> None:
        """Payments of every processor for both clubs, logins, and tokens of both scopes."""
        settings = load(DatabaseRole.WEB)
        receiver, worker = webhooks(settings), WorkerProcess(load(DatabaseRole.WORKER))
        for delivery in gym.deliveries(list(adapters(settings.endpoints).values())):
            gym.post(receiver, *delivery)
        worker.credit(sweep=True)
        worker.stop()
        engine = make_engine(self._settings.database_url)
        with Session(engine) as session, session.begin():
            for person in session.scalars(select(Staff)).all():
                bound, role = bool(person.club_ids), Role(person.role)
                self._logins[person.email] = logins.begin(session, person, datetime.now(UTC)).hex
                for scope in TokenScope:
                    made = tokens.make(session, person, name=scope.value, scope=scope, by=BY)
                    self._tokens.append((f"{person.email}, {scope}", role, bound, scope, made.text))
        engine.dispose()

    def _start_afresh(self) -> None:
        self._connection.close()
        self._app.extensions["spp_engine"].dispose()
        self._copy(str(self._url.database), f"{self._url.database}_kept")
        self._connection = psycopg.connect(self._plain(str(self._url.database)), autocommit=True)
        self._senders = list(self._made_senders())

    def _copy(self, database: str, template: str) -> None:
        with psycopg.connect(self._plain("postgres"), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s)", [[database, template]]
            )
            connection.execute(f'DROP DATABASE IF EXISTS "{database}"'.encode())
            connection.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"'.encode())

    def _plain(self, database: str) -> str:
        return self._url.set(drivername="postgresql", database=database).render_as_string(hide_password=False)

    def _made_senders(self) -> Iterator[Sender]:
        yield Sender("a stranger", self._app.test_client(), bound=True)
        for email, login in self._logins.items():
            client = self._app.test_client()
            with client.session_transaction() as kept:
                kept["_user_id"], kept["_fresh"] = login, True
            bound = email.startswith("bound-") and email != "bound-admin@example.com"
            yield Sender(email, client, Role(re.split("[@-]", email)[1 if "-" in email else 0]), bound)
        for name, role, bound, scope, text in self._tokens:
            headers = {"Authorization": f"Bearer {text}"}
            yield Sender(name, self._app.test_client(), role, bound, headers, scope == TokenScope.WRITE)


def _documented(rule: Rule) -> str:
    return re.sub(r"<(?:[^:>]*:)?([^>]+)>", r"{\1}", rule.rule)


def fuzz(file: Path, seed: int, seconds: float, tries: int) -> None:
    """Send so many requests, or for as long as that; write what came of it into the file, and end the process."""
    findings = Findings(file)
    Requests(findings, seed).go_on(seconds, tries)
    findings.end()
