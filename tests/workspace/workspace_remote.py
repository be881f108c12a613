"""A real git server over HTTP on loopback, with a sign-in and faults on demand."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class GitServer:
    """Serves the repositories below a directory through `git http-backend`.

    Attributes:
        credentials: `user:password` that requests must carry; empty for none.
        status: answered instead of anything else, when it is not 0.
        cut: how many bytes of a pack are sent before the connection is closed; 0 for all.
        hold: requests for packs wait until it is set.
        packs: how many packs were asked for.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.credentials = ""
        self.status = 0
        self.cut = 0
        self.hold = threading.Event()
        self.hold.set()
        self.packs = 0
        self.port = 0

    def url(self, name: str, user: str = "") -> str:
        return f"http://{user + '@' if user else ''}127.0.0.1:{self.port}/{name}"

    def permits(self, header: str) -> bool:
        wanted = "Basic " + base64.b64encode(self.credentials.encode()).decode()
        return not self.credentials or header == wanted


def _handler(server: GitServer) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - a class that needs the server
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def _serve(self, body: bytes) -> None:
            if server.status:
                self.send_error(server.status)
                return
            if not server.permits(self.headers.get("Authorization", "")):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
            head, _, answer = self._backend(body).partition(b"\r\n\r\n")
            pack = b"command=fetch" in body
            if pack:
                server.packs += 1
                server.hold.wait(20)
            self.send_response(404 if b"Status: 404" in head else 200)
            for line in head.decode().splitlines():
                if not line.startswith("Status:"):
                    self.send_header(*line.split(": ", 1))
            self.end_headers()
            self.wfile.write(answer[: server.cut] if pack and server.cut else answer)

        def _backend(self, body: bytes) -> bytes:
            path, _, query = self.path.partition("?")
            env = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(server.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
            }
            return subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, check=True).stdout

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Print nothing."""

    return Handler


@contextmanager
def git_server(root: Path) -> Iterator[GitServer]:
    """Serve until the block is left."""
    server = GitServer(root)
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(server)) as listener:
        server.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.hold.set()
            listener.shutdown()
            thread.join()
