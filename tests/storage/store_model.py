"""A small model of a store, written without a look at its rules: what users may rely on, in plain steps."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from kugetsu.tasks import AGEING_SECONDS, MOST_CRASHES, Budget, Budgets, Task, day_of
from tasks.control_table import CASES

BUDGETS = Budgets(day=Budget(usd=8), repository=Budget(usd=5))

TABLE = {(situation, control): expected for situation, control, expected in CASES}


@dataclass
class ModelTask:
    """A task as the model sees it.

    Attributes:
        lease: generation of the run that has it, 0 for none.
        waits_for: the tasks that must be completed before.
        notes: kind and text of what no run has taken.
        touched: whether somebody had it in hand, or it was over once: its deadline is met or no longer counts.
        runs: workers of its runs.
        events: how many there are.
        told: its state when that was last told.
        aside: money that its run has set aside.
    """

    task: Task
    number: int
    queued_at: float
    available_at: float
    priority: int
    waits_for: set[str]
    state: str = "pending"
    wanted: str = ""
    lease: int = 0
    generations: list[int] = field(default_factory=list)
    worker: str = ""
    placed: bool = False
    question: bool = False
    crashes: float = 0
    touched: bool = False
    entries: list[object] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    runs: list[str] = field(default_factory=list)
    aside: float = 0.0
    events: int = 0
    told: str = ""

    @property
    def starts_by_itself(self) -> bool:
        """Whether nothing is awaited but its time, and other tasks."""
        return self.state == "pending" or (self.state == "waiting" and not self.question)

    @property
    def final(self) -> bool:
        return self.state in {"completed", "failed", "cancelled"}

    @property
    def answers(self) -> list[str]:
        return [text for kind, text in self.notes if kind == "answer"]

    @property
    def order(self) -> tuple[float, int]:
        """The stated rule: a step of priority is worth a minute of waiting; then who came first."""
        return self.queued_at - AGEING_SECONDS * self.priority, self.number

    @property
    def situation(self) -> str:
        """Its row in the table of controls."""
        match self.state:
            case "pending" if self.wanted:
                return "cancelling"
            case "pending":
                return "begun" if self.placed else "blocked" if self.waits_for else "fresh"
            case "running":
                return {"": "running", "pause": "pausing", "cancel": "aborting"}[self.wanted]
            case "waiting":
                return "asking" if self.question else "resting"
            case "paused" if self.question and not self.answers:
                return "paused_asking"
            case "paused":
                return "halted" if self.placed else "paused"
            case _:
                return self.state


class Model:
    """All tasks, and the workers that have a lease, with its end."""

    def __init__(self) -> None:
        self.tasks: dict[str, ModelTask] = {}
        self.workers: dict[str, float] = {}
        self.keys: dict[str, str] = {}
        self.used: dict[tuple[str, str], float] = {}

    def running(self, worker: str = "") -> list[ModelTask]:
        """The tasks that somebody, or this worker, has; in order of arrival."""
        return [task for task in self.tasks.values() if task.state == "running" and worker in {"", task.worker}]

    def submit(self, task: Task, number: int, now: float, key: str) -> None:
        waits_for = {name for name in task.after if self.tasks[name].state != "completed"}
        self.tasks[task.id] = ModelTask(task, number, max(now, task.start_at), task.start_at, task.priority, waits_for)
        if key:
            self.keys[key] = task.id

    def next(self, now: float, most: int, limit: int, *, closed: bool = False) -> list[str]:
        """Who is claimed now, in order; no more than `limit` of one repository run at once, and none when it is closed."""
        busy = [task.task.repo for task in self.running()]
        ready = [
            task
            for task in self.tasks.values()
            if task.starts_by_itself and not task.waits_for and task.available_at <= now
        ]
        chosen: list[str] = []
        for task in sorted(ready, key=lambda task: task.order):
            room = not closed and (not limit or busy.count(task.task.repo) < limit)
            fits = room or task.wanted == "cancel"
            if fits and len(chosen) < most:
                busy.append(task.task.repo)
                chosen.append(task.task.id)
        return chosen

    def claim(self, name: str, worker: str, generation: int, *, rewind: bool = False) -> None:
        task = self.tasks[name]
        task.state, task.worker, task.lease, task.available_at = "running", worker, generation, 0.0
        task.generations.append(generation)
        task.touched = True
        if rewind:
            task.wanted = "pause"
        else:
            task.runs.append(worker)
            task.question = False

    def expire(self, now: float) -> None:
        """Fail what was never started by its deadline."""
        for task in self.tasks.values():
            deadline = task.task.deadline_at
            if task.state == "pending" and not task.touched and 0 < deadline <= now:
                self.end(task, "failed")

    def end(self, task: ModelTask, state: str) -> None:
        """A task is over, and those that wait for it learn of it."""
        task.state, task.wanted, task.touched, task.waits_for = state, "", True, set()
        for other in self.tasks.values():
            if task.task.id in other.waits_for:
                other.waits_for.discard(task.task.id)
                if state != "completed":
                    self.end(other, "failed")
                    other.question = False

    def settle(self, task: ModelTask, state: str, *, question: bool, available_at: float) -> None:
        self._let_go(task)
        task.crashes, task.question, task.available_at = 0, question, available_at
        if state in {"completed", "failed", "cancelled"}:
            self.end(task, state)
        elif task.wanted == "cancel":
            task.state, task.available_at, task.question = "pending", 0.0, False
        elif task.wanted == "pause":
            task.state, task.wanted = "paused", ""
        else:
            task.state = state

    def lose(self, worker: str, *, died: bool, now: float) -> None:
        """A worker is gone, and its tasks with it."""
        self.workers.pop(worker, None)
        left = sorted(self.running(worker), key=lambda task: task.number)
        waits = 0.0
        for task in left:
            self._let_go(task)
            suspect_before = task.crashes > 0
            task.crashes += died and 1 / len(left)
            task.state = "pending"
            guilty = task.crashes >= MOST_CRASHES - 1e-6
            if died and suspect_before and not guilty and not task.wanted:
                task.available_at = now + waits if waits else 0.0
                waits += 1.0
            if died and guilty:
                self.end(task, "cancelled" if task.wanted == "cancel" else "failed")
                task.question = False
            elif task.wanted == "pause":
                task.state, task.wanted = "paused", ""

    def spend(self, task: ModelTask, usd: float, now: float) -> None:
        """A run used something up, and needs no more of what it had set aside."""
        where = day_of(now), task.task.repo
        self.used[where] = self.used.get(where, 0.0) + usd
        task.aside = 0.0

    def reserve(self, task: ModelTask, least: float, most: float, now: float) -> tuple[float | None, bool]:
        """How much a run may set aside, None for nothing; and whether a budget has no room whatever others do."""
        task.aside = 0.0
        left, left_later = [], []
        for budget, repos in ((BUDGETS.day, {"/x", "/y"}), (BUDGETS.repository, {task.task.repo})):
            used = sum(self.used.get((day_of(now), repo), 0.0) for repo in repos)
            aside = sum(other.aside for other in self.running() if other.task.repo in repos)
            left_later.append(budget.usd - used)
            left.append(budget.usd - used - aside)
        if min(left_later) < least or min(left_later) <= 0:
            return None, True
        wanted = min(most, *left_later)
        if wanted > min(left):
            return None, False
        task.aside = wanted
        return task.aside, False

    def control(self, task: ModelTask, control: str, text: str, now: float) -> bool:
        """Do what the table says; False when it is refused."""
        if control == "answer" and text in task.answers:
            return True
        expected = TABLE[task.situation, control]
        if expected == "-":
            return False
        before, (state, _, wanted) = task.state, expected.partition("!")
        if control in {"resume", "retry", "answer"} and before != "running":
            task.available_at = 0.0
        late = {("resume", "paused"), ("retry", "failed"), ("retry", "cancelled")}
        if (control, before) in late:
            task.queued_at = max(now, task.queued_at)
        if control == "retry" and task.final:
            task.crashes, task.question = 0, False
            task.notes.append(("retry", ""))
        if control == "answer":
            task.question = False
            task.notes.append(("answer", text))
        if control == "cancel" and before not in {"running", "cancelled"}:
            task.available_at, task.question, task.waits_for = 0.0, False, set()
        task.state, task.wanted = state, wanted
        if task.final and before != state:
            self.end(task, state)
        return True

    def hear(self, task: ModelTask, kind: str, text: str, key: str) -> None:
        if not key or key not in task.keys:
            task.notes.append((kind, text))
            task.keys |= {key} - {""}

    @staticmethod
    def _let_go(task: ModelTask) -> None:
        task.worker, task.lease, task.aside = "", 0, 0.0


def texts(notes: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Notes, without the reasons of retries, which the model does not know."""
    return [(kind, "" if kind == "retry" else text) for kind, text in notes]
