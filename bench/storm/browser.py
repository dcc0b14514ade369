"""Somebody at the pages of the console, who sends a form again until its answer is definite."""

import re
import threading
from email.message import Message
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

from bench.storm.senders import AGAIN, Senders, pause

_CSRF = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
_MEMBER = re.compile(r"/members/(\d+)$")
_KEY = re.compile(r'name="key"[^>]*value="([^"]+)"')


class Browser:
    """One login, at one thing at a time."""

    def __init__(self, senders: Senders, email: str, password: str) -> None:
        self._senders, self._email, self._password = senders, email, password
        self._cookies: dict[str, str] = {}
        self._busy = threading.RLock()

    def get(self, path: str) -> str:
        """A page, when it is shown; nothing where it leads to another one."""
        with self._busy:
            while True:
                status, page, headers = self._ask("GET", path)
                if status == 200:
                    return page
                if not self._is_passing("GET", path, status, page, headers):
                    return ""

    def check_in(self, member_id: int, fields: dict[str, str]) -> int | None:
        """The redemption that was made; None where it was refused. One key, however often it has to be sent."""
        with self._busy:
            page = self.get(f"/check-in/{member_id}")
            if not (key := _KEY.search(page)):
                return None
            while True:
                token = _CSRF.search(page)
                sent = {**fields, "key": key[1], "csrf_token": token[1] if token else ""}
                status, answer, headers = self._ask("POST", f"/check-in/{member_id}", sent)
                location = headers.get("Location", "")
                if done := parse_qs(urlsplit(location).query).get("done"):
                    return int(done[0])
                if merged := _MEMBER.search(location):
                    member_id = int(merged[1])
                elif status == 422 or not self._is_passing("POST", f"/check-in/{member_id}", status, answer, headers):
                    return None
                page = self.get(f"/check-in/{member_id}")

    def _is_passing(self, method: str, path: str, status: int, page: str, headers: Message) -> bool:
        """Whether it is worth another try; what is not to be is written down."""
        if status == 302 and "/login" in headers.get("Location", ""):
            self._enter()
            return True
        if status == 302 and method == "GET":  # a merged member's page leads to the one that stays
            return False
        if status in AGAIN:
            pause(status)
            return True
        self._senders.seen.wrong.append(f"{method} {path} answered {status}: {page[:300]!r}")
        return False

    def _enter(self) -> None:
        status = 0
        while status != 302:
            page = self._ask("GET", "/login")[1]
            token = _CSRF.search(page)
            fields = {"csrf_token": token[1] if token else "", "email": self._email, "password": self._password}
            status = self._ask("POST", "/login", fields)[0]
            pause(status)

    def _ask(self, method: str, path: str, fields: dict[str, str] | None = None) -> tuple[int, str, Message]:
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in [*self._cookies.items()]),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        status, page, received = self._senders.ask(1, method, path, urlencode(fields or {}).encode(), headers)
        self._senders.seen.console[status] += 1
        for line in received.get_all("Set-Cookie") or ():
            self._cookies |= {one.key: one.value for one in SimpleCookie(line).values()}
        return status, page.decode(errors="replace"), received
