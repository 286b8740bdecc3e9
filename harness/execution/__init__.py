"""Where jobs run: in this process or on Ray. Same plan, same results."""

from __future__ import annotations

EXECUTORS = ("ray", "local")
