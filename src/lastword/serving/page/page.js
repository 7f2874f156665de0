"use strict";
const $ = (id) => document.getElementById(id);
const EXAMPLES = [
  "The river was low after the dry summer.", "A stream runs behind the mill.", "Heavy rain flooded the valley.",
  "The bank raised its interest rates.", "She paid off the loan in two years.", "Shares fell when the market opened.",
  "He scored twice in the second half.", "The team lost the final on penalties.", "Training begins at six in the morning.",
];
const MOST = 300, MOST_BYTES = 16 * 2 ** 20; // of a file: what is further on would not be used
let models = [], templates = {}, table = null;

/* ---- elements: text is only ever set as text, so that no text becomes markup ---- */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    if (name in element) element[name] = value; else element.setAttribute(name, value);
  element.append(...children);
  return element;
}
function say(message) { $("message").textContent = message; }
const counted = (count) => `${count} text${count === 1 ? "" : "s"}`;

async function ask(path, body) {
  const headers = { "Content-Type": "application/json" };
  if ($("key").value) headers.Authorization = `Bearer ${$("key").value}`;
  const request = body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers };
  const answer = await fetch(path, request).catch(() => { throw new Error("The server does not answer: does it still run?"); });
  const content = await answer.json().catch(() => ({}));
  if (answer.status === 401) { $("key-field").hidden = false; $("key").focus(); }
  if (!answer.ok) throw new Error(content.error?.message ?? `status ${answer.status}`);
  return content;
}
async function busy(button, work) {
  say("");
  button.disabled = true;
  try { await work(); } catch (error) { say(error.message); } finally { button.disabled = false; }
}

/* ---- tabs, by the pattern of the ARIA authoring practices ---- */
const tabs = [...document.querySelectorAll("[role=tab]")];
function select(tab, focus) {
  for (const each of tabs) {
    each.setAttribute("aria-selected", String(each === tab));
    each.tabIndex = each === tab ? 0 : -1;
    $(each.getAttribute("aria-controls")).hidden = each !== tab;
  }
  if (focus) tab.focus();
  say("");
}
tabs.forEach((tab, number) => {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    const to = { ArrowRight: number + 1, ArrowLeft: number - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    select(tabs[(to + tabs.length) % tabs.length], true);
  });
});

/* ---- the choice of model, template and layer ---- */
function fillSetting(fieldset, first = models[0]) {
  const model = make("select", {}, ...models.map((each) => make("option", { value: each.name }, each.name)));
  const template = make("select");
  const wording = make("input", { type: "text", placeholder: "text around {text}" });
  const layer = make("select");
  const wordingField = make("label", { hidden: true }, "Its wording", wording);
  const templateField = make("label", {}, "Template", template), layerField = make("label", {}, "Layer", layer);
  const fill = () => {
    const chosen = models.find((each) => each.name === model.value);
    templateField.hidden = layerField.hidden = chosen.layers === 0;
    template.replaceChildren(
      make("option", { value: "" }, `its own: ${chosen.template ?? ""}`),
      ...Object.entries(templates).map(([name, text]) => make("option", { value: name }, `${name}: ${text}`)),
      make("option", { value: "custom" }, "another …"));
    const own = chosen.layer, numbers = [...Array(chosen.layers + 1).keys()].reverse();
    layer.replaceChildren(make("option", { value: "" }, `its own: ${own} of ${chosen.layers}`),
      ...numbers.filter((number) => number !== own).map((number) => make("option", { value: number }, String(number))));
    wordingField.hidden = true;
  };
  model.addEventListener("change", fill);
  template.addEventListener("change", () => { wordingField.hidden = template.value !== "custom"; });
  model.value = first.name;
  fieldset.append(make("label", {}, "Model", model), templateField, wordingField, layerField);
  fill();
  fieldset.setting = () => {
    const chosen = { model: model.value };
    if (!templateField.hidden && template.value) chosen.template = template.value === "custom" ? wording.value : template.value;
    if (!layerField.hidden && layer.value) chosen.layer = Number(layer.value);
    return chosen;
  };
}
const title = ({ model, template, layer }) =>
  [model, template && `template ${template}`, layer !== undefined && `layer ${layer}`].filter(Boolean).join(", ");

