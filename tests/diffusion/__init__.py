"""Tests of harness/diffusion."""
