"""An agent over real HTTP whose tools leave traces, and a provider that fails by plan."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from kugetsu.agent import Agent, RetryPolicy, Toolbox
from kugetsu.config import CompactionSettings, ModelSettings, ProviderSettings, RetrySettings, Settings, Wire
from kugetsu.errors import ModelError
from kugetsu.events import Event, ModelRetried
from kugetsu.messages import AssistantMessage, Message, Usage
from kugetsu.models import Models
from kugetsu.protocols import Clock, FileLocks, Model, ToolContext, ToolOutput
from kugetsu.rehearsal import Script, ScriptedCall, ScriptedTurn, ScriptedUsage
from kugetsu.sessions import Session
from kugetsu.testing import FakeClock, Fault, FunctionTool, MemoryJournal, ScriptedServer

WIRES: Final[tuple[Wire, ...]] = ("openai", "anthropic")
TURNS: Final = 6
PROMPT: Final = "Write two lines in each turn, in order, each of them once."
SYSTEM: Final = "You keep a diary."
IDLE_SECONDS: Final = 0.2
AT_ONCE: Final = 12

T = TypeVar("T")


class Line(msgspec.Struct):
    line: str


class Page(msgspec.Struct):
    number: int


def script_of(turns: int = TURNS, *, words: str = "") -> Script:
    """Each turn thinks, speaks, writes a line, looks at something and writes another line; the last one only speaks."""
    return Script((*(_turn(number, words) for number in range(turns - 1)), ScriptedTurn(text=last_words(turns))))


def last_words(turns: int = TURNS) -> str:
    return f"All {turns} turns are over, and every line is written."


def _turn(number: int, words: str) -> ScriptedTurn:
    return ScriptedTurn(
        thinking=f"What is to be written in turn {number}, and after what?",
        text=f"Turn {number}: I write one line, look at page {number}, and write another. {words}".strip(),
        tool_calls=(
            ScriptedCall("note", {"line": f"{number} first"}),
            ScriptedCall("look", {"number": number}),
            ScriptedCall("note", {"line": f"{number} second, with some words behind it"}),
        ),
        usage=ScriptedUsage(900 + number, 80),
    )


def lines_of(script: Script) -> list[str]:
    """What the file holds when every call ran once, in order."""
    calls = [call.arguments for turn in script.turns for call in turn.tool_calls if call.name == "note"]
    return [call["line"] for call in calls if isinstance(call, dict)]


class Diary:
    """The effects of an agent's calls: a file that lines are added to.

    Args:
        path: of the file.
        page: what a look at a page shows.
    """

    def __init__(self, path: Path, page: str = "") -> None:
        self.path = path
        self._page = page

    @property
    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def toolbox(self) -> Toolbox:
        return Toolbox(
            [FunctionTool("note", Line, self._note, kind="write"), FunctionTool("look", Page, self._look, kind="read")]
        )

    async def _note(self, arguments: Line, _context: ToolContext) -> ToolOutput:
        with self.path.open("a") as file:
            file.write(f"{arguments.line}\n")
        return ToolOutput.of(f"wrote {arguments.line}")

    async def _look(self, arguments: Page, _context: ToolContext) -> ToolOutput:
        return ToolOutput.of(f"page {arguments.number}\n{self._page}")


class Writer:
    """One conversation, whose runs go on with what its journal has.

    Attributes:
        journal: of it.
        diary: what its calls did.
        events: what it told.
        runs: how many there were.
        retry: how it tries again.
    """

    def __init__(
        self,
        model: Model,
        diary: Diary,
        clock: Clock,
        retry: RetryPolicy,
        *,
        prompt: str = PROMPT,
        notes: Model | None = None,
    ) -> None:
        self.journal = MemoryJournal()
        self.diary = diary
        self.events: list[Event] = []
        self.runs = 0
        self.prompt = prompt
        self._model = model
        self._notes = notes
        self._clock = clock
        self.retry = retry

    async def run(self) -> str:
        """A run, from the journal alone."""
        self.runs += 1
        root = self.diary.path.parent
        agent = Agent(
            self._model,
            self.diary.toolbox(),
            ToolContext(root=root, scratch=root, environment={}, locks=FileLocks()),
            system=SYSTEM,
            journal=self.journal,
            session=Session(self.journal.entries),
            publish=self.events.append,
            retry=self.retry,
            clock=self._clock,
            compaction=CompactionSettings(most_tokens=500),
            writer=self._notes,
        )
        return await agent.run(self.prompt)

    async def failure(self) -> ModelError | None:
        """How a run fails; None when it does not."""
        try:
            await self.run()
        except ModelError as error:
            return error
        return None

    @property
    def retried(self) -> list[str]:
        return [event.failure for event in self.events if isinstance(event, ModelRetried)]

    @property
    def conversation(self) -> list[Message]:
        """All that was said, called and answered, without what it used up."""
        return [
            msgspec.structs.replace(message, usage=Usage()) if isinstance(message, AssistantMessage) else message
            for message in self.journal.messages
        ]


class Stage(msgspec.Struct):
    """A provider, the models that are opened there, and the time they go by."""

    server: ScriptedServer
    models: Models
    clock: FakeClock
    retry: RetryPolicy

    def writer(self, diary: Diary, *, prompt: str = PROMPT, notes: Model | None = None) -> Writer:
        return Writer(self.models.open("test/m"), diary, self.clock, self.retry, prompt=prompt, notes=notes)


@asynccontextmanager
async def stage(
    wire: Wire,
    script: Script,
    faults: Mapping[int, Fault] | None = None,
    *,
    idle_seconds: float = 30.0,
    retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - immutable
    window: int = 0,
    max_output: int = 1_000,
    concurrency: int = 0,
    requests_per_minute: int = 0,
) -> AsyncIterator[Stage]:
    """A provider that fails by plan. Time passes only when somebody waits; silence alone takes its real time."""
    clock = FakeClock()
    known = {"m": ModelSettings(context_window=window, max_output=max_output)} if window else {}
    async with ScriptedServer(script, order="conversation", faults=faults) as server:
        provider = ProviderSettings(
            wire=wire,
            base_url=server.base_url,
            api_key="sk-x",
            idle_seconds=idle_seconds,
            models=known,
            concurrency=concurrency,
            requests_per_minute=requests_per_minute,
        )
        settings = Settings(
            providers={"test": provider},
            retry=RetrySettings(retry.attempts, retry.base_seconds, retry.cap_seconds),
        )
        async with Models(settings, {}, clock=clock) as models:
            yield Stage(server, models, clock, retry)


async def all_of(jobs: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """Do many things, some at a time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def do(job: Callable[[], Awaitable[T]]) -> T:
        async with room:
            return await job()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(do(job)) for job in jobs]
    return [task.result() for task in tasks]


def paths(directory: Path) -> Iterator[Path]:
    """Names of files that are not there yet."""
    number = 0
    while True:
        number += 1
        yield directory / f"{number}.txt"


def longest_waits(retry: RetryPolicy, calls: int) -> float:
    """The most seconds that so many calls may wait together before each is made for the last time."""
    steps: Sequence[float] = [
        min(retry.longest, retry.base_seconds * 2.0**number) for number in range(retry.attempts - 1)
    ]
    return calls * sum(steps)
