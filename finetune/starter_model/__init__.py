"""Trains the starter language model: its data, its tokenizer, its weights, and what it can do."""
