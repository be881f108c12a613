"""A window that is another one than believed is learned from a call that did not fit, once for all who use the model."""

import msgspec
import pytest

from context.test_overflow_words import WORDINGS
from kugetsu.config import ModelSettings, ProviderSettings, Settings
from kugetsu.errors import ModelError
from kugetsu.messages import user
from kugetsu.models import Models
from kugetsu.models.error_body import ErrorBody
from kugetsu.models.failures import classify
from kugetsu.protocols import ModelRequest
from kugetsu.rehearsal import Script, ScriptedTurn
from kugetsu.testing import Fault, ScriptedServer
from models.model_lab import KEY

SCRIPT = Script((ScriptedTurn(text="fine"),))


async def refused(error: object, *, about: int = 100_000) -> tuple[ModelError, list[int]]:
    """How a call fails that is answered so, and which windows its user and the next one believe in then."""
    body = msgspec.json.encode({"error": error})
    async with ScriptedServer(SCRIPT, faults={0: Fault("status", 400, body=body)}) as server:
        provider = ProviderSettings(
            base_url=server.base_url, api_key=KEY, models={"m": ModelSettings(context_window=128_000)}
        )
        async with Models(Settings(providers={"test": provider}), {}) as models:
            model = models.open("test/m")
            with pytest.raises(ModelError) as caught:
                async for _ in model.stream(ModelRequest("", [user("hello")], about_tokens=about)):
                    pass
            return caught.value, [model.info.context_window, models.open("test/m").info.context_window]


@pytest.mark.parametrize("words", [words for words, _, _ in WORDINGS], ids=lambda words: words[:40])
def test_every_wording_of_an_overflow_is_known_as_one(words: str) -> None:
    for status in (400, None):
        assert classify(status, ErrorBody(words), waits=False) == "context_overflow"


async def test_a_window_that_the_provider_names_is_learned_for_all() -> None:
    error, windows = await refused({"message": "prompt is too long: 70000 tokens > 64000 maximum"})
    assert (error.kind, error.window, error.prompt) == ("context_overflow", 64_000, 70_000)
    assert windows == [64_000, 64_000]


async def test_numbers_beside_the_message_count_too() -> None:
    words = {"message": "the request exceeds the available context size", "n_ctx": 4096, "n_prompt_tokens": 9012}
    error, windows = await refused({**words, "type": "exceed_context_size_error"})
    assert (error.window, error.prompt, windows) == (4_096, 9_012, [4_096, 4_096])


@pytest.mark.parametrize(
    ("about", "window"), [(100_000, 80_000), (0, 128_000), (500_000, 128_000), (100, 2_048)], ids=str
)
async def test_without_a_number_a_fifth_less_than_what_was_sent_is_assumed(about: int, window: int) -> None:
    error, windows = await refused({"message": "Please reduce the length of the messages."}, about=about)
    assert (error.kind, error.window, windows) == ("context_overflow", 0, [window, window])


async def test_other_failures_teach_nothing_of_the_window() -> None:
    error, windows = await refused({"message": "temperature > 1000 maximum"})
    assert (error.kind, error.window, windows) == ("bad_request", 0, [128_000, 128_000])
