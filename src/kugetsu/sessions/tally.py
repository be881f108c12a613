"""What a session has used up."""

import msgspec

from kugetsu.messages import AssistantMessage, Usage
from kugetsu.tasks import TaskReport


class Tally(msgspec.Struct):
    """What has been used so far; true at any moment, also when a run is cut.

    Attributes:
        spent_usd: the money that is known to be spent, also when the price of a part is not.
        last_text: the model's last words.
    """

    turns: int = 0
    tool_calls: int = 0
    usage: Usage = Usage()
    spent_usd: float = 0.0
    last_text: str = ""

    def count(self, reply: AssistantMessage) -> None:
        """Add a reply."""
        self.turns += 1
        self.usage += reply.usage
        self.spent_usd += reply.usage.cost_usd or 0.0
        self.last_text = reply.text or self.last_text

    def waste(self, usage: Usage) -> None:
        """Add what brought no reply."""
        self.usage += usage
        self.spent_usd += usage.cost_usd or 0.0

    def on(self, report: TaskReport) -> TaskReport:
        """A report with what was used so far."""
        return msgspec.structs.replace(
            report,
            summary=self.last_text.strip(),
            turns=self.turns,
            tool_calls=self.tool_calls,
            usage=self.usage.rounded,
        )

    def since(self, earlier: "Tally") -> "Tally":
        """What was used after an earlier moment of the same session."""
        before, now = earlier.usage, self.usage
        cost = None if now.cost_usd is None or before.cost_usd is None else now.cost_usd - before.cost_usd
        usage = Usage(now.input - before.input, now.output - before.output, now.cached - before.cached, cost)
        return Tally(
            self.turns - earlier.turns,
            self.tool_calls - earlier.tool_calls,
            usage,
            self.spent_usd - earlier.spent_usd,
            self.last_text,
        )
