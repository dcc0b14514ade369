"""The embedded servers, for whoever wants to start them."""

from local.postgres import Postgres
from local.shared import NoEmbeddedServers, ServerFailed
from local.valkey import Broker

__all__ = ["Broker", "NoEmbeddedServers", "Postgres", "ServerFailed"]
