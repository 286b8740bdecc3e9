"""Tests of a method, for those who write one: `harness test method NAME`, or `harness.check_method(NAME)` in a test."""
