"""Measures what the other rooms build: answers, routes, and how sure we are of each figure."""
