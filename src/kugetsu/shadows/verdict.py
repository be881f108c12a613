"""How a run ended: "completed" is computed, not believed."""

from kugetsu.shadows.delivery import Delivery
from kugetsu.tasks import CheckResult, Outcome, TaskState


def judge(outcome: Outcome, delivery: Delivery, check: CheckResult | None) -> Outcome:
    """A run is completed only if its work is delivered and its check passes."""
    if outcome.kind != "completed":
        return outcome
    if delivery.problems:
        return Outcome("workspace", " ".join(delivery.problems))
    if check and not check.passed:
        how = check.output_tail.rpartition("\n")[2] if check.exit_code is None else f"exited with {check.exit_code}"
        return Outcome("check_failed", f"the check `{check.command}`: {how}")
    return outcome


def state_of(outcome: Outcome) -> TaskState:
    """The state that a run leaves its task in."""
    match outcome.kind:
        case "completed":
            return "completed"
        case "cancelled":
            return "cancelled"
        case _:
            return "failed"
