"""The tutorial's Flask app: verify with the library, insert with the ORM, delay a task."""

import json

import stripe
from flask import Flask, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import sessionmaker

from bench.stripe_events import SECRET
from bench.tutorial.models import Event, make_engine
from bench.tutorial.tasks import process_event

app = Flask(__name__)
sessions = sessionmaker(make_engine(pool_size=8), expire_on_commit=False)


@app.post("/webhooks/<endpoint>")
def receive(endpoint: str) -> ResponseReturnValue:
    """Verifies, stores and hands on one event; answers 200 to a repeated one."""
    payload = request.get_data()
    try:
        stripe.Webhook.construct_event(payload, request.headers["Stripe-Signature"], SECRET)
    except (KeyError, ValueError, stripe.SignatureVerificationError):
        return {"error": f"refused by {endpoint}"}, 400
    content = json.loads(payload)
    with sessions() as session:
        event = Event(stripe_id=content["id"], type=content["type"], payload=content)
        session.add(event)
        try:
            session.commit()
        except IntegrityError:
            return {"status": "duplicate"}, 200
        event_id = event.id
    process_event.delay(event_id)
    return {"status": "ok"}, 200
