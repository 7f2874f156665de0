"""`python -m lastword`: the command line."""

from lastword.cli import main

main(prog_name="lastword")
