"""The demo: the main job on the bundled model and data, with a report.

demo.py does the work and returns a result.py; findings.py compares the scores, flat_map.py draws texts in the plane,
report.py and report.js are the page.
"""

from lastword.demonstration.demo import demo
from lastword.demonstration.result import DemoResult

__all__ = ["DemoResult", "demo"]
