"""What makes Twofold run at once, offline: sample documents, questions, and small models."""
