"""Messages and the tickets they become, as examples to train an adapter that answers in JSON."""
