"""A place in the network to listen at, taken or refused before anything else is started."""

import socket

from mesh_assets.errors import RunError


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound there; closing it gives the place free.

    Raises:
        RunError: Somebody else listens there, or nobody can.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        mend = "Name another with --port, or end what listens there."
        raise RunError(f"{host}:{port} cannot be listened at: {error.strerror}\n    {mend}") from None
    return listener
