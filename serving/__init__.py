"""Composes retrieval, router and adapters into answers: prompts, generators, HTTP, page, CLI."""
