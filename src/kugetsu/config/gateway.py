"""Settings of the gateway: where it listens, who may start tasks from outside, and who hears what becomes of them."""

import re
from typing import Final, Literal

import msgspec

from kugetsu.config.bounds import require_not_negative
from kugetsu.tasks import MOST_PRIORITY, TaskState, require_reply_to

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_PORT: Final = 65_535
_MIME_SPACE: Final = " \t\r\n"
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?(?::\d{1,5})?", re.ASCII)

PLACEHOLDER: Final = re.compile(r"\{([a-z][a-z0-9_]{0,31})\}")
"""What a target's address may have in its path or query: a name of a task's `reply_to`."""

_ADDRESS: Final = re.compile(r"https?://[^/?#\s]+(?P<rest>[/?][^\s\x00-\x1f\x7f]*)?")

DEFAULT_PORT: Final = 8787
"""Where `kugetsu serve` listens unless it is told otherwise."""


def require_names(field: str, names: object) -> None:
    """Look at names that users give to sources and targets, which stand in addresses.

    Raises:
        ValueError: one cannot stand there.
    """
    for name in names if isinstance(names, dict) else ():
        if not _NAME.fullmatch(name):
            raise ValueError(f"`{field}` has the name {name!r}: use a-z, 0-9, `-` and `_`, at most 64 characters")


def _require_secret(secret: str, variable: str) -> None:
    # The values may be secrets: no message repeats one.
    if secret and variable:
        raise ValueError("`secret` and `secret_env` exclude each other")
    if variable and not _VARIABLE.fullmatch(variable):
        raise ValueError("`secret_env` must be the name of a variable; the secret itself belongs in `secret`")


def _require_address(url: str) -> None:
    # It may hold a secret: no message repeats it.
    if not url.startswith(("http://", "https://")):
        raise ValueError("`url` must begin with http:// or https://")
    if (found := _ADDRESS.fullmatch(url)) is None:
        raise ValueError("`url` must be a whole address, without spaces")
    rest = found["rest"] or ""
    host, plain = url.removesuffix(rest), PLACEHOLDER.sub("", rest)
    if "{" in host or "}" in host:
        raise ValueError("`url` can have placeholders in its path and query only: who is called is for you to say")
    if "{" in plain or "}" in plain:
        raise ValueError("`url` has a `{` or `}` that belongs to no name of `reply_to` (a-z, 0-9 and `_`)")


class HttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where `kugetsu serve` listens, and how much it takes from whom.

    Attributes:
        enabled: listen at all. Default true; with `--until-idle` only when a port is named there.
        host: address to listen on. Default `127.0.0.1`. Any other needs a token (`kugetsu token add`).
        port: default 8787. 0: any free one, which the log names.
        body_kb: largest body of a request. Default 1,024.
        requests_per_minute: of one token, or of one address without a token. Default 6,000. 0: no limit.
        failures_per_minute: requests of one address with a wrong token or signature; after that only a right token is looked at. Default 30.
        streams: clients that follow events at the same time. Default 1,000.
        stream_seconds: a client that takes nothing for so long is dropped. Default 10.
        public_url: how users reach it through their proxy; only for links. Default: none.
        trusted_proxies: addresses whose `X-Forwarded-For` says where a request came from. Default none.
        hosts: names under which it may be called beside its address and `localhost`, against DNS rebinding. Default none;
            `*` for any. The name in `public_url` is always taken.
    """

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    body_kb: int = 1024
    requests_per_minute: int = 6000
    failures_per_minute: int = 30
    streams: int = 1000
    stream_seconds: float = 10.0
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_not_negative(self, "requests_per_minute")
        if not 0 <= self.port <= _MOST_PORT:
            raise ValueError(f"`port` must be from 0 (any free one) to {_MOST_PORT}, got {self.port}")
        for field in ("body_kb", "failures_per_minute", "streams"):
            if (value := getattr(self, field)) < 1:
                raise ValueError(f"`{field}` must be 1 or more, got {value}")
        if not self.stream_seconds > 0:
            raise ValueError(f"`stream_seconds` must be above 0, got {self.stream_seconds:g}")
        if not self.host or any(character in self.host for character in _MIME_SPACE):
            raise ValueError(f"`host` must be an address or a name, got {self.host!r}")


class ProjectSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a repository that issues name, as `host/owner/repo`.

    Attributes:
        repo: path or URL where tasks on it work. Default: `https://host/owner/repo`.
        model: of tasks that name none. Default: as set for all.
        check: of tasks that name none. Default: as set for all.
        notify: names of targets that hear of all its tasks.
    """

    repo: str = ""
    model: str = ""
    check: str = ""
    notify: tuple[str, ...] = ()


SourceKind = Literal["generic", "github", "gitea"]
"""How a source signs and what it sends; `gitea` is for Forgejo too."""

HookEvent = Literal["issue_opened", "issue_labelled", "comment", "review_comment", "check_failed", "task"]
"""What a source tells. `comment`: one that begins with `/kugetsu`. `task`: what a generic source sends."""


PROMPT_NAMES: Final = frozenset(
    {
        "actor",
        "author",
        "body",
        "branch",
        "check",
        "commit",
        "issue",
        "label",
        "number",
        "path",
        "repository",
        "text",
        "title",
        "url",
    }
)
"""What a rule's prompt may name."""

