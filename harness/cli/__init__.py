"""L8: Typer commands: parse, call the API, print."""

from harness.cli.app import main

__all__ = ["main"]
