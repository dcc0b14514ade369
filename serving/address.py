"""Check that a listening address is free."""

import socket


def check_free(host: str, port: int) -> None:
    """Raise OSError if another server listens on the address.

    Granian's workers share their port through SO_REUSEPORT, so a second server of the same user could bind it as well
    and would take part of the requests. Binding once without that option closes this. SO_REUSEADDR skips connections
    in TIME_WAIT: a restart must not wait for them.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
