"""Ports: finding a free one, and refusing a taken one in a sentence."""

import socket


class PortTaken(Exception):
    """A port is in use; says which, and which setting moves it."""

    def __init__(self, port: int, setting: str) -> None:
        super().__init__(f"port {port} is in use: stop what uses it, or set {setting} to another one")


def free_port() -> int:
    """A port of loopback that nobody uses now. Somebody may take it before its user does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def refuse_taken(host: str, port: int, setting: str) -> None:
    """Look whether a port can be listened on.

    Raises:
        PortTaken: it cannot.
    """
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        raise PortTaken(port, setting) from None
