"""Settings: what they are, where they come from, and the providers that need none."""

from kugetsu.config.bounds import (
    BudgetSettings,
    ContextSettings,
    DiskSettings,
    LogFormat,
    LogLevel,
    LogSettings,
    LoopSettings,
    MachineSettings,
)
from kugetsu.config.gateway import (
    DEFAULT_PORT,
    HookEvent,
    HttpSettings,
    ProjectSettings,
    RuleSettings,
    SourceKind,
    TargetSettings,
    WebhookSettings,
)
from kugetsu.config.loading import Loaded, describe, load_settings
from kugetsu.config.paths import CONFIG_NAME, prepare_home, repository_top, state_home, user_config_file
from kugetsu.config.presets import PRESETS
from kugetsu.config.settings import (
    ModelSettings,
    Price,
    ProviderSettings,
    QueueSettings,
    RetrySettings,
    Settings,
    ToolSettings,
    Wire,
    WorkspaceSettings,
)

__all__ = [
    "CONFIG_NAME",
    "DEFAULT_PORT",
    "PRESETS",
    "BudgetSettings",
    "ContextSettings",
    "DiskSettings",
    "HookEvent",
    "HttpSettings",
    "Loaded",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "LoopSettings",
    "MachineSettings",
    "ModelSettings",
    "Price",
    "ProjectSettings",
    "ProviderSettings",
    "QueueSettings",
    "RetrySettings",
    "RuleSettings",
    "Settings",
    "SourceKind",
    "TargetSettings",
    "ToolSettings",
    "WebhookSettings",
    "Wire",
    "WorkspaceSettings",
    "describe",
    "load_settings",
    "prepare_home",
    "repository_top",
    "state_home",
    "user_config_file",
]
