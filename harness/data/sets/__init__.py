"""Distilled sets on disk: folders, soft labels, exports."""
