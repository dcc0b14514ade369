"""The ceiling: a Flask app that answers every delivery with 200 and does nothing else."""

from flask import Flask

app = Flask(__name__)


@app.post("/webhooks/<endpoint>")
def receive(endpoint: str) -> str:
    """Answers 200."""
    return endpoint
