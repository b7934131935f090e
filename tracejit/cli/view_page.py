"""The page that `tracejit view` writes: one file, no network; the data goes in as JSON."""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>tracejit: __TITLE__</title>
<style>
:root { color-scheme: light dark; --line: #8884; --mark: #f5d76e66; --dim: #888; }
body, section { display: flex; flex-direction: column; min-height: 0; }
body { margin: 0; font: 13px/1.45 system-ui, sans-serif; height: 100vh; }
header { padding: .4rem .8rem; border-bottom: 1px solid var(--line); display: flex; gap: .8rem; }
header b { font-size: 15px; }
main { flex: 1; display: grid; grid-template-columns: minmax(16rem, 1fr) 2fr 2fr; min-height: 0; }
section { border-right: 1px solid var(--line); min-width: 0; }
section > div { padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
pre, ol { margin: 0; padding: .4rem .6rem; overflow: auto; flex: 1; }
pre, ol { font: 12px/1.45 ui-monospace, monospace; }
ol { list-style: none; }
li, pre span { white-space: pre; display: block; cursor: pointer; }
li small { color: var(--dim); }
.on { background: var(--mark); }
footer { max-height: 30vh; overflow: auto; border-top: 1px solid var(--line); }
footer pre { white-space: pre; }
</style>
<header><b>tracejit</b> <select id="step"></select>
<span>click a source line, or a line of a stage, to see what belongs together</span>
</header>
<main>
<section><div>source</div><ol id="source"></ol></section>
<section><div><select id="left"></select></div><pre id="leftText"></pre></section>
<section><div><select id="right"></select></div><pre id="rightText"></pre></section>
</main>
<footer><pre id="profile"></pre></footer>
<script id="data" type="application/json">__DATA__</script>
<script>
const steps = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
let chosen = null;

function options(select, names, wanted) {
  select.replaceChildren(...names.map((name) => new Option(name, name)));
  if (names.includes(wanted)) select.value = wanted;
}
function place(line) {
  // `# file.py:12` and `# grad of file.py:12` put the lines below them down to that line.
  const found = /^\\s*# (?:grad of )?(\\S+:\\d+)$/.exec(line);
  return found ? found[1] : null;
}
function show(pre, text) {
  let at = null;
  pre.replaceChildren(...text.split("\\n").map((line) => {
    const span = document.createElement("span");
    span.textContent = line || " ";
    if (/^(func|kernel|def|program) ?/.test(line.trim())) at = null;
    at = place(line) ?? at;
    if (at) { span.dataset.at = at; span.onclick = () => mark(span.dataset.at); }
    return span;
  }));
}
function mark(at) {
  chosen = at;
  for (const line of document.querySelectorAll("[data-at]")) {
    line.classList.toggle("on", line.dataset.at === at);
  }
  for (const id of ["source", "leftText", "rightText"]) {
    $(id).querySelector(".on")?.scrollIntoView({ block: "nearest" });
  }
}
function draw() {
  const step = steps[$("step").value];
  $("source").replaceChildren(...step.source.map(([at, text]) => {
    const line = document.createElement("li"), label = document.createElement("small");
    label.textContent = at + "  ";
    line.append(label, text);
    line.dataset.at = at;
    line.onclick = () => mark(at);
    return line;
  }));
  const names = Object.keys(step.stages);
  options($("left"), names, $("left").value || "traced");
  options($("right"), names, $("right").value || "fused");
  $("profile").textContent = step.profile;
  texts();
}
function texts() {
  const step = steps[$("step").value];
  show($("leftText"), step.stages[$("left").value]);
  show($("rightText"), step.stages[$("right").value]);
  if (chosen) mark(chosen);
}
options($("step"), Object.keys(steps));
$("step").onchange = draw;
$("left").onchange = $("right").onchange = texts;
draw();
</script>
</html>
"""
