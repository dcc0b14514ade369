"""The embedded servers."""

from local.postgres import Postgres
from local.shared import NoEmbeddedServers, ServerFailed
from local.valkey import Broker

__all__ = ["Broker", "NoEmbeddedServers", "Postgres", "ServerFailed"]
