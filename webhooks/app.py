"""The Flask app of the webhook server."""

import gc

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from models.database.engine import make_engine, sessions
from models.database.migrations import not_ready
from runtime import logs
from runtime.settings import Settings, SettingsError
from serving.metrics import Metrics
from webhooks.endpoint import Receiver
from webhooks.intake import Intake
from webhooks.learning import Learned
from webhooks.processors import adapters
from webhooks.ring import Bell


def create_app(settings: Settings) -> Flask:
    """The app that receives for the endpoints of these settings. Raises SettingsError."""
    logs.configure(settings.log_level)
    processors = adapters(settings.endpoints)
    for name, processor in processors.items():
        if settings.store_timeout_s >= processor.answer_within_s:
            raise SettingsError(
                f"SPP_STORE_TIMEOUT_S is {settings.store_timeout_s:g}, but {processor.endpoint.processor} (endpoint "
                f"{name!r}) waits only {processor.answer_within_s} s for an answer: set it lower."
            )
    gc.freeze()
    timeout_ms = int(settings.store_timeout_s * 1000)
    engine = make_engine(settings.database_url, statement_timeout_ms=timeout_ms)
    intake = Intake(
        make_engine(settings.database_url, statement_timeout_ms=timeout_ms, autocommit=True),
        ring=Bell(settings.broker_url).ring,
        same_content=lambda endpoint, first, second: processors[endpoint].same_content(first, second),
        timeout_s=settings.store_timeout_s,
    )
    app = Flask("webhooks", static_folder=None)
    # One more than the limit: werkzeug cuts off a body of unknown length silently, and the receiver sees its length.
    app.config["MAX_CONTENT_LENGTH"] = settings.body_limit_bytes + 1
    receiver = Receiver(settings, processors, intake, Learned(engine))
    for method, answer in (("POST", receiver.receive), ("GET", receiver.challenge)):
        rule = "/webhooks/<name>"
        app.add_url_rule(rule, method, answer, methods=[method], provide_automatic_options=False)

    @app.get("/healthz")
    def healthz() -> Response:
        """Alive: this process answers."""
        return Response("alive", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        """Ready: the database answers and has this code's schema."""
        reason = not_ready(engine)
        return Response(reason or "ready", 503 if reason else 200, mimetype="text/plain")

    app.add_url_rule("/metrics", "metrics", Metrics(settings, sessions(engine)).answer)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        response = Response(f"{error.name}.", error.code or 500, mimetype="text/plain")
        if "Allow" in (headers := dict(error.get_headers())):
            response.headers["Allow"] = headers["Allow"]
        return response

    return app
