from collections.abc import Iterator

import pytest

from hermes.pair import Pair


@pytest.fixture(scope="session", params=["http", "spawn"])
def shared_pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with Pair(tmp_path_factory.mktemp(request.param), request.param) as pair:
        yield pair


@pytest.fixture
def pair(shared_pair: Pair) -> Pair:
    """Both programs, as the user has them when all is well. Stories share them: each is played in chats of its own."""
    shared_pair.mend()
    return shared_pair
