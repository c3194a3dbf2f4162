"""A question -> the passages that answer it. Documents in, kept in step with their sources."""
