"""Tasks on a server, from any Python: `AsyncClient` for programs with an event loop, `Client` for all others."""

from kugetsu.client.async_client import AsyncClient
from kugetsu.client.sync_client import Client

__all__ = ["AsyncClient", "Client"]
