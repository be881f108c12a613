from collections.abc import AsyncIterator

import pytest

from support.command_line import CommandLine
from support.http_site import Site, open_site


@pytest.fixture
async def site(user: CommandLine) -> AsyncIterator[Site]:
    async with open_site(user) as site:
        yield site
