"""L1: what everything else builds on; imports nothing of the harness, and no torch at import."""
