"""How long each step of a search takes, at any size of corpus, beside what others would use."""
