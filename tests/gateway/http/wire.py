"""A connection to a server, byte by byte."""

import asyncio
import contextlib
import socket

from support.http_site import Site


class Wire:
    """A connection on which anything can be said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, site: Site, *, buffer: int = 0) -> "Wire":
        host, port = site.server.url.removeprefix("http://").split(":")
        made = socket.socket()
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(made, (host, int(port)))
        except OSError:
            made.close()
            raise
        return cls(*await asyncio.open_connection(sock=made, limit=2**12))

    async def say(self, text: str | bytes) -> None:
        self.writer.write(text.encode() if isinstance(text, str) else text)
        await self.writer.drain()

    async def rest(self) -> bytes:
        """All that comes until the other side ends it, one way or the other."""
        pieces = []
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                while piece := await self.reader.read(65536):
                    pieces.append(piece)
        self.writer.close()
        return b"".join(pieces)
