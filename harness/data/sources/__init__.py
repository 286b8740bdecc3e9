"""Real images by kind of source."""
