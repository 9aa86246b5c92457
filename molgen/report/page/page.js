"use strict";
// What is shown is told by the address: #text=…&show=fail&sort=qed&down=1&row=3, so a state is a link.
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

let data = null;
const body = document.querySelector("#records tbody");
const by = id => document.getElementById(id);
const state = { text: "", show: "all", sort: "index", down: false, row: null };
let shown = [], viewer = null;

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  state.text = given.get("text") || "";
  state.show = given.get("show") || "all";
  state.sort = given.get("sort") || "index";
  state.down = given.get("down") === "1";
  state.row = given.has("row") ? Number(given.get("row")) : null;
}

function write() {
  const told = new URLSearchParams();
  if (state.text) told.set("text", state.text);
  if (state.show !== "all") told.set("show", state.show);
  if (state.sort !== "index") told.set("sort", state.sort);
  if (state.down) told.set("down", "1");
  if (state.row !== null) told.set("row", state.row);
  history.replaceState(null, "", "#" + told);
}

function cell(record, column) {
  const value = record[column.name];
  if (column.name === "verdict") return record.pass ? "✓ pass" : (record.judged ? "✗ " : "– ") + value;
  if (value === null || value === undefined) return "–";
  return column.digits === null ? String(value) : Number(value).toFixed(column.digits);
}

function select() {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  shown = data.records.filter(record =>
    (state.show === "all" || record.judged && record.pass === (state.show === "pass")) &&
    words.every(word => record.search.includes(word)));
  const column = data.columns.find(one => one.name === state.sort) || data.columns[0];
  const key = record => record[column.name];
  shown.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === y) return a.index - b.index;
    if (x === null || x === undefined) return 1;
    if (y === null || y === undefined) return -1;
    return (x < y ? -1 : 1) * (state.down ? -1 : 1);
  });
}

function draw() {
  select();
  body.replaceChildren(...shown.map(record => {
    const row = document.createElement("tr");
    row.tabIndex = 0;
    row.dataset.index = record.index;
    row.setAttribute("aria-selected", record.index === state.row);
    for (const column of data.columns) {
      const at = document.createElement("td");
      at.textContent = cell(record, column);
      if (column.digits !== null) at.className = "number";
      if (column.name === "verdict") at.className = record.pass ? "pass" : "fail";
      if (column.wide) at.className += " wide";
      row.append(at);
    }
    return row;
  }));
  by("count").textContent = `${shown.length} of ${data.records.length} records`;
  for (const head of document.querySelectorAll("#records th")) {
    const is = head.dataset.name === state.sort;
    head.setAttribute("aria-sort", is ? (state.down ? "descending" : "ascending") : "none");
    head.querySelector("span").textContent = is ? (state.down ? " ▼" : " ▲") : "";
  }
  if (!shown.some(record => record.index === state.row)) state.row = shown.length ? shown[0].index : null;
  look(false);
}

function look(focus) {
  write();
  const record = data.records.find(one => one.index === state.row);
  for (const row of body.children) {
    const is = Number(row.dataset.index) === state.row;
    row.setAttribute("aria-selected", is);
    if (is && focus) { row.focus(); row.scrollIntoView({ block: "nearest" }); }
  }
  by("title").textContent = record ? record.title || `record ${record.index + 1}` : "";
  by("why").textContent = record ? (record.pass ? "✓ passes every check" : "✗ " + record.verdict) : "";
  by("why").className = record && record.pass ? "pass" : "fail";
  by("smiles").textContent = record ? record.smiles || "" : "";
  by("drawing").innerHTML = record && record.drawing !== null ? data.drawings[record.drawing] : "";
  if (!viewer) return;
  viewer.removeAllModels();
  const style = by("style").value;
  const others = by("overlay").checked && record && record.smiles
    ? data.records.filter(one => one.smiles === record.smiles && one.block) : [];
  for (const one of others.length ? others : [record]) if (one && one.block) viewer.addModel(one.block, "sdf");
  viewer.setStyle({}, style === "sphere" ? { sphere: {} } : style === "stick" ? { stick: { radius: .13 } }
    : { stick: { radius: .1 }, sphere: { scale: .22 } });
  viewer.zoomTo();
  viewer.render();
  by("view").dataset.atoms = viewer.selectedAtoms({}).length;
}

function step(by_) {
  const place = shown.findIndex(record => record.index === state.row);
  const next = shown[Math.min(Math.max(place + by_, 0), shown.length - 1)];
  if (next) { state.row = next.index; look(true); }
}

async function main() {
  data = await unpacked(by("data").textContent.trim());
  read();
  by("text").value = state.text;
  by("show").value = state.show;
  try {
    viewer = $3Dmol.createViewer(by("view"), { backgroundColor: "white" });
  } catch (error) {
    by("view").textContent = "This browser draws no WebGL.";
  }
  by("text").addEventListener("input", event => { state.text = event.target.value; draw(); });
  by("show").addEventListener("change", event => { state.show = event.target.value; draw(); });
  by("style").addEventListener("change", () => look(false));
  by("overlay").addEventListener("change", () => look(false));
  by("back").addEventListener("click", () => step(-1));
  by("next").addEventListener("click", () => step(1));
  for (const head of document.querySelectorAll("#records th")) head.querySelector("button").addEventListener("click", () => {
    state.down = state.sort === head.dataset.name && !state.down;
    state.sort = head.dataset.name;
    draw();
  });
  body.addEventListener("click", event => {
    const row = event.target.closest("tr");
    if (row) { state.row = Number(row.dataset.index); look(true); }
  });
  body.addEventListener("keydown", event => {
    const way = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity }[event.key];
    if (way) { event.preventDefault(); step(way === Infinity ? shown.length : way === -Infinity ? -shown.length : way); }
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); state.row = Number(event.target.closest("tr").dataset.index); look(true); }
  });
  addEventListener("hashchange", () => { read(); by("text").value = state.text; by("show").value = state.show; draw(); });
  draw();
}

main().catch(error => { by("count").textContent = `This browser cannot show the records (${error.message}).`; throw error; });