/* ---- texts: typed, pasted, or from a file ---- */
const readTexts = () => $("texts").value.split("\n").map((line) => line.trim()).filter(Boolean);
function countTexts() {
  const count = readTexts().length;
  $("count").textContent = count > MOST ? `${count} texts: the first ${MOST} are used.` : `${counted(count)}.`;
}
/* RFC 4180, with the delimiter that the first line has most of */
function parseTable(text) {
  const first = text.split("\n", 1)[0];
  const delimiter = [",", ";", "\t"].reduce((a, b) => (first.split(b).length > first.split(a).length ? b : a));
  const rows = [[""]];
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i], row = rows[rows.length - 1];
    if (quoted) {
      if (c !== '"') row[row.length - 1] += c;
      else if (text[i + 1] === '"') { row[row.length - 1] += c; i++; }
      else quoted = false;
    } else if (c === '"' && row[row.length - 1] === "") quoted = true;
    else if (c === delimiter) row.push("");
    else if (c === "\n") rows.push([""]);
    else if (c !== "\r") row[row.length - 1] += c;
  }
  return rows.filter((row) => row.length > 1 || row[0] !== "");
}
function showColumn() {
  const column = Number($("column").value);
  const cells = table.slice(1).map((row) => (row[column] ?? "").replace(/\s+/g, " ").trim()).filter(Boolean);
  $("texts").value = cells.slice(0, MOST).join("\n");
  countTexts();
}
async function readFile(file) {
  if (!file) return;
  const text = (await file.slice(0, MOST_BYTES).text()).replace(/^\ufeff/, "");
  const isTable = /\.(csv|tsv)$/i.test(file.name);
  $("column-field").hidden = !isTable;
  if (!isTable) { $("texts").value = text; countTexts(); return; }
  table = parseTable(text);
  if (table.length < 2) { $("column-field").hidden = true; say(`${file.name} has no rows below its first line, which names the columns.`); return; }
  say("");
  const mean = (column) => table.slice(1, 200).reduce((sum, row) => sum + (row[column] ?? "").length, 0);
  $("column").replaceChildren(...table[0].map((name, number) => make("option", { value: number }, name || `column ${number + 1}`)));
  $("column").value = String(table[0].map((_, number) => number).reduce((a, b) => (mean(b) > mean(a) ? b : a), 0));
  showColumn();
}
$("texts").addEventListener("input", countTexts);
$("column").addEventListener("change", showColumn);
$("file").addEventListener("change", (event) => readFile(event.target.files[0]));
for (const kind of ["dragover", "dragleave", "drop"])
  $("texts").addEventListener(kind, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    $("texts").classList.toggle("drop", kind === "dragover");
    if (kind === "drop") readFile(event.dataTransfer.files[0]);
  });

