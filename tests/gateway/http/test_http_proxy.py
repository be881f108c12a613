"""The examples of `docs/proxy`, with the real proxies where they are installed."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from kugetsu.app.house import House
from kugetsu.config import HttpSettings, Settings
from kugetsu.gateway.http.streaming import EventStreams
from support.command_line import CommandLine
from support.http_site import Site, open_site

DOCS = Path(__file__).parents[3] / "docs" / "proxy"
NAME = "kugetsu.example.org"
HTTP = HttpSettings(port=0, body_kb=64, public_url=f"https://{NAME}", trusted_proxies=("127.0.0.1",))


def nginx(directory: Path, server: str, port: int) -> list[str]:
    text = (DOCS / "nginx.conf").read_text().replace("127.0.0.1:8787", server)
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace("    listen [::]:443 ssl;\n", "")
    text = text.replace("/etc/ssl/kugetsu", str(directory))
    paths = "".join(
        f"{kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root; " if os.geteuid() == 0 else ""  # its workers need the directory of this test
    head = f"{user}daemon off; pid {directory}/pid; error_log {directory}/proxy.log;\nevents {{}}\n"
    (directory / "nginx.conf").write_text(f"{head}http {{ access_log off;\n{paths}{text}}}\n")
    key = [f"-keyout={directory}/privkey.pem", f"-out={directory}/fullchain.pem"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days=2", f"-subj=/CN={NAME}"]
        + [part for pair in key for part in pair.split("=")],
        check=True,
        capture_output=True,
    )
    subprocess.run(["nginx", "-t", "-q", "-c", directory / "nginx.conf"], check=True)
    return ["nginx", "-c", str(directory / "nginx.conf")]


def caddy(directory: Path, server: str, port: int) -> list[str]:
    ours = f"{{\n\tadmin off\n\tgrace_period 1s\n\thttps_port {port}\n\tauto_https disable_redirects\n\tskip_install_trust\n\tlocal_certs\n}}\n"
    (directory / "Caddyfile").write_text(ours + (DOCS / "Caddyfile").read_text().replace("127.0.0.1:8787", server))
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(directory / "Caddyfile")]


class Here(AbstractResolver):
    """Every name is this machine."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=6, flags=0)]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def proxied(site: Site, directory: Path, make: Callable[[Path, str, int], list[str]]) -> AsyncIterator[str]:
    """The proxy in front of a server; its address."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        port = made.getsockname()[1]
    directory.mkdir()
    command = make(directory, site.server.url.removeprefix("http://"), port)
    with (directory / "output.log").open("w") as output:
        environ = {**os.environ, "HOME": str(directory)}
        running = await asyncio.create_subprocess_exec(*command, env=environ, stdout=output, stderr=output)
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    assert running.returncode is None, (directory / "output.log").read_text()
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    await writer.wait_closed()
                    break
        yield f"https://{NAME}:{port}"
    finally:
        running.terminate()
        await asyncio.wait_for(running.wait(), 30)


@pytest.mark.parametrize("make", [nginx, caddy])
async def test_kugetsu_is_reached_through_the_proxy_of_the_example(
    user: CommandLine, make: Callable[[Path, str, int], list[str]]
) -> None:
    if not shutil.which(make.__name__) or not shutil.which("openssl"):
        pytest.skip(f"{make.__name__} or openssl is not installed")
    user.make_repo({"a.txt": "a\n"})
    settings = Settings(model=user.script({"text": "done"}))
    trust_all = ssl.create_default_context()
    trust_all.check_hostname, trust_all.verify_mode = False, ssl.CERT_NONE
    async with House(settings, user.home, user.environ) as house:
        streams = EventStreams(house.store, HTTP)
        async with (
            streams.running(),
            open_site(user, settings, streams=streams, http=HTTP) as site,
            proxied(site, user.directory / "proxy", make) as url,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust_all, resolver=Here())) as session,
        ):
            while (await ready(session, url)) != 200:  # the certificate may take a moment
                await asyncio.sleep(0.05)
            await look_through(session, url, site)


async def ready(session: aiohttp.ClientSession, url: str) -> int:
    try:
        async with session.get(f"{url}/readyz") as got:
            return got.status
    except aiohttp.ClientConnectionError:
        return 0


async def look_through(session: aiohttp.ClientSession, url: str, site: Site) -> None:
    async with session.get(f"{url}/v1/stats") as got:
        assert got.status == 401  # though there is no token, and the proxy is a program of this machine
    token = await site.token("submit", "read", "control")
    session.headers["Authorization"] = f"Bearer {token}"
    while True:  # the token counts within a second or so
        async with session.get(f"{url}/v1/stats", headers={"X-Forwarded-For": "203.0.113.9"}) as got:
            if got.status == 200:
                break
        await asyncio.sleep(0.1)
    assert site.requests()[-1]["client"] == "127.0.0.1"  # what the client says of itself is not believed
    async with session.get(f"{url}/v1/stats", headers={"Origin": "https://evil.example"}) as got:
        assert got.status == 403
    async with session.get(f"{url}/v1/stats", headers={"Origin": url}) as got:
        assert got.status == 200
    for size, status in ((64 * 1024, 415), (900_000, 413)):
        async with session.post(f"{url}/v1/tasks", data=b"x" * size) as got:
            assert (got.status, got.content_type) == (status, "application/problem+json")
    task = await submit_about(session, url, site, "forge.example/team/tool#7")
    named = URL(f"{url}/v1/tasks/forge.example%2Fteam%2Ftool%237", encoded=True)
    async with session.get(named) as got:
        assert (await got.json())["id"] == task
    async with session.get(f"{url}/v1/events?after=0") as following:
        assert following.content_type == "text/event-stream"
        async with session.post(f"{url}/v1/tasks/{task}/cancel") as got:
            assert got.status == 200
        async with asyncio.timeout(20):
            while task.encode() not in await following.content.readline():
                pass


async def submit_about(session: aiohttp.ClientSession, url: str, site: Site, subject: str) -> str:
    new = {"prompt": "x", "repo": str(site.user.repo), "subject": subject}
    async with session.post(f"{url}/v1/tasks", json=new) as got:
        assert got.status == 202, await got.text()
        found: str = (await got.json())["id"]
        return found
