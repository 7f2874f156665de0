"""NUMBERS → PICTURES: charts as SVG, and pages that need nothing else; files in that order.

svg.py draws, page.py puts what is drawn into one HTML file, page.css is how all pages look.
"""
