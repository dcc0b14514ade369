"""What people do: over the API, on pages, by `spp`, and with files; and what of it counts."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from bench.storm.browser import Browser
from bench.storm.counted import ITEMS, PLANS
from bench.storm.faults import SPP
from bench.storm.senders import AGAIN, PAUSE_S, ZONE, Senders, pause
from bench.storm.world import MEMBERS, SETTLED, Act
from bench.stripe_events import subscription_id

AT_ONCE = 4
"""So many want the last sessions at the same moment."""
MERGED_AT_MOST = MEMBERS // 3
WHY = "The storm."


@dataclass
class Made:
    """Acts that were acknowledged, to compare with those that are kept."""

    redeemed: dict[int, int] = field(default_factory=dict)
    """Redemption -> sessions taken."""
    returned: int = 0
    by_hand: int = 0
    """Sessions given, less those taken."""


@dataclass
class People:
    """Who uses the console. Each method is one kind of act."""

    senders: Senders
    token: str
    environment: Mapping[str, str]
    endpoints: list[str]
    browser: Browser
    members: dict[int, int]
    """Place -> the id of its member, as it was at first."""
    memberships: dict[int, int]
    """Place -> the id of its membership."""
    made: Made = field(default_factory=Made)
    _redeemed: list[tuple[int, int, str]] = field(default_factory=list)
    """Redemption, place and item of those that were not returned."""
    _busy: set[object] = field(default_factory=set)
    """Of what only one may be on its way, because the order decides."""

    def take(self, act: Act) -> None:
        """Let it happen."""
        if act.place not in self.members and act.kind != "import people":
            return
        name = f"do_{act.kind.replace(' ', '_')}"
        self.senders.put(lambda: getattr(self, name)(act))

    @contextmanager
    def _alone(self, what: object) -> Iterator[bool]:
        """Whether nobody else is at it; nobody else can be, then, as long as the block lasts."""
        with self.senders.lock:
            free = what not in self._busy
            if free:
                self._busy.add(what)
        try:
            yield free
        finally:
            if free:
                self._busy.discard(what)

    # Sessions

    def do_redeem(self, act: Act) -> None:
        """One to three sessions."""
        self._redeem(act, _item(act), 1 + act.number % 3)

    def do_redeem_the_last(self, act: Act) -> None:
        """Several want all that is left, of whom one can have it."""
        balances = self._get(f"/members/{self.members[act.place]}/balances")
        item = _item(act)
        for one in balances["data"] if balances else ():
            if one["item"] == item and one["usable"]:
                for number in range(AT_ONCE):
                    each = act._replace(number=act.number * AT_ONCE + number + 10**9)
                    self.senders.put(lambda each=each, all_=one["usable"]: self._redeem(each, item, all_))  # type: ignore[misc]

    def _redeem(self, act: Act, item: str, quantity: int) -> None:
        asked = {"member_id": self.members[act.place], "item_id": _item_id(item), "quantity": quantity}
        if made := self._post("/redemptions", asked, act):
            self._used(act, made["id"], item, quantity)

    def do_redeem_on_a_page(self, act: Act) -> None:
        """At the desk."""
        quantity, item = 1 + act.number % 2, _item(act)
        fields = {"item_id": str(_item_id(item)), "quantity": str(quantity)}
        if done := self.browser.check_in(self.members[self.senders.counted.owner(act.place)], fields):
            self._used(act, done, item, quantity)

    def do_redeem_by_spp(self, act: Act) -> None:
        """By the command line; some of the commands are killed, and given again."""
        item = _item(act)
        made = self._spp(act, "redeem", str(self.members[act.place]), item, "1", "--key", f"spp-{act.number}")
        if made:
            self._used(act, made["redemption"], item, 1)

    def _used(self, act: Act, redemption: int, item: str, quantity: int) -> None:
        with self.senders.lock:
            self.senders.counted.moved[act.place, item] -= quantity
            self.made.redeemed[redemption] = quantity
            self._redeemed.append((redemption, act.place, item))
            self.senders.seen.done[act.kind] += 1

    def _spp(self, act: Act, *arguments: str) -> Any:
        patience = 1 + 4 * act.chance if act.chance < 0.5 else None
        while True:
            command = [str(SPP), *arguments, "--json"]
            try:
                done = subprocess.run(
                    command, env=self.environment, capture_output=True, text=True, timeout=patience, check=False
                )
            except subprocess.TimeoutExpired:
                patience = None
                self.senders.seen.done["commands killed"] += 1
                continue
            if done.returncode == 0:
                return json.loads(done.stdout)
            if "the database is" not in done.stderr:
                if "Error: " not in done.stderr or "Traceback" in done.stderr:
                    self.senders.seen.wrong.append(f"spp {arguments[0]}: {done.stderr[-500:]}")
                return None
            time.sleep(PAUSE_S)

    def do_return(self, act: Act) -> None:
        """All that is left of a redemption."""
        with self.senders.lock:
            if not self._redeemed:
                return
            redemption, place, item = self._redeemed.pop(int(act.chance * len(self._redeemed)))
        if made := self._post(f"/redemptions/{redemption}/returns", {}, act):
            self._moved(act, place, item, made["quantity"])
            with self.senders.lock:
                self.made.returned += made["quantity"]

    def do_give(self, act: Act, sessions: int = 1) -> None:
        """A session by hand."""
        asked = {"member_id": self.members[act.place], "item_id": _item_id(_item(act)), "quantity": sessions}
        made = self._post("/adjustments", {**asked, "reason": "goodwill", "note": WHY}, act)
        if made and made["state"] == "applied":
            self._moved(act, act.place, _item(act), sessions)
            with self.senders.lock:
                self.made.by_hand += sessions

    def do_take(self, act: Act) -> None:
        """A session by hand, away."""
        self.do_give(act, -1)

    def _moved(self, act: Act, place: int, item: str, sessions: int) -> None:
        with self.senders.lock:
            self.senders.counted.moved[place, item] += sessions
            self.senders.seen.done[act.kind] += 1

    # Memberships

    def do_freeze(self, act: Act) -> None:
        """Some days to come."""
        first = _today() + timedelta(days=1 + act.number % 20)
        last = first + timedelta(days=act.number % 5)
        asked = {"first_day": str(first), "last_day": str(last), "reason": WHY}
        if made := self._post(f"/memberships/{self.memberships[act.place]}/freezes", asked, act):
            with self.senders.lock:
                self.senders.counted.frozen[made["id"]] = act.place, first, last
                self.senders.seen.done[act.kind] += 1

    def do_unfreeze(self, act: Act) -> None:
        """Undo a freeze."""
        frozen = self.senders.counted.frozen
        with self.senders.lock:
            if not frozen:
                return
            freeze = [*frozen][int(act.chance * len(frozen))]
            undone = frozen.pop(freeze)
        made = self._post(f"/freezes/{freeze}/undoing", {"reason": WHY}, act)
        with self.senders.lock:
            if made:
                self.senders.seen.done[act.kind] += 1
            else:
                frozen[freeze] = undone

    def do_change_the_plan(self, act: Act) -> None:
        """From today on."""
        plan, today = [*PLANS][act.number % len(PLANS)], _today()
        with self._alone(("plan", act.place)) as mine:
            asked = {"payment_term_id": 1 + [*PLANS].index(plan), "since": str(today), "reason": WHY}
            if mine and self._post(f"/memberships/{self.memberships[act.place]}/plan-changes", asked, act):
                with self.senders.lock:
                    self.senders.counted.plans[act.place][today] = plan
                    self.senders.seen.done[act.kind] += 1

    def do_merge(self, act: Act) -> None:
        """Two members that are one person."""
        counted = self.senders.counted
        with self._alone("merge") as mine:
            stays = counted.owner(act.place)
            others = [one for one in self.members if SETTLED <= one != stays and counted.owner(one) == one]
            if not mine or not others or len(counted.owners) >= MERGED_AT_MOST:
                return
            goes = others[int(act.chance * len(others))]
            if self._post(
                f"/members/{self.members[stays]}/merges",
                {"from_member_id": self.members[goes], "reason": WHY},
                act,
            ):
                with self.senders.lock:
                    counted.owners[goes] = stays
                    self.senders.seen.done[act.kind] += 1

    # Files

    def do_import_people(self, act: Act) -> None:
        """Somebody who pays already."""
        with self._alone(("import", act.place)) as mine:
            if not mine or act.place in self.members:
                return
            email = f"newcomer{act.place}@example.com"
            references = "|".join(f"{endpoint}:{subscription_id(act.place)}" for endpoint in self.endpoints)
            columns = "email,name,club,offer,term,picks,joined,billing references,credits from"
            since = _today() - timedelta(days=3)
            row = f"{email},Newcomer {act.place},Bench,Gold,Term,Class|Training,2026-01-05,{references},{since}"
            if self._import(act, "people", f"{columns}\n{row}\n"):
                (found,) = self._get(f"/members?email={email}")["data"]
                (bought,) = self._get(f"/members/{found['id']}/memberships")["data"]
                with self.senders.lock:
                    self.members[act.place] = found["id"]
                    self.memberships[act.place] = bought["id"]
                    self.senders.counted.here.add(act.place)
                    self.senders.seen.done[act.kind] += 1

    def do_import_balances(self, act: Act) -> None:
        """Sessions of an earlier system."""
        item, left, last = _item(act), 1 + act.number % 4, date(2027, 6, 1) + timedelta(days=act.number)
        shown = self._get(f"/members/{self.members[act.place]}")
        if shown and self._import(
            act, "balances", f"email,item,left,last day\n{shown['email']},{item},{left},{last}\n"
        ):
            self._moved(act, act.place, item, left)

    def _import(self, act: Act, kind: str, content: str) -> bool:
        """Whether it is written now; what was refused is not. A file that was given up is sent again."""
        for number in range(1000):
            key = f"storm-{act.number}-{number}"
            made = self._post(f"/imports?kind={kind}", content, act, f"{key}-file")
            made = made and self._awaited(made["id"])
            if made and made["state"] == "judged" and not made["why_not_written"] and made["new_rows"] == 1:
                asked = {"expected": 1, "reason": WHY}
                if self._post(f"/imports/{made['id']}/writing", asked, act, f"{key}-write"):
                    made = self._awaited(made["id"])
                    if made["state"] == "written":
                        return True
            elif made and made["same_rows"] == 1:
                self.senders.seen.wrong.append(f"{kind} {content!r} were written by an import that was given up")
            elif not made or made["state"] != "failed":
                return False
            if made["state"] == "judged":
                self._post(f"/imports/{made['id']}/discarding", {}, act, f"{key}-discard")
        return False

    def _awaited(self, number: int) -> Any:
        while (made := self._get(f"/imports/{number}")) and made["state"].endswith("ing"):
            time.sleep(3 * PAUSE_S)
        return made

    # Reading

    def do_read(self, act: Act) -> None:
        """Balances or grants of a member."""
        member_id = self.members[act.place]
        self._get(f"/members/{member_id}/grants" if act.chance < 0.5 else f"/members/{member_id}/balances")
        self.senders.seen.done[act.kind] += 1

    def do_read_a_page(self, act: Act) -> None:
        """A member's page, or the state of the service."""
        self.browser.get(f"/members/{self.members[act.place]}" if act.chance < 0.7 else "/operations/")
        self.senders.seen.done[act.kind] += 1

    def do_export(self, act: Act) -> None:
        """All balances."""
        self._get("/exports/balances.csv")
        self.senders.seen.done[act.kind] += 1

    # Asking

    def _post(self, path: str, body: dict[str, Any] | str, act: Act, key: str = "") -> Any:
        """What was made; None where the rules refused it."""
        is_file = isinstance(body, str)
        content = body if isinstance(body, str) else json.dumps(body)
        kind = "text/csv" if is_file else "application/json"
        key = key or f"storm-{act.number}"
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind, "Idempotency-Key": key}
        return self._definite("POST", path, content.encode(), headers, refused=(409, 422))

    def _get(self, path: str) -> Any:
        return self._definite("GET", path, b"", {"Authorization": f"Bearer {self.token}"}, refused=())

    def _definite(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], refused: tuple[int, ...]
    ) -> Any:
        while True:
            status, answer, told = self.senders.ask(1, method, f"/api/v1{path}", body, headers)
            self.senders.seen.console[status] += 1
            if status in (200, 201):
                return json.loads(answer) if "json" in told.get("Content-Type", "") else answer
            if status not in AGAIN:
                if status not in refused:
                    self.senders.seen.wrong.append(f"{method} {path} answered {status}: {answer[:300]!r}")
                return None
            pause(status)


def _item(act: Act) -> str:
    return ITEMS[act.number % len(ITEMS)]


def _item_id(item: str) -> int:
    return 1 + ITEMS.index(item)


def _today() -> date:
    return datetime.now(ZONE).date()
