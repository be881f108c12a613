"""Settings: what they are, where they come from, and the providers that need none."""

from kugetsu.config.presets import PRESETS
from kugetsu.config.settings import (
    ModelSettings,
    Price,
    ProviderSettings,
    RetrySettings,
    Settings,
    ToolSettings,
    Wire,
    WorkspaceSettings,
)

__all__ = [
    "PRESETS",
    "ModelSettings",
    "Price",
    "ProviderSettings",
    "RetrySettings",
    "Settings",
    "ToolSettings",
    "Wire",
    "WorkspaceSettings",
]
