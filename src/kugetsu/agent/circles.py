"""What is done about an agent that goes round in circles: it is told, and in the end its task pauses."""

from kugetsu.config import LoopSettings
from kugetsu.errors import LimitReachedError
from kugetsu.messages import UserMessage, user
from kugetsu.sessions import Circling


def check_circling(circling: Circling, settings: LoopSettings) -> UserMessage | None:
    """Look at a turn that was just closed; returns what the agent must be told, if anything.

    Raises:
        LimitReachedError: it was told, and goes on all the same.
    """
    same, idle = settings.same_calls, settings.turns_without_change
    if same and circling.most >= 2 * same:
        raise LimitReachedError(
            "loop",
            f"the same {circling.name} call gave the same result {circling.most} times, and no file changed meanwhile "
            f"(loops.same_calls = {same})",
            fix="`kugetsu steer ID TEXT` says what to do instead, `kugetsu resume ID` lets it go on",
        )
    if same and circling.most == same:
        return user(
            f"You have made the same {circling.name} call {same} times since a file last changed, and each time the result "
            "was the same. Making it again will not help. Do something else, or say what keeps you from it.",
            "notice",
        )
    if idle and circling.turns and circling.turns % idle == 0:
        return user(
            f"Nothing in the worktree has changed for {circling.turns} turns. If the task needs changes, make them now; if "
            "you know all that you need, come to an end; if something keeps you from it, say what.",
            "notice",
        )
    return None
