"""POINTS → A MAP IN ONE HTML FILE; in order: plane, data, page; regl-scatterplot.min.js draws, map.js does the rest."""
