"""What targets need to be used, and what is missing."""

import shutil
from collections.abc import Iterator, Mapping

from kugetsu.config import Settings, TargetSettings
from kugetsu.errors import ConfigError


def secret_of(target: TargetSettings, environ: Mapping[str, str]) -> str:
    """What a target's news are signed with; empty when they are not signed.

    Raises:
        ConfigError: the variable that holds it is not there.
    """
    if not target.secret_env:
        return target.secret
    if not (secret := environ.get(target.secret_env, "")):
        raise ConfigError(f"the variable {target.secret_env}, which holds its secret, is not set")
    return secret


def problems(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """What keeps news from going out, one sentence each. Nothing is sent; the search path is looked at."""
    return list(_problems(settings, environ))


def _problems(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    for name, target in settings.notify.items():
        if target.kind == "webhook":
            try:
                secret_of(target, environ)
            except ConfigError as error:
                yield f"notify.{name}: {error}; its news wait"
        if target.kind == "command" and shutil.which(target.command[0], path=environ.get("PATH")) is None:
            yield f"notify.{name}: the program {target.command[0]!a} is not there; its news wait"
    for project, known in settings.projects.items():
        for name in known.notify:
            if name not in settings.notify:
                yield f"projects.{project}: no target {name} is set up; its news wait"
