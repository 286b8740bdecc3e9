"""Generators: our DiT, the diffusion process, samplers, latent cache, DiffFit and a small prior trained from scratch.

Importing this package loads no torch; import its modules by name.
"""