PROMPT_NAME: Final = re.compile(r"\{\{([a-z_]+)\}\}|\{([a-z_]+)\}")
"""A name in a rule's prompt, which stands for a value; in two pairs of braces it stands for itself in one."""


class RuleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When something that a source tells starts a task, and who may give commands. The first rule that fits counts.

    Attributes:
        on: what it is for; empty for everything.
        repositories: patterns (`owner/*`) of what it is for; empty for every repository. A generic source may name a `repo`
            only where one of these fits it.
        labels: one of these must be on the issue; for `issue_labelled` it must be the one that was added. Empty: any.
        authors: who may start a task so; `*` for anybody who is no program. Default: nobody.
        prompt: the task; empty for one that fits the event. `{title}`, `{body}`, `{issue}` (both), `{text}` (what follows
            `/kugetsu`, or what a generic source sends), `{author}` (of the issue), `{actor}` (who opened, labelled or
            commented), `{number}`, `{url}`, `{repository}`, `{label}`, `{path}`, `{check}`, `{branch}` and `{commit}` are
            filled in; `{{name}}` is `{name}`.
        repo: where to work; empty for the project of the repository.
        model: empty for the project's.
        check: empty for the project's.
        priority: -100 to 100. Default 0. A generic source may ask for less.
        reply_to: who hears what becomes of it, see `Task`. A generic source may add what is not named here, but `target`.
    """

    on: tuple[HookEvent, ...] = ()
    repositories: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    prompt: str = ""
    repo: str = ""
    model: str = ""
    check: str = ""
    priority: int = 0
    reply_to: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not -MOST_PRIORITY <= self.priority <= MOST_PRIORITY:
            raise ValueError(f"`priority` must be from -{MOST_PRIORITY} to {MOST_PRIORITY}, got {self.priority}")
        require_reply_to(self.reply_to)
        for found in PROMPT_NAME.finditer(self.prompt):
            if (name := found[2]) and name not in PROMPT_NAMES:
                raise ValueError(
                    f"`prompt` has {{{name}}}, which stands for nothing: use {', '.join(sorted(PROMPT_NAMES))}, or write "
                    f"{{{{{name}}}}} if it is meant as it stands"
                )


class WebhookSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who may tell us things, at `/webhooks/NAME`.

    Attributes:
        kind: how it signs and what it sends. Default `generic`.
        secret: shared with it; better is `secret_env`. One of both is needed.
        secret_env: name of the environment variable that holds it.
        host: of the repositories it tells of. Default: `github.com`; for `gitea` where the repository's address points to,
            and then only what a rule or a project says is worked on.
        tolerance_seconds: how old a signed timestamp may be (generic). Default 300.
        ignore: accounts that are never heard, such as the one under which agents comment. Default none.
        rules: what starts a task; nothing does without one.
    """

    kind: SourceKind = "generic"
    secret: str = ""
    secret_env: str = ""
    host: str = ""
    tolerance_seconds: float = 300.0
    ignore: tuple[str, ...] = ()
    rules: tuple[RuleSettings, ...] = ()

    def __post_init__(self) -> None:
        _require_secret(self.secret, self.secret_env)
        if not self.tolerance_seconds > 0:
            raise ValueError(f"`tolerance_seconds` must be above 0, got {self.tolerance_seconds:g}")
        if self.host and not _HOST.fullmatch(self.host.lower()):
            raise ValueError(
                f"`host` must be a name such as `forge.example.org:3000`, without a path; got {self.host!a}"
            )

    def __repr__(self) -> str:
        """Shows no secret."""
        return f"WebhookSettings(kind={self.kind!r}, ...)"


TargetKind = Literal["webhook", "command", "none"]
"""How news go out: a signed POST, a command that gets them on stdin, or not at all."""


class TargetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who hears what becomes of tasks: those that name it in `reply_to`, those of its projects, or all.

    Attributes:
        kind: how. Default `webhook`.
        url: where to; `{platform}` and other names of `reply_to` in its path or query are filled in (webhook).
        secret: signs the body; better is `secret_env`. Empty: it is not signed.
        secret_env: name of the environment variable that holds it.
        command: arguments of the program that gets the news as JSON on stdin (command).
        all: hear of every task. Default false.
        states: which changes. Default: `waiting`, `paused`, `completed`, `failed`, `cancelled`.
        timeout_seconds: how long one attempt may take. Default 30.
        expire_hours: after so long it is given up. Default 72.
    """

    kind: TargetKind = "webhook"
    url: str = ""
    secret: str = ""
    secret_env: str = ""
    command: tuple[str, ...] = ()
    all: bool = False
    states: tuple[TaskState, ...] = ("waiting", "paused", "completed", "failed", "cancelled")
    timeout_seconds: float = 30.0
    expire_hours: float = 72.0

    def __post_init__(self) -> None:
        _require_secret(self.secret, self.secret_env)
        if self.kind == "webhook":
            _require_address(self.url)
        if self.kind == "command" and not self.command:
            raise ValueError("`command` must name a program and its arguments")
        for field in ("timeout_seconds", "expire_hours"):
            if not getattr(self, field) > 0:
                raise ValueError(f"`{field}` must be above 0, got {getattr(self, field):g}")

    def __repr__(self) -> str:
        """Shows nothing that may hold a secret."""
        return f"TargetSettings(kind={self.kind!r}, ...)"
