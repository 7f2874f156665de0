"use strict";
// The map: points by regl-scatterplot, everything else here. Texts enter the page as text, never as HTML.

const MOST_LISTED = 300, TEXTS_AS_LABELS = 40, FAMILIES_UP_TO = 1.8, RAMP_STEPS = 64;
const root = document.getElementById("map");
const number = new Intl.NumberFormat();

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function decoded(text, Type) {
  return new Type(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer);
}

async function readData() {
  const packed = decoded(document.getElementById("data").textContent, Uint8Array);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const data = JSON.parse(await new Response(stream).text());
  const places = decoded(data.points, Uint16Array);
  data.count = data.texts.length;
  data.x = Float32Array.from({ length: data.count }, (_, i) => (places[2 * i] / 65535) * 1.9 - 0.95);
  data.y = Float32Array.from({ length: data.count }, (_, i) => (places[2 * i + 1] / 65535) * 1.9 - 0.95);
  for (const column of data.columns) {
    column.values = decoded(column.values, column.kind === "numbers" ? Float32Array : Int32Array);
    if (column.kind === "categories") {
      column.counts = new Array(column.categories.length).fill(0);
      for (const code of column.values) column.counts[code] += 1;
    }
  }
  return data;
}

function hex(lightness, chroma, hue) { // OKLCH, whose colours of one lightness look equally light
  const a = chroma * Math.cos((hue * Math.PI) / 180), b = chroma * Math.sin((hue * Math.PI) / 180);
  const [l, m, s] = [[0.3963377774, 0.2158037573], [-0.1055613458, -0.0638541728], [-0.0894841775, -1.291485548]]
    .map(([p, q]) => (lightness + p * a + q * b) ** 3);
  return "#" + [[4.0767416621, -3.3077115913, 0.2309699292], [-1.2684380046, 2.6097574011, -0.3413193965],
    [-0.0041960863, -0.7034186147, 1.707614701]].map(([p, q, r]) => {
    const linear = Math.min(1, Math.max(0, p * l + q * m + r * s));
    const value = linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
    return Math.round(255 * value).toString(16).padStart(2, "0");
  }).join("");
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function categoryColours(categories) {
  const colours = Array.from({ length: 10 }, (_, i) => variable(`--c${i}`));
  if (categories.length > 10) colours.push(...furtherColours([...colours, variable("--paper"), variable("--rest")], categories.length - 10));
  return categories.map((category, i) => ["unclustered", "none", "others"].includes(category) ? variable("--rest") : colours[i]);
}

function furtherColours(taken, count) { // each is as unlike all before it as can be
  const channels = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const distance = (one, other) => [2, 4, 3].reduce((sum, weight, i) => sum + weight * (one[i] - other[i]) ** 2, 0);
  const candidates = [];
  for (const lightness of dark.matches ? [0.58, 0.68, 0.78, 0.88] : [0.38, 0.48, 0.58, 0.68])
    for (const chroma of [0.06, 0.11, 0.16])
      for (let hue = 0; hue < 360; hue += 12) candidates.push(hex(lightness, chroma, hue));
  const points = candidates.map(channels), colours = [];
  const nearest = points.map((point) => Math.min(...taken.map((colour) => distance(point, channels(colour)))));
  for (let n = 0; n < count; n += 1) {
    const best = nearest.indexOf(Math.max(...nearest));
    colours.push(candidates[best]);
    points.forEach((point, i) => { nearest[i] = Math.min(nearest[i], distance(point, points[best])); });
  }
  return colours;
}

function rampColours() {
  return Array.from({ length: RAMP_STEPS }, (_, i) => {
    const share = i / (RAMP_STEPS - 1);
    return hex(dark.matches ? 0.45 + 0.45 * share : 0.85 - 0.5 * share, 0.12, 290 - 190 * share);
  });
}

function start(data) {
  const state = { column: data.columns[0], hidden: null, listed: [], colours: [] };
  let drawing = Promise.resolve();
  const lowered = [];  // texts in lower case, made by the first search
  const plot = element("div", { id: "plot" });
  const canvas = element("canvas", { tabindex: "0", "aria-label": `map of ${data.count} texts` });
  const names = element("div", { id: "names" });
  const tip = element("div", { id: "tip", hidden: "" });
  const search = element("input", { type: "search", placeholder: "Search texts", "aria-label": "Search texts" });
  const colour = element("select", { "aria-label": "Colour by" });
  const lasso = element("button", { "aria-pressed": "false", title: "or hold Shift and draw" }, "Lasso");
  const whole = element("button", {}, "Whole map");
  const legend = element("div", { id: "legend" }), texts = element("div", { id: "texts" });
  for (const column of data.columns) colour.append(element("option", {}, `Colour: ${column.name}`));
  const shown = data.total > data.count ? `${number.format(data.count)} of ${number.format(data.total)}` : number.format(data.count);
  root.append(
    element("div", { id: "bar" }, element("h1", {}, data.title, element("span", {}, `${shown} texts, by ${data.way}`)), search, colour, lasso, whole),
    plot, element("div", { id: "side" }, legend, texts),
  );
  plot.append(canvas, names, tip);

  const size = data.count > 50000 ? 2 : data.count > 10000 ? 3 : data.count > 2000 ? 4 : 6;
  const distance = Math.max(1, plot.clientHeight / plot.clientWidth); // in a plot that is higher than wide, its width shows all
  const scatterplot = regl_scatterplot.createScatterplot({
    canvas, cameraDistance: distance, pointSize: size, pointSizeSelected: 2,
    opacity: data.count > 20000 ? 0.7 : 0.9, opacityInactiveScale: 0.25, lassoMinDelay: 8, lassoMinDist: 2,
    spatialIndexUseWorker: false, colorBy: "valueA", deselectOnDblClick: true,
  });

  function draw() {
    const { column } = state, numbers = column.kind === "numbers";
    state.colours = numbers ? rampColours() : categoryColours(column.categories);
    scatterplot.set({
      backgroundColor: variable("--paper"), pointColor: state.colours, pointColorActive: variable("--ink"),
      pointColorHover: variable("--accent"), lassoColor: variable("--accent"),
    });
    drawLegend();
    drawing = drawing.then(() => scatterplot.draw(  // it refuses a second call before the first has ended
      { x: data.x, y: data.y, z: column.values },
      { zDataType: numbers ? "continuous" : "categorical", preventFilterReset: true },
    )).then(drawNames);
    return drawing;
  }

  function drawLegend() {
    const { column } = state;
    legend.replaceChildren(element("h2", {}, column.name));
    if (column.kind === "numbers") {
      const ramp = element("i");
      ramp.style.background = `linear-gradient(to right, ${state.colours.join(",")})`;
      legend.append(element("div", { class: "ramp" }, String(column.low), ramp, String(column.high)));
      return;
    }
    const list = element("ul");
    column.categories.forEach((category, code) => {
      const dot = element("i");
      dot.style.background = state.colours[code];
      const button = element(
        "button", { "aria-pressed": String(state.hidden === code), onclick: () => only(state.hidden === code ? null : code) },
        dot, element("span", {}, category), element("small", {}, number.format(column.counts[code])),
      );
      list.append(element("li", {}, button));
    });
    legend.append(list);
  }

  function only(code) { // show one category alone, or all again
    state.hidden = code;
    const rows = code === null ? [] : indices((i) => state.column.values[i] === code);
    if (code === null) scatterplot.unfilter();
    else scatterplot.filter(rows);
    list(rows, code === null ? "" : state.column.categories[code]);
    drawLegend();
    drawNames();
  }

  function indices(test) {
    const rows = [];
    for (let i = 0; i < data.count; i += 1) if (test(i)) rows.push(i);
    return rows;
  }

  function list(rows, what) {
    state.listed = rows;
    texts.replaceChildren();
    if (!what) {
      texts.append(element("h2", {}, "Texts"), element("p", {}, "Click a point, draw a lasso, search, or choose an entry of the legend."));
      return;
    }
    texts.append(element("h2", {}, what, element("span", {}, ` · ${number.format(rows.length)} texts`)));
    const entries = element("ul");
    for (const row of rows.slice(0, MOST_LISTED)) {
      const dot = element("i");
      const column = state.column;
      if (column.kind === "categories") dot.style.background = state.colours[column.values[row]];
      entries.append(element("li", {}, element("button", {
        onclick: () => scatterplot.zoomToLocation([data.x[row], data.y[row]], 0.2, { transition: true, transitionDuration: 400 }),
        onmouseenter: () => scatterplot.hover(row), onmouseleave: () => scatterplot.hover(),
      }, dot, element("span", {}, data.texts[row]))));
    }
    texts.append(entries);
    if (rows.length > MOST_LISTED) texts.append(element("p", {}, `The first ${MOST_LISTED} are listed.`));
  }

  function find(query) {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) {
      scatterplot.deselect({ preventEvent: true });
      list([], "");
      return;
    }
    if (!lowered.length) for (const text of data.texts) lowered.push(text.toLowerCase());
    const rows = indices((i) => words.every((word) => lowered[i].includes(word)));
    if (rows.length) scatterplot.select(rows, { preventEvent: true });
    else scatterplot.deselect({ preventEvent: true });
    list(rows, `“${query}”`);
  }

  function drawNames() {
    const zoom = distance / scatterplot.get("cameraDistance");
    const families = data.labels.some((label) => label.level === "family");
    const level = families && zoom < FAMILIES_UP_TO ? "family" : "group";
    const width = plot.clientWidth, height = plot.clientHeight, taken = [], kept = [];
    const place = (point, text, kind, wide, high, left) => {
      let [x, y] = scatterplot.getScreenPosition(point) || [-1, -1];
      if (x < 0 || y < 0 || x > width || y > height) return;
      if (!left) x = Math.max(wide / 2 + 4, Math.min(x, width - wide / 2 - 4));
      const box = [left ? x : x - wide / 2, y - high / 2, left ? x + wide : x + wide / 2, y + high / 2];
      if (taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) return;
      taken.push(box);
      const label = element("span", { class: kind }, text);
      label.style.left = `${x}px`;
      label.style.top = `${y}px`;
      kept.push(label);
    };
    const labels = data.labels.filter((label) => label.level === level).sort((a, b) => b.size - a.size);
    for (const { name, point } of labels) place(point, name, level, name.length * (level === "family" ? 9 : 7.2), 22, false);
    const inView = zoom > 2 ? scatterplot.get("pointsInView") : [];
    if (inView.length <= TEXTS_AS_LABELS) {
      for (const point of inView) {
        const text = data.texts[point].slice(0, 60) + (data.texts[point].length > 60 ? "…" : "");
        place(point, text, "text", text.length * 6.2, 16, true);
      }
    }
    names.replaceChildren(...kept);
  }

  function showTip(point) {
    const [x, y] = scatterplot.getScreenPosition(point);
    const group = data.columns[0];
    const more = data.columns.slice(1).filter((column) => column.kind === "categories")
      .map((column) => `${column.name}: ${column.categories[column.values[point]]}`).join(" · ");
    tip.replaceChildren(element("b", {}, group.categories[group.values[point]]), data.texts[point], element("small", {}, more));
    tip.hidden = false;
    tip.style.left = `${Math.max(4, Math.min(x + 12, plot.clientWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${y + 14 + tip.offsetHeight > plot.clientHeight ? Math.max(4, y - tip.offsetHeight - 12) : y + 14}px`;
  }

  let waiting = 0, resized = -Infinity;
  const moveNames = () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(drawNames);
  };
  scatterplot.subscribe("view", moveNames);
  scatterplot.subscribe("draw", () => { if (performance.now() - resized < 1000) moveNames(); }); // after the window is resized
  scatterplot.subscribe("pointover", showTip);
  scatterplot.subscribe("pointout", () => { tip.hidden = true; });
  scatterplot.subscribe("select", ({ points }) => list(Array.from(points), "Selected"));
  scatterplot.subscribe("deselect", () => list([], ""));
  scatterplot.subscribe("lassoEnd", () => setLasso(false));
  const setLasso = (on) => {
    scatterplot.set({ mouseMode: on ? "lasso" : "panZoom" });
    lasso.setAttribute("aria-pressed", String(on));
  };
  lasso.addEventListener("click", () => setLasso(lasso.getAttribute("aria-pressed") !== "true"));
  whole.addEventListener("click", () => scatterplot.reset());
  search.addEventListener("input", () => find(search.value));
  colour.addEventListener("change", () => {
    state.column = data.columns[colour.selectedIndex];
    state.hidden = null;
    scatterplot.unfilter();
    list([], "");
    draw();
  });
  dark.addEventListener("change", draw);
  addEventListener("resize", () => { resized = performance.now(); });
  list([], "");
  draw().then(() => { root.dataset.ready = "yes"; });
  window.lastwordMap = { scatterplot, data, state };
}

readData().then(start).catch((error) => {
  root.append(element("p", { class: "note" }, `The map cannot be drawn: ${error.message}. It needs a browser with WebGL.`));
});
