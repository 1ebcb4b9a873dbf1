"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("view-data").textContent);
  const box = find("view");
  const n = data.elements.length;
  const state = { mode: data.frames.length === 1 && data.sets.length ? "samples" : "frames", frame: 0, set: 0, colour: data.protein ? (data.spread ? "spread" : data.training ? "training" : "element") : "element", shape: data.protein ? "cartoon" : "sticks",
                  beads: Boolean(data.beads), hydrogens: n < 600, timer: null };

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const numbers = (text) => new Int16Array(bytes(text).buffer);
  const xyz = numbers(data.xyz);
  const sets = data.sets.map((set) => ({ ...set, xyz: numbers(set.xyz) }));
  const beads = data.beads && { ...data.beads, xyz: numbers(data.beads.xyz) };
  const spread = data.spread && { ...data.spread, values: bytes(data.spread.values) };
  const training = data.training && { ...data.training, values: bytes(data.training.values) };

  // Okabe and Ito's colours, which any colour vision tells apart, without black.
  const WHEEL = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#7a6fd0"];
  const RAMP = [[92, 112, 186], [58, 146, 160], [90, 184, 118], [182, 208, 76], [250, 226, 70]];
  const CLASH = ["#8a949e", "#e69f00", "#d5331e"];
  const ELEMENTS = { C: "#8a949e", N: "#3d6fd8", O: "#d8402f", S: "#c9a400", H: "#c9d0d6", P: "#d9762b", F: "#3a9d5d",
                     CL: "#3a9d5d", BR: "#8f4b2e", I: "#7a3f9c" };
  const ramp = (share) => {
    const place = Math.min(0.9999, Math.max(0, share)) * (RAMP.length - 1), k = Math.floor(place), part = place - k;
    return `rgb(${RAMP[k].map((v, i) => Math.round(v + part * (RAMP[k + 1][i] - v))).join(",")})`;
  };
  const wheel = (k) => WHEEL[((k % WHEEL.length) + WHEEL.length) % WHEEL.length];

  let viewer;
  try {
    viewer = $3Dmol.createViewer(box, { antialias: true, disableFog: true });
  } catch (error) {
    viewer = null;
  }
  if (!viewer) {
    box.hidden = true;
    find("controls").hidden = true;
    find("no-view").hidden = false;
    return;
  }

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const shownFrame = () => (state.mode === "samples" ? sets[state.set].frame : state.frame);

  function atomList(kind) {
    if (kind === "beads") {
      return beads.names.map((name, i) => ({ elem: "C", atom: name, index: i, serial: i, resi: i, resn: name, x: 0, y: 0, z: 0,
        bonds: beads.bonds[i], bondOrder: beads.bonds[i].map(() => 1), properties: {} }));
    }
    return data.elements.map((elem, i) => {
      const [resn, resi, chain, ss] = data.residues[data.residue[i]];
      return { elem, atom: data.names[i], index: i, serial: i, resn, resi, chain, ss, hetflag: false, x: 0, y: 0, z: 0,
               bonds: data.bonds[i], bondOrder: data.orders ? data.orders[i] : data.bonds[i].map(() => 1), properties: {} };
    });
  }
  function place(model, array, start) {
    model.selectedAtoms({}).forEach((atom, i) => {
      atom.x = array[start + 3 * i] * data.scale;
      atom.y = array[start + 3 * i + 1] * data.scale;
      atom.z = array[start + 3 * i + 2] * data.scale;
    });
  }
  const models = [];
  const addModel = (kind) => { const model = viewer.addModel(); model.addAtoms(atomList(kind)); return model; };
  models.push(addModel("atoms"));
  const beadModel = beads && addModel("beads");

  function colourOf(sample) {
    const frame = shownFrame();
    if (state.colour === "bead") return (atom) => wheel(beads.of[atom.serial]);
    if (state.colour === "sample") return () => wheel(sample);
    if (state.colour === "spread") {
      // A cartoon has one colour a residue, that of its C-alpha, which moves least.
      const means = state.shape === "cartoon" ? residueMeans(spread.values, frame * n) : null;
      return (atom) => ramp((means ? means[data.residue[atom.serial]] : spread.values[frame * n + atom.serial]) / 255);
    }
    if (state.colour === "training") {
      const per = training.of, count = training.count;
      return (atom) => (per[atom.serial] < 0 ? CLASH[0] : ramp(training.values[frame * count + per[atom.serial]] / 255));
    }
    if (state.colour === "clash") {
      const levels = new Map(state.mode === "samples" ? sets[state.set].clash[sample] : data.clash[state.frame]);
      return (atom) => CLASH[levels.get(atom.serial) || 0];
    }
    return (atom) => ELEMENTS[atom.elem.toUpperCase()] || "#b060b0";
  }
  function residueMeans(values, start) {
    const sum = new Float64Array(data.residues.length), count = new Float64Array(data.residues.length);
    data.residue.forEach((residue, i) => { sum[residue] += values[start + i]; count[residue] += 1; });
    return sum.map((total, residue) => total / Math.max(1, count[residue]));
  }
  function styleOf(model, sample, faint) {
    const colorfunc = colourOf(sample), shape = state.shape;
    const stick = { radius: faint ? 0.09 : 0.15, colorfunc }, sphere = { scale: faint ? 0.13 : 0.22, colorfunc };
    const whole = shape === "cartoon" ? { cartoon: { colorfunc } }
      : shape === "spheres" ? { sphere: { scale: 0.95, colorfunc } } : { stick, sphere };
    model.setStyle({}, whole);
    if (shape === "cartoon" && (state.colour === "clash" || data.cysteines.length)) {
      const clashing = state.colour === "clash" ? (state.mode === "samples" ? sets[state.set].clash[sample] : data.clash[state.frame]) : [];
      const chosen = clashing.map(([atom]) => atom).concat(data.cysteines);
      if (chosen.length) model.setStyle({ serial: chosen }, { ...whole, stick: { radius: 0.15, colorfunc } });
    }
    if (!state.hydrogens && shape !== "cartoon") model.setStyle({ elem: "H" }, {});
  }

  function draw() {
    const samples = state.mode === "samples" ? sets[state.set].count : 1;
    while (models.length < samples) models.push(addModel("atoms"));
    models.forEach((model, k) => {
      if (k >= samples) { model.setStyle({}, {}); return; }
      if (state.mode === "samples") place(model, sets[state.set].xyz, 3 * n * k);
      else place(model, xyz, 3 * n * state.frame);
      styleOf(model, k, samples > 1);
    });
    if (beadModel) {
      place(beadModel, beads.xyz, 3 * beads.names.length * shownFrame());
      const radius = n > 2000 ? 0.5 : 0.62;
      const look = { sphere: { radius, opacity: 0.55, colorfunc: (atom) => (state.colour === "bead" ? wheel(atom.serial) : "#9a86c8") } };
      if (state.shape !== "spheres" && beads.names.length < 4000) look.stick = { radius: 0.07, color: "#9a86c8", opacity: 0.7 };
      beadModel.setStyle({}, state.beads ? look : {});
    }
    viewer.render();
    tell();
  }
  function tell() {
    const frame = shownFrame();
    find("frame-label").textContent = `frame ${data.frames[frame]}` + (state.mode === "samples" ? `, ${sets[state.set].count} samples` : "");
    find("legend").innerHTML = legend();
    box.setAttribute("aria-label", `${data.title}, ${find("frame-label").textContent}, coloured by ${state.colour}; arrow keys turn, plus and minus zoom`);
  }
  const dot = (colour, text) => `<span><span class="dot" style="background:${colour}"></span>${text}</span>`;
  const bar = (low, high, note) => `<span>${low}</span><span class="ramp" style="background:linear-gradient(90deg,${
    [0, 0.25, 0.5, 0.75, 1].map(ramp).join(",")})"></span><span>${high}</span><span>${note}</span>`;
  function legend() {
    if (state.colour === "spread") return bar("0", `${spread.max} \u00c5`, "standard deviation of the samples of this frame");
    if (state.colour === "training") return bar(training.low, training.high, training.note);
    if (state.colour === "clash") return dot(CLASH[0], "free") + dot(CLASH[1], "below 2.6 \u00c5") + dot(CLASH[2], "below 2.0 \u00c5") +
      "<span>heavy atoms more than three bonds apart</span>";
    if (state.colour === "bead") return beads.names.slice(0, 12).map((name, k) => dot(wheel(k), name)).join("") + (beads.names.length > 12 ? "<span>\u2026</span>" : "");
    if (state.colour === "sample") return Array.from({ length: state.mode === "samples" ? sets[state.set].count : 1 }, (_, k) => dot(wheel(k), `sample ${k + 1}`)).join("");
    const there = [...new Set(data.elements)].filter((e) => e !== "H" || state.hydrogens);
    return there.map((e) => dot(ELEMENTS[e.toUpperCase()] || "#b060b0", e)).join("") + (beadModel && state.beads ? dot("#9a86c8", "bead") : "");
  }

  const slider = find("frame"), playing = find("play");
  function setMode(mode) {
    stop();
    state.mode = mode;
    for (const name of ["frames", "samples"]) { const button = find(`mode-${name}`); if (button) button.setAttribute("aria-pressed", String(mode === name)); }
    slider.max = String((mode === "samples" ? sets.length : data.frames.length) - 1);
    slider.value = String(mode === "samples" ? state.set : state.frame);
    slider.hidden = playing.hidden = slider.max === "0";
    draw();
  }
  function show(k) {
    if (state.mode === "samples") state.set = k; else state.frame = k;
    slider.value = String(k);
    draw();
  }
  function stop() {
    clearTimeout(state.timer);
    state.timer = null;
    playing.textContent = "Play";
    playing.setAttribute("aria-pressed", "false");
  }
  function step() {
    const started = performance.now();
    show((Number(slider.value) + 1) % (Number(slider.max) + 1));
    // A slow machine draws fewer frames, and stays usable.
    state.timer = setTimeout(step, Math.max(90, 1.5 * (performance.now() - started)));
  }
  playing.onclick = () => {
    if (state.timer) { stop(); return; }
    playing.textContent = "Pause";
    playing.setAttribute("aria-pressed", "true");
    step();
  };
  slider.oninput = () => { stop(); show(Number(slider.value)); };
  for (const name of ["frames", "samples"]) { const button = find(`mode-${name}`); if (button) button.onclick = () => setMode(name); }
  find("colour").onchange = (event) => { state.colour = event.target.value; draw(); };
  find("shape").onchange = (event) => { state.shape = event.target.value; draw(); };
  find("shape").value = state.shape;
  for (const name of ["beads", "hydrogens"]) {
    const control = find(`show-${name}`);
    if (!control) continue;
    control.checked = state[name];
    control.onchange = () => { state[name] = control.checked; draw(); };
  }
  find("reset").onclick = () => { viewer.zoomTo(); viewer.render(); };
  box.addEventListener("keydown", (event) => {
    const turn = { ArrowLeft: [-10, "y"], ArrowRight: [10, "y"], ArrowUp: [-10, "x"], ArrowDown: [10, "x"] }[event.key];
    if (turn) viewer.rotate(...turn);
    else if (event.key === "+" || event.key === "=") viewer.zoom(1.15);
    else if (event.key === "-") viewer.zoom(1 / 1.15);
    else return;
    event.preventDefault();
    viewer.render();
  });
  document.querySelectorAll(".strip .residue").forEach((part) => {
    part.addEventListener("click", () => {
      const residue = Number(part.dataset.residue);
      const serial = data.residue.flatMap((r, i) => (r === residue ? [i] : []));
      draw();
      models[0].setStyle({ serial }, { stick: { radius: 0.25, colorfunc: colourOf(0) }, sphere: { scale: 0.3, colorfunc: colourOf(0) } });
      viewer.zoomTo({ model: models[0].getID(), serial });
      viewer.zoom(0.6);
      viewer.render();
      box.scrollIntoView({ block: "center" });
    });
  });

  const theme = () => { viewer.setBackgroundColor(css("--raised") || "#ffffff"); viewer.render(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme);
  addEventListener("beforeprint", () => {
    viewer.setBackgroundColor("#ffffff");
    viewer.render();
    find("view-print").src = viewer.pngURI();
    theme();
  });
  theme();
  find("colour").value = state.colour;
  setMode(state.mode);
  viewer.zoomTo();
  viewer.render();
  // For tests and for the curious.
  window.reportView = { viewer, state, show, setMode, draw };
})();
