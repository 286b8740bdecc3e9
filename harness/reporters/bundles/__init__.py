"""Bundles: a run as one file to send, and what somebody sent read as data."""