/* ---- pairs, heat map, groups ---- */
function nearestPairs(similarity, most = 10) {
  const pairs = [];
  similarity.forEach((row, i) => { for (let j = i + 1; j < row.length; j++) pairs.push([row[j], i, j]); });
  return pairs.sort((a, b) => b[0] - a[0]).slice(0, most);
}
/* colours of the groups along an edge of the map */
function strip(groups, n, direction) {
  let end = 0;
  const stops = groups.map((group, number) => `var(--c${number % 10}) ${(100 * end) / n}% ${(100 * (end += group.texts.length)) / n}%`);
  const edge = make("div", { className: "strip" });
  edge.style.backgroundImage = `linear-gradient(${direction}, ${stops.join(", ")})`;
  return edge;
}
function heatMap(similarity, groups, texts) {
  const order = groups.flatMap((group) => group.texts), n = order.length;
  const canvas = make("canvas", { className: "map", width: n, height: n, tabIndex: 0, role: "img" });
  const values = order.flatMap((i) => order.filter((j) => j !== i).map((j) => similarity[i][j]));
  const low = Math.min(...values), high = Math.max(...values);
  canvas.setAttribute("aria-label", `Similarity of ${n} texts, in the order of the groups: cosine ${low.toFixed(2)} to ${high.toFixed(2)}. Arrow keys read single pairs.`);
  const paint = () => {
    const style = getComputedStyle(document.documentElement);
    const [from, to] = ["--paper", "--accent"].map((name) => style.getPropertyValue(name).trim().match(/\w\w/g).map((hex) => parseInt(hex, 16)));
    const picture = new ImageData(n, n);
    order.forEach((i, y) => order.forEach((j, x) => {
      const share = Math.min(1, Math.max(0, (similarity[i][j] - low) / (high - low || 1)));
      from.forEach((start, k) => { picture.data[4 * (y * n + x) + k] = start + share * (to[k] - start); });
      picture.data[4 * (y * n + x) + 3] = 255;
    }));
    canvas.getContext("2d").putImageData(picture, 0, 0);
  };
  paint();
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const repaint = () => {
    if (canvas.isConnected) paint();
    else scheme.removeEventListener("change", repaint);
  };
  scheme.addEventListener("change", repaint);
  const under = make("p", { className: "under", role: "status" }, "Point at a cell, or use the arrow keys.");
  let at = [0, 0];
  const read = (x, y) => {
    at = [Math.min(n - 1, Math.max(0, x)), Math.min(n - 1, Math.max(0, y))];
    const [i, j] = [order[at[1]], order[at[0]]];
    under.textContent = `${similarity[i][j].toFixed(3)}: ${texts[i]} — ${texts[j]}`;
  };
  canvas.addEventListener("mousemove", (event) => {
    const box = canvas.getBoundingClientRect();
    read(Math.floor(((event.clientX - box.x) / box.width) * n), Math.floor(((event.clientY - box.y) / box.height) * n));
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    read(at[0] + step[0], at[1] + step[1]);
  });
  const frame = make("div", { className: "frame" }, make("div"), strip(groups, n, "to right"), strip(groups, n, "to bottom"), canvas);
  const scale = make("p", { className: "scale" }, `cosine ${low.toFixed(2)}`, make("span", { className: "ramp" }), high.toFixed(2));
  return [frame, scale, under];
}
function side(setting, texts, { similarity, groups }) {
  const rows = nearestPairs(similarity).map(([value, i, j]) =>
    make("tr", {}, make("td", { className: "figure" }, value.toFixed(3)), make("td", {}, texts[i]), make("td", {}, texts[j])));
  const head = make("tr", {}, ...["cosine", "text", "text"].map((name) => make("th", { scope: "col" }, name)));
  const lists = groups.map((group, number) => {
    const list = make("div", { className: "group" },
      make("b", {}, group.name), make("span", {}, ` ${counted(group.texts.length)}`),
      make("ul", {}, ...group.texts.map((i) => make("li", {}, texts[i]))));
    list.style.borderLeftColor = `var(--c${number % 10})`;
    return list;
  });
  return make("div", { className: "side" },
    make("h2", {}, title(setting)),
    make("h3", {}, "Nearest pairs"), make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)),
    make("h3", {}, "Similarity"), ...heatMap(similarity, groups, texts),
    make("h3", {}, "Groups"), ...lists);
}
$("two").addEventListener("change", () => { $("setting-b").hidden = !$("two").checked; });
$("run").addEventListener("click", () => busy($("run"), async () => {
  const texts = readTexts().slice(0, MOST);
  if (texts.length < 2) throw new Error("Give two texts or more, one on each line.");
  const settings = [$("setting-a"), ...($("two").checked ? [$("setting-b")] : [])].map((field) => field.setting());
  const groups = $("groups").value ? Number($("groups").value) : undefined;
  const found = await Promise.all(settings.map((setting) => ask("/page/explore", { ...setting, texts, groups })));
  $("results").replaceChildren(...found.map((each, number) => side(settings[number], texts, each)));
}));

