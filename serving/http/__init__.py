"""The outside: OpenAI-compatible HTTP over the assistant."""
