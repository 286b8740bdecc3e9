"""Get a suite's images: check, download, unpack."""
