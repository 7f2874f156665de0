"""The command line: parsing and printing only. Every command calls the function of the same name."""

from lastword.cli.main import main

__all__ = ["main"]
