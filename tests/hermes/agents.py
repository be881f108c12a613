"""The agents of tasks, as the tests want them: what each does is decided by words in its prompt."""

from collections.abc import Callable

from hermes.scripted_model import Gate, Reply, Talk

Step = Reply | Callable[[Talk], Reply]
"""One reply of an agent, or what makes it from all that was said before."""


class Agents:
    """What the models of all agents say; `say` is for a `ScriptedModel`."""

    def __init__(self) -> None:
        self._plays: dict[str, tuple[Step, ...]] = {}

    def play(self, words: str, *steps: Step) -> None:
        """Let an agent whose prompt holds these words reply so, reply by reply, and then with `done`."""
        self._plays[words] = steps

    def say(self, talk: Talk) -> Reply:
        steps = next((steps for words, steps in self._plays.items() if words in talk.begun), ())
        if talk.turns >= len(steps):
            return Reply("done")
        step = steps[talk.turns]
        return step(talk) if callable(step) else step


def write(text: str, gate: Gate | None = None) -> Reply:
    """The agent writes a file."""
    return Reply(calls=[("write", {"path": "clock.txt", "content": f"{text}\n"})], gate=gate)


def ask(question: str) -> Reply:
    """The agent asks its user."""
    return Reply(calls=[("ask", {"question": question})])
