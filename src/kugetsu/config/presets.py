"""Providers that need no configuration but a key."""

from typing import Final

from kugetsu.config.settings import ProviderSettings

PRESETS: Final[dict[str, ProviderSettings]] = {
    "openrouter": ProviderSettings(base_url="https://openrouter.ai/api/v1", api_key_env="OPENROUTER_API_KEY"),
    "openai": ProviderSettings(base_url="https://api.openai.com/v1", api_key_env="OPENAI_API_KEY"),
    "anthropic": ProviderSettings(
        wire="anthropic", base_url="https://api.anthropic.com", api_key_env="ANTHROPIC_API_KEY"
    ),
    "deepseek": ProviderSettings(
        base_url="https://api.deepseek.com/v1", api_key_env="DEEPSEEK_API_KEY", reasoning_field="reasoning_content"
    ),
    "groq": ProviderSettings(base_url="https://api.groq.com/openai/v1", api_key_env="GROQ_API_KEY"),
    "gemini": ProviderSettings(
        base_url="https://generativelanguage.googleapis.com/v1beta/openai", api_key_env="GEMINI_API_KEY"
    ),
    "ollama": ProviderSettings(base_url="http://127.0.0.1:11434/v1"),
    "vllm": ProviderSettings(base_url="http://127.0.0.1:8000/v1"),
    "lmstudio": ProviderSettings(base_url="http://127.0.0.1:1234/v1"),
}
"""By name, with the variable that holds the key; the last three run on this machine and need none."""
