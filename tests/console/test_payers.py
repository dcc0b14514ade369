"""Who paid, read from the stored events when somebody looks."""

from datetime import timedelta

from sqlalchemy import Engine, text

from console import payers
from models.database.engine import sessions
from runtime.settings import Settings
from tests.worker.scene import PAID_AT, Make, arrive, paid, value
from webhooks.processors.events import Payer
from worker.crediting import Crediting

WHO = {"customer_name": "Grace Hopper", "customer_email": "grace@example.com"}


def told(make: Make, settings: Settings, *bodies: bytes) -> dict[int, Payer]:
    """Who paid the one payment that these events are about."""
    arrive(make, *bodies)
    Crediting(settings, make).drain()
    return seen(make, settings)


def seen(make: Make, settings: Settings) -> dict[int, Payer]:
    with make() as session:
        root = value(make, "SELECT min(root_id) FROM payments")
        return payers.of_payments(session, settings.endpoints, [root])


def test_each_detail_is_of_the_first_event_that_says_it(engine: Engine, settings: Settings) -> None:
    make = sessions(engine)
    first = paid("in_1", "sub_lost", customer_name="Grace Hopper")
    again = paid("in_1", "sub_lost", event_id="evt_2", at=PAID_AT + timedelta(hours=1), **WHO | {"customer_name": "G."})
    assert list(told(make, settings, first, again).values()) == [Payer("Grace Hopper", "grace@example.com")]


def test_what_could_not_be_shown_is_left_out(engine: Engine, settings: Settings) -> None:
    make = sessions(engine)
    hostile = {"customer_name": "Grace\x1b[2J\u202e  Hopper", "description": "card 4242 4242 4242 4242"}
    (payer,) = told(make, settings, paid("in_1", "sub_lost", **hostile)).values()
    assert payer == Payer("Grace[2J Hopper", None, "card **** **** **** 4242")


def test_nobody_is_known_once_the_body_is_pruned_or_the_endpoint_is_gone(engine: Engine, settings: Settings) -> None:
    make = sessions(engine)
    assert told(make, settings, paid("in_1", "sub_lost", **WHO))
    assert seen(make, settings.model_copy(update={"endpoints": ()})) == {}
    with make.begin() as session:
        session.execute(text("UPDATE webhook_events SET body = '', pruned_at = clock_timestamp()"))
    assert seen(make, settings) == {}
