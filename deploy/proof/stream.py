"""A processor that delivers until it is answered 2xx, and the comparison of what was acknowledged with the ledger."""

import hmac
import threading
import time
from collections import Counter
from http.client import HTTPException
from itertools import count
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from deploy.proof.compose import ENDPOINT, SECRET, Compose, require
from local import stripe_bodies

SUBSCRIPTION = "sub_proof"
PER_SECOND = 40


class Stream:
    """Deliveries in a thread, every fourth one twice, until the block ends; then each has been acknowledged."""

    _numbers = count()

    def __init__(self, port: int) -> None:
        self.acknowledged: set[str] = set()
        self.refused = 0
        self._url = f"http://127.0.0.1:{port}/webhooks/{ENDPOINT}"
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Stream":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(180)
        require(
            not self._thread.is_alive(), f"every delivery was acknowledged in the end ({self.refused} refused before)"
        )

    def _run(self) -> None:
        while not self._ending.is_set():
            number = next(self._numbers)
            self._deliver(number)
            if number % 4 == 0:
                self._deliver(number)
            time.sleep(1 / PER_SECOND)

    def _deliver(self, number: int) -> None:
        now = int(time.time())
        invoice = stripe_bodies.invoice(f"in_proof{number}", SUBSCRIPTION, now)
        body = stripe_bodies.event(f"evt_proof{number}", "invoice.paid", now, invoice)
        while not self._acknowledges(body):
            self.refused += 1
            time.sleep(0.2)
        self.acknowledged.add(f"in_proof{number}")

    def _acknowledges(self, body: bytes) -> bool:
        at = int(time.time())
        signature = hmac.digest(SECRET.encode(), b"%d." % at + body, "sha256").hex()
        try:
            urlopen(Request(self._url, body, {"Stripe-Signature": f"t={at},v1={signature}"}), timeout=10).close()
        except HTTPError as error:
            error.close()
            return False
        except (OSError, HTTPException):
            return False
        return True


def require_credited_once(compose: Compose, acknowledged: set[str], grants_each: int, seconds: float = 120) -> None:
    """Each acknowledged payment has its grants, and none has more. Waits for the last of them. Raises NotProven."""
    query = """SELECT p.reference, count(g.id) FROM payments p LEFT JOIN credit_grants g ON g.payment_id = p.id
               WHERE p.reference LIKE 'in_proof%' GROUP BY 1"""
    deadline = time.monotonic() + seconds
    while True:
        grants = Counter({reference: int(number) for reference, number in compose.sql(query)})
        missing = [reference for reference in acknowledged if grants[reference] < grants_each]
        if not missing or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    require(
        not missing, f"nothing lost: {len(acknowledged)} acknowledged payments are credited {missing[:5] or ''}".strip()
    )
    double = [reference for reference, number in grants.items() if number > grants_each]
    require(not double, f"nothing double {double[:5] or ''}".strip())
    require(set(grants) <= acknowledged, "nothing credited that was not acknowledged")
