"""The outside as the controller knows it: what is observed of a site, and the acts on it."""
