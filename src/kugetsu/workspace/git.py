"""git, run without anybody to ask: no prompt, no editor, no pager, no hook, no signature, no clean-up behind our back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kugetsu.errors import KugetsuError, WorkspaceError
from kugetsu.processes import Captured, capture, clean_environment
from kugetsu.workspace.failures import explain, refused_by_machine
from kugetsu.workspace.wording import printable

LOCAL_SECONDS: Final = 600.0
"""Time limit of a command on this machine; a large repository on a slow disk takes minutes."""

NETWORK_SECONDS: Final = 3600.0
"""Time limit of a fetch over the network; one that stands still ends much earlier."""

ASKING_SECONDS: Final = 120.0
"""Time limit of a question to a remote that moves no objects."""

_STALLED_SECONDS: Final = 60

_CONFIG: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.splitIndex=false",
    # What we store survives a power cut; all objects of a command are flushed at once (git 2.36 and newer).
    "core.fsync=loose-object",
    "core.fsyncMethod=batch",
    "core.safecrlf=false",  # it would refuse to save files with mixed line ends
    "commit.gpgSign=false",
    "log.showSignature=false",
    "i18n.commitEncoding=UTF-8",
    "gc.auto=0",
    "maintenance.auto=false",
    "safe.bareRepository=all",  # the user named it
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "protocol.version=2",
    "credential.interactive=false",
    # Four writers of files take a third of the time of one on a busy disk, and a tenth more on an idle one.
    "checkout.workers=4",
    "checkout.thresholdForParallelism=500",
    f"http.lowSpeedTime={_STALLED_SECONDS}",
    "http.lowSpeedLimit=1",
    # Large files stay pointers, whether git-lfs is installed or not.
    "filter.lfs.process=",
    "filter.lfs.smudge=",
    "filter.lfs.clean=",
    "filter.lfs.required=false",
)

SET_ALWAYS: Final = frozenset(setting.partition("=")[0].lower() for setting in _CONFIG)
"""Settings that no command here takes from the user, in lower case."""

_VARIABLES: Final[Mapping[str, str]] = {
    "GCM_INTERACTIVE": "never",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_DEFAULT_REF_FORMAT": "files",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",  # what one user reads instead of a commit is not what is in it
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}

_WHERE_CONFIG_IS: Final = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM")

_FOR_REMOTES: Final = (
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "GIT_CONFIG_COUNT",
    "GIT_PROXY_COMMAND",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_CERT",
    "GIT_SSL_KEY",
    "GIT_SSL_NO_VERIFY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "SSH_AUTH_SOCK",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
"""What reaches remotes and may hold secrets: for the user's repository and for remotes, never near an agent's files."""


class Git:
    """Runs git in one place.

    Args:
        cwd: directory to run in; git finds the repository from there.
        env: environment of the commands.
        place: the path or URL that messages name.
    """

    def __init__(self, cwd: Path, env: Mapping[str, str], place: str) -> None:
        self.cwd = cwd
        self.place = place
        self._env = env

    def at(self, cwd: Path, variables: Mapping[str, str | Path]) -> "Git":
        """The same git in another directory, with more variables in its environment."""
        return Git(cwd, {**self._env, **{name: str(value) for name, value in variables.items()}}, self.place)

    async def ask(
        self, *arguments: str | Path, stdin: bytes = b"", seconds: float = LOCAL_SECONDS, remote: bool = False
    ) -> Captured:
        """Run git, however it ends.

        Raises:
            WorkspaceError: git could not be started (it is missing, for example), or took too long.
        """
        argv = ("git", *(part for value in _CONFIG for part in ("-c", value)), *arguments)
        try:
            return await capture(argv, cwd=self.cwd, env=self._env, stdin=stdin, seconds=seconds)
        except TimeoutError as error:
            raise self._too_slow(str(arguments[0]), seconds, remote=remote) from error
        except OSError as error:
            raise self._not_started(error) from error

    async def run(
        self, *arguments: str | Path, stdin: bytes = b"", seconds: float = LOCAL_SECONDS, remote: bool = False
    ) -> bytes:
        """Run git and return what it printed.

        Raises:
            RepositoryError: it failed for a reason that lies in the repository or its remote.
            WorkspaceError: it failed for any other reason.
        """
        done = await self.ask(*arguments, stdin=stdin, seconds=seconds, remote=remote)
        if done.code:
            raise self.failure(done, str(arguments[0]), remote=remote)
        return done.stdout

    async def resolve(self, *names: str) -> list[str]:
        """The id of the commit or tree that each name stands for (`NAME^{commit}`, `NAME^{tree}`); empty without one.

        Raises:
            RepositoryError, WorkspaceError: as `run`.
        """
        asked = "".join(f"{name}\n" for name in names).encode(errors="surrogateescape")
        answers = await self.run("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked)
        found = [line.rpartition(b" ") for line in answers.splitlines()]
        return [name.decode() if kind in {b"commit", b"tree"} else "" for name, _, kind in found]

    def failure(self, done: Captured, command: str, *, remote: bool = False) -> KugetsuError:
        """The error for a command that failed."""
        printed = done.stderr or f"it ended with code {done.code} and gave no reason".encode()
        return explain(printed, command, self.place, directory=printable(self.cwd), remote=remote)

    def _too_slow(self, command: str, seconds: float, *, remote: bool) -> WorkspaceError:
        fix = "check the network" if remote else "the machine or its disk may be overloaded"
        return WorkspaceError(f"`git {command}` took longer than {seconds:g} seconds in {self.place}", fix=fix)

    def _not_started(self, error: OSError) -> WorkspaceError:
        if isinstance(error, FileNotFoundError) and error.filename == "git":
            return WorkspaceError(
                "git is not installed, or not on the PATH", fix="install git, then run kugetsu doctor"
            )
        return refused_by_machine(error, "run git")


def agent_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """For commands on an agent's files: nothing in it that an agent may not know."""
    return clean_environment(environ, allow=_WHERE_CONFIG_IS, extra=_VARIABLES)


def user_environment(environ: Mapping[str, str], config: Mapping[str, str] | None = None) -> dict[str, str]:
    """For commands on the user's repository and on remotes: with what git needs to be let in.

    Args:
        environ: the user's own environment.
        config: git settings, handed over where the process list does not show them.
    """
    numbered = [name for name in environ if name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"))]
    env = clean_environment(environ, allow=(*_WHERE_CONFIG_IS, *_FOR_REMOTES, *numbered), extra=_VARIABLES)
    given = env.get("GIT_CONFIG_COUNT", "")
    count = int(given) if given.isdecimal() else 0
    for number, (name, value) in enumerate((config or {}).items(), start=count):
        env |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return env | {"GIT_CONFIG_COUNT": str(count + len(config or {}))}
