"""A model that is never asked: for tasks whose work is only brought home."""

from collections.abc import AsyncIterator
from typing import Final

from kugetsu.errors import ModelError
from kugetsu.messages import Delta
from kugetsu.protocols import ModelInfo, ModelRequest


class Nobody:
    """Stands in for a model that cannot be had, in a run that ends before it says anything. Implements `protocols.Model`."""

    info: Final = ModelInfo(context_window=1, max_output=1)

    def __init__(self, name: str) -> None:
        self.name = name

    async def stream(self, _request: ModelRequest) -> AsyncIterator[Delta]:
        """Refuse.

        Raises:
            ModelError: always.
        """
        raise ModelError("not_found", f"the model {self.name!r} cannot be had")
        yield  # makes this a generator, as the protocol has it
