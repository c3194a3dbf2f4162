"""A question -> retrieval, the fine-tuned model, or both."""
