"""NUMBERS → PICTURES: charts as SVG, and self-contained HTML pages; files in order: markup, svg, page, page.css."""
