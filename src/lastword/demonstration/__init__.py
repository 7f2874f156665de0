"""The demo: what lastword does, on what ships with it, with a report to look at."""

from lastword.demonstration.demo import demo

__all__ = ["demo"]
