"""NUMBERS → TABLES, PICTURES: text tables for a terminal, charts as SVG, self-contained HTML pages; files in order:
table, markup, svg, page, page.css.
"""