/* ---- attention: tokens joined to words ---- */
function words(tokens) {
  const found = [];
  for (const { token, part, weight } of tokens) {
    const last = found[found.length - 1];
    if (!last || last.part !== part || /^\s/.test(token)) found.push({ text: token, part, weight });
    else { last.text += token; last.weight += weight; }
  }
  return found;
}
$("show-attention").addEventListener("click", () => busy($("show-attention"), async () => {
  const text = $("attention-text").value.trim();
  if (!text) throw new Error("Give a text.");
  const found = words(await ask("/page/attention", { ...$("setting-c").setting(), text }));
  const most = Math.max(...found.filter((word) => word.part === "text").map((word) => word.weight));
  const shown = make("p", { className: "shaded" }, ...found.filter((word) => word.part !== "bos").flatMap((word) => {
    const percent = (100 * word.weight).toFixed(1), [space] = word.text.match(/^\s*/);
    const element = make("span", { className: word.part === "text" ? "word" : "word template", title: `${percent} %` }, word.text.slice(space.length));
    element.style.backgroundColor = `color-mix(in srgb, var(--accent) ${Math.round(45 * Math.min(1, word.weight / most))}%, transparent)`;
    return [space, element];
  }));
  const total = { bos: 0, template: 0, text: 0, suffix: 0 };
  found.forEach((word) => { total[word.part] += word.weight; });
  const names = { bos: "begin-of-text token", template: "template before the text", text: "text", suffix: "template after it" };
  const shares = Object.entries(total).filter(([, share]) => share > 0).map(([part, share]) => `${names[part]} ${(100 * share).toFixed(0)} %`);
  const top = [...found].filter((word) => word.part === "text").sort((a, b) => b.weight - a.weight).slice(0, 8);
  const rows = top.map((word) => make("tr", {}, make("td", { className: "figure" }, `${(100 * word.weight).toFixed(1)} %`), make("td", {}, word.text.trim())));
  const head = make("tr", {}, make("th", { scope: "col" }, "share"), make("th", { scope: "col" }, "word of the text"));
  $("attention-result").replaceChildren(shown, make("p", { className: "note" }, shares.join(" · ")),
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}));

/* ---- the card: headings, lists, tables, code and paragraphs of Markdown, as text ---- */
function inline(text) {
  return text.split(/(\*\*[^*]+\*\*|`[^`]+`)/).map((piece) => {
    if (/^\*\*.+\*\*$/.test(piece)) return make("b", {}, piece.slice(2, -2));
    return /^`.+`$/.test(piece) ? make("code", {}, piece.slice(1, -1)) : piece;
  });
}
function rowsOf(lines) {
  const cells = lines.map((line) => line.replace(/^\||\|\s*$/g, "").split("|").map((cell) => cell.trim()));
  const body = cells.filter((row, number) => number !== 1 && row.some(Boolean));
  return make("table", {}, make("tbody", {}, ...body.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, ...inline(cell)))))));
}
function markdown(text) {
  const parts = [];
  let block = [], fence = null;
  const flush = () => {
    if (!block.length) return;
    if (block.every((line) => /^[-*] /.test(line))) parts.push(make("ul", {}, ...block.map((line) => make("li", {}, ...inline(line.slice(2))))));
    else if (block.every((line) => line.startsWith("|"))) parts.push(rowsOf(block));
    else parts.push(make("p", {}, ...inline(block.join(" "))));
    block = [];
  };
  const body = text.replace(/^---\n[^]*?\n---\n/, "");
  for (const line of body.split("\n")) {
    const heading = line.match(/^(#+) (.*)/);
    if (line.startsWith("```")) {
      if (fence) { parts.push(make("pre", {}, fence.join("\n"))); fence = null; } else { flush(); fence = []; }
    } else if (fence) fence.push(line);
    else if (heading) { flush(); parts.push(make(heading[1].length < 3 ? "h2" : "h3", {}, heading[2])); }
    else if (!line.trim()) flush();
    else block.push(line);
  }
  flush();
  return parts;
}
function showCard() {
  const model = models.find((each) => each.name === $("card-model").value);
  const facts = { kind: model.kind, dimensions: model.dim, "longest text": model.max_tokens && `${model.max_tokens} tokens, template included`,
    template: model.template, pooling: model.pooling, layer: model.layers ? `${model.layer} of ${model.layers}` : null, prompts: model.prompts.join(", ") };
  $("facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
  $("card-text").replaceChildren(...(model.card ? markdown(model.card) : [make("p", { className: "note" }, "The model has no card.")]));
}
function showCalls() {
  const model = $("call-model").value, url = location.origin, key = !$("key-field").hidden;
  const body = JSON.stringify({ model, input: ["a river", "a stream"] });
  $("curl").textContent = `curl ${url}/v1/embeddings \\\n${key ? "  -H 'Authorization: Bearer KEY' \\\n" : ""}  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
  $("python").textContent = `from openai import OpenAI\n\nclient = OpenAI(base_url="${url}/v1", api_key="${key ? "KEY" : "none"}")\nanswer = client.embeddings.create(model=${JSON.stringify(model)}, input=["a river", "a stream"])\nvectors = [entry.embedding for entry in answer.data]`;
}
$("card-model").addEventListener("change", showCard);
$("call-model").addEventListener("change", showCalls);
for (const button of document.querySelectorAll("[data-copy]"))
  button.addEventListener("click", async () => {
    const code = $(button.dataset.copy);
    try { await navigator.clipboard.writeText(code.textContent); button.textContent = "Copied"; }
    catch { getSelection().selectAllChildren(code); button.textContent = "Selected: press Ctrl-C"; } // a page without TLS may not
  });

/* ---- begin ---- */
async function begin() {
  ({ models, templates } = await ask("/page/models"));
  say("");
  $("serving").textContent = `${models.length === 1 ? "Serving" : `Serving ${models.length} models:`} ${models.map((each) => each.name).join(", ")}`;
  for (const id of ["setting-a", "setting-c"]) fillSetting($(id));
  fillSetting($("setting-b"), models[1]);
  for (const id of ["card-model", "call-model"]) $(id).append(...models.map((each) => make("option", { value: each.name }, each.name)));
  showCard();
  showCalls();
  document.body.dataset.ready = "true";
}
$("key").addEventListener("change", () => { if (!models.length) begin().catch((error) => say(error.message)); });
$("texts").value = EXAMPLES.join("\n");
$("attention-text").value = EXAMPLES[0];
countTexts();
begin().catch((error) => { $("serving").textContent = "No models."; say(error.message); });
