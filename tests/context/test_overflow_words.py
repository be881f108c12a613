"""How providers say that a conversation does not fit. Each wording stands here once, with the numbers in it."""

import pytest

from kugetsu.context import Overflow, read_overflow

WORDINGS = [
    # OpenAI
    (
        (
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 140213 tokens. Please reduce "
            "the length of the messages."
        ),
        128_000,
        140_213,
    ),
    (
        (
            "This model's maximum context length is 128000 tokens. However, you requested 138000 tokens (130000 in the messages, "
            "8000 in the completion). Please reduce the length of the messages or completion."
        ),
        128_000,
        130_000,
    ),
    (
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300005 tokens.",
        272_000,
        300_005,
    ),
    ("Your input exceeds the context window of this model. Please adjust your input and try again.", 0, 0),
    # Anthropic
    ("prompt is too long: 212345 tokens > 200000 maximum", 200_000, 212_345),
    ("prompt is too long: 1,012,345 tokens > 1,000,000 maximum", 1_000_000, 1_012_345),
    (
        (
            "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or `max_tokens` "
            "and try again"
        ),
        200_000,
        188_240,
    ),
    # OpenRouter
    (
        (
            "This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens (130000 of text "
            "input, 9500 of tool input, 500 in the output). Please reduce the length of either one."
        ),
        131_072,
        130_000,
    ),
    # llama.cpp
    ("the request exceeds the available context size, try increasing it", 0, 0),
    ("request (9012 tokens) exceeds the available context size (4096 tokens), try increasing it", 4_096, 9_012),
    ("n_ctx=4096 n_prompt_tokens=9012 the request exceeds the available context size", 4_096, 9_012),
    # vLLM
    (
        (
            "This model's maximum context length is 32768 tokens. However, you requested 40960 tokens (32769 in the messages, 8191 "
            "in the completion)."
        ),
        32_768,
        32_769,
    ),
    (
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length is 32768 tokens and "
            "your request has 30000 input tokens (8192 > 32768 - 30000)."
        ),
        32_768,
        30_000,
    ),
    ("The decoder prompt (length 40001) is longer than the maximum model length of 32768.", 32_768, 40_001),
    (
        (
            "You passed 40001 input tokens and requested 8192 output tokens. However, the model's context length is only 32768 "
            "tokens."
        ),
        32_768,
        40_001,
    ),
    # Ollama, LM Studio
    ("the input length exceeds the context length", 0, 0),
    (
        (
            "Trying to keep the first 9012 tokens when context the overflows. However, the model is loaded with context length of "
            "only 4096 tokens, which is not enough."
        ),
        4_096,
        9_012,
    ),
    # Gemini
    (
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        1_048_576,
        1_200_000,
    ),
    ("The input token count exceeds the maximum number of tokens allowed 1048576.", 1_048_576, 0),
    # Groq
    (
        (
            "Request too large for model `llama-3.3-70b-versatile` in organization `org_1` service tier `on_demand` on tokens per "
            "minute (TPM): Limit 12000, Requested 15400, please reduce your message size and try again."
        ),
        12_000,
        15_400,
    ),
    ("Please reduce the length of the messages or completion.", 0, 0),
    # Mistral
    (
        "Prompt contains 140000 tokens and 0 draft tokens, too large for model with 131072 maximum context length",
        131_072,
        140_000,
    ),
    # xAI, DeepSeek, Moonshot
    (
        "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
        131_072,
        140_000,
    ),
    (
        (
            "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens (66000 in the messages, 4000 "
            "in the completion)."
        ),
        65_536,
        66_000,
    ),
    ("Invalid request: Your request exceeded model token limit: 131072 (requested: 140000)", 131_072, 140_000),
    # Copilot, Cohere, Cerebras, Fireworks
    ("prompt token count of 140000 exceeds the limit of 128000", 128_000, 140_000),
    (
        "too many tokens: total number of tokens in the prompt cannot exceed 128000 - received 140000.",
        128_000,
        140_000,
    ),
    (
        "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
        8_192,
        9_000,
    ),
    ("The prompt is too long: 140000, model maximum context length: 131071", 131_071, 140_000),
    # SGLang, text-generation-inference, Qwen
    ("The input (40000 tokens) is longer than the model's context length (32768 tokens).", 32_768, 40_000),
    (
        (
            "Requested token count exceeds the model's maximum context length of 32768 tokens. You requested a total of 40960 "
            "tokens: 32769 tokens from the input messages and 8191 tokens for the completion."
        ),
        32_768,
        32_769,
    ),
    (
        "`inputs` tokens + `max_new_tokens` must be <= 8193. Given: 8000 `inputs` tokens and 512 `max_new_tokens`",
        8_193,
        8_000,
    ),
    ("Range of input length should be [1, 129024]", 129_024, 0),
    # MiniMax: a number of something else. Others say none.
    ("invalid params, context window exceeds limit (2013)", 0, 0),
    ("Prompt exceeds max length", 0, 0),
    ("Input is too long for requested model.", 0, 0),
]


@pytest.mark.parametrize(("words", "window", "prompt"), WORDINGS, ids=[words[:40] for words, _, _ in WORDINGS])
def test_the_numbers_are_read_out_of_a_providers_words(words: str, window: int, prompt: int) -> None:
    assert read_overflow(words) == Overflow(window, prompt)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "maximum context length is 3 tokens",
        "maximum context length is 99999999999 tokens",
        "x" * 100_000,
        "9" * 5000,
    ],
)
def test_numbers_that_are_no_windows_are_not_believed(words: str) -> None:
    assert read_overflow(words) == Overflow()
