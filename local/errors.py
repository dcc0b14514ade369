"""What can fail on this machine, as errors whose messages are for the user."""


class LocalFailure(Exception):
    """Something on this machine did not start or stop. The message says what to do, or ends with the log's end."""


class NoEmbeddedServers(LocalFailure):
    """The package with a server is not installed, or has none for this platform."""

    def __init__(self, package: str) -> None:
        super().__init__(
            "There are no embedded servers for this platform. Run PostgreSQL, and Valkey or Redis, yourself, "
            f"and set DATABASE_URL and BROKER_URL. ({package} is not installed)"
        )


class ServerFailed(LocalFailure):
    """An embedded server did not start or did not stop; the message ends with its last log lines."""
