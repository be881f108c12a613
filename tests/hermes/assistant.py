"""The model of Hermes, as the tests want it: hands work over and passes words on, and repeats what it was told."""

import re

from hermes.scripted_model import Reply, Talk

NO_TOOLS = "I cannot hand that over"

_CONTROL = re.compile(r"(answer|steer|cancel|pause|resume|retry) ([a-z0-9]{10})(?:: (.*))?", re.DOTALL)
_LOOK = re.compile(r"(status|result) of ([a-z0-9]{10})")
_EACH = re.compile(r"hand over each: (.*)", re.DOTALL)


def assist(talk: Talk) -> Reply:
    """What it says: understands `answer ID: TEXT` and the like, `status of ID`, `hand over each: A; B`; hands over all else."""
    if talk.results:
        return Reply("\n".join(talk.results))
    if "kugetsu_submit" not in talk.tools:
        return Reply(NO_TOOLS)
    asked = talk.asked
    if found := _CONTROL.search(asked):
        control = {"action": found[1], "task": found[2], "text": found[3] or ""}
        return Reply(calls=[("kugetsu_control", control)])
    if found := _LOOK.search(asked):
        return Reply(calls=[(f"kugetsu_{found[1]}", {"task": found[2]})])
    jobs = found[1].split("; ") if (found := _EACH.search(asked)) else [asked]
    return Reply(calls=[("kugetsu_submit", {"prompt": job}) for job in jobs])
