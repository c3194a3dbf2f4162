"""Examples -> adapters: the training of the models that Twofold ships."""
