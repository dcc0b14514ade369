"""The embedded servers."""

from local.errors import NoEmbeddedServers, ServerFailed
from local.postgres import Postgres
from local.valkey import Broker

__all__ = ["Broker", "NoEmbeddedServers", "Postgres", "ServerFailed"]
