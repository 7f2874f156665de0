#!/usr/bin/env bash
# Bundles regl-scatterplot, which draws the points of map.html, into one file: bash tools/map/build.sh (needs npm).
set -euo pipefail
map=$(cd "$(dirname "$0")/../../src/lastword/corpus/map" && pwd)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
npm init -y >/dev/null
npm install --silent regl-scatterplot@1.16.0 esbuild@0.28.2
echo "export { default as createScatterplot } from 'regl-scatterplot';" > entry.js
head -1 "$map/regl-scatterplot.min.js" > bundle.js  # versions and where the licences are
npx esbuild entry.js --bundle --minify --format=iife --global-name=regl_scatterplot --legal-comments=none >> bundle.js
mv bundle.js "$map/regl-scatterplot.min.js"
