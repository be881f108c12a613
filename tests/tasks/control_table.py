"""What each control does to a task in each situation, written out by hand: the states it leads to, or a refusal.

`pending!cancel` is the state `pending` while a cancel is wanted; `-` is a refusal. The answer of the table is one to a
question that was answered otherwise already in the situations that say `answered`.
"""

from typing import Final

from kugetsu.tasks import Answer, Cancel, Control, Pause, Prioritise, Resume, Retry, Say

CONTROLS: Final[dict[str, Control]] = {
    "cancel": Cancel("no more need"),
    "pause": Pause("not now"),
    "resume": Resume(),
    "retry": Retry(),
    "say": Say("look at the tests too", key="said once"),
    "answer": Answer("the blue one"),
    "prioritise": Prioritise(7),
}

_TABLE: Final = """
                  cancel          pause          resume   retry    say      answer   prioritise
fresh             cancelled       paused         pending  pending  pending  -        pending
delayed           cancelled       paused         pending  pending  pending  -        pending
blocked           cancelled       paused         pending  pending  pending  -        pending
begun             pending!cancel  paused         pending  pending  pending  -        pending
answered          pending!cancel  paused         pending  pending  pending  -        pending
cancelling        pending!cancel  -              -        -        -        -        pending!cancel
running           running!cancel  running!pause  running  -        running  -        running
pausing           running!cancel  running!pause  running  -        running!pause  -  running!pause
aborting          running!cancel  -              -        -        -        -        running!cancel
asking            pending!cancel  paused         -        -        waiting  pending  waiting
resting           pending!cancel  paused         pending  -        waiting  -        waiting
paused            cancelled       paused         pending  -        paused   -        paused
halted            pending!cancel  paused         pending  -        paused   -        paused
paused_asking     pending!cancel  paused         waiting  -        paused   paused   paused
paused_answered   pending!cancel  paused         pending  -        paused   -        paused
completed         -               -              -        -        -        -        -
failed            -               -              -        pending  -        -        -
cancelled         cancelled       -              -        pending  -        -        -
"""

_HEAD, *_ROWS = (line.split() for line in _TABLE.strip().splitlines())

SITUATIONS: Final = tuple(row[0] for row in _ROWS)
CASES: Final = [
    (situation, control, expected)
    for situation, *cells in _ROWS
    for control, expected in zip(_HEAD, cells, strict=True)
]
