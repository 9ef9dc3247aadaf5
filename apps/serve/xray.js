// The viewer of an x-ray: the text, token by token, and beside it what the model thought, where it looked, where a
// token's loss comes from, the graph as it ran, and surgery. The page of serve and the file that `./chapbook xray`
// writes both hold it; only where the numbers come from differs. xray_json() in xray_view.cpp says what `data` is.
"use strict";
const percent = p => p >= 0.9995 ? "100%" : p >= 0.0995 ? Math.round(100 * p) + "%" : p >= 0.00095 ? (100 * p).toFixed(1) + "%" : p > 0 ? "<0.1%" : "0%";
class XRay {
  // back(token): the way back from it, or a promise of it; operate({off, patch, from}): other data, where that can be had.
  constructor(root, {back, operate}) {
    Object.assign(this, {root, back, operate, tab: "guesses", place: 1, head: 0, headLayer: 0, cuts: {off: [], patch: [], from: ""}});
    root.className = "xray";
    root.innerHTML = `<p class="aside sum" role="status"></p>
      <div><div class="words" role="group" aria-label="The text, token by token"></div></div>
      <div class="side"><div role="tablist" aria-label="What to look at"></div><div class="panel" role="tabpanel"></div></div>`;
    this.words = root.querySelector(".words");
    this.panel = root.querySelector(".panel");
    this.tabs = root.querySelector("[role=tablist]");
    for (const [name, title] of [["guesses", "Guesses"], ["attention", "Attention"], ["back", "Way back"], ["graph", "Graph"], ["surgery", "Surgery"]]) {
      const tab = Object.assign(document.createElement("button"), {type: "button", textContent: title});
      tab.setAttribute("role", "tab");
      tab.dataset.tab = name;
      tab.addEventListener("click", () => this.choose(name));
      this.tabs.append(tab);
    }
    this.tabs.addEventListener("keydown", event => {
      const all = [...this.tabs.children], step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      if (step) { const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length]; next.focus(); next.click(); }
    });
    this.words.addEventListener("click", event => event.target.dataset.at && this.select(+event.target.dataset.at));
    this.words.addEventListener("keydown", event => {
      const last = this.data.ids.length - 1;
      const to = {ArrowRight: this.place + 1, ArrowLeft: this.place - 1, Home: 0, End: last, Enter: this.place, " ": this.place}[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.select(Math.max(0, Math.min(last, to)), true);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.data && this.draw());
  }
  show(data) {
    const same = this.data && data.ids.join() === this.data.ids.join() && data.layers === this.data.layers && data.heads === this.data.heads;
    this.data = data;
    this.ways = {};
    this.weights = [];
    if (!same) { this.place = Math.min(data.ids.length - 1, Math.max(1, data.ids.length >> 1)); this.layer = data.layers; this.head = this.headLayer = 0; }
    this.words.textContent = "";
    data.ids.forEach((id, at) => {
      const span = Object.assign(document.createElement("span"), {className: "t", textContent: this.text(id)});
      span.dataset.at = at;
      span.setAttribute("role", "button");
      this.words.append(span);
    });
    this.choose(this.tab);
  }
  // A token as it is shown; the end of a text and parts of letters have no text of their own.
  text(id) { return id === this.data.end ? "❧" : this.data.texts[id].replace(/^bytes:.*/, "\uFFFD"); }
  word(id) { const text = this.text(id); return text.trim() === "" ? (text.includes("\n") ? "↵" : "·") : text.replace(/ /g, "·").replace(/\n/g, "↵"); }
  short(x) { return x === null || x === undefined ? "" : x === 0 ? "0" : Math.abs(x) >= 1e4 || Math.abs(x) < 1e-3 ? x.toExponential(1) : x.toPrecision(3); }
  count(x) { return new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 3}).format(x); }
  escape(text) { return String(text).replace(/[&<>"]/g, c => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})[c]); }
  // What the model said behind token t as the stream stands behind a layer: entropy, log-probability and rank of what came, and the likeliest.
  guess(t, layer = this.data.layers) {
    const [entropy, logprob, rank, ...top] = this.data.lens[layer][t];
    return {entropy, logprob, rank, top: Array.from({length: top.length / 2}, (_, i) => [top[2 * i], top[2 * i + 1]])};
  }
  // The weights of a layer, row by row below the diagonal, head after head: u16, of which 65535 is 1.
  weight(layer, head, t, s) {
    if (!this.weights[layer]) {
      const bytes = Uint8Array.from(atob(this.data.attention[layer]), c => c.charCodeAt(0));
      const all = new Uint16Array(bytes.buffer), T = this.data.ids.length, rows = T * this.data.heads, k = this.data.kept;
      if (k) {  // of each row only the k largest: its places, then their weights
        const whole = new Uint16Array(this.data.heads * T * (T + 1) / 2);
        for (let row = 0; row < rows; ++row)
          for (let i = 0; i < k; ++i) {
            const h = Math.floor(row / T), t = row % T, w = all[(2 * row + 1) * k + i];
            if (w) whole[h * T * (T + 1) / 2 + t * (t + 1) / 2 + all[2 * row * k + i]] = w;
          }
        this.weights[layer] = whole;
      } else this.weights[layer] = all;
    }
    const T = this.data.ids.length;
    return this.weights[layer][head * T * (T + 1) / 2 + t * (t + 1) / 2 + s] / 65535;
  }
  choose(tab) {
    this.tab = tab;
    for (const button of this.tabs.children) {
      const chosen = button.dataset.tab === tab;
      button.setAttribute("aria-selected", chosen);
      button.tabIndex = chosen ? 0 : -1;
      if (chosen) this.panel.setAttribute("aria-label", button.textContent);
    }
    this.root.classList.toggle("wide", tab === "graph");
    this.draw();
  }
  select(at, focus = false) {
    this.place = at;
    this.draw();
    if (focus) this.words.children[at].focus();
  }
  draw() {
    const d = this.data, cuts = [...(d.off ?? []).map(c => c + " off"), ...(d.patch ?? []).map(c => c + " patched")];
    this.root.querySelector(".sum").textContent = `${d.ids.length} tokens · ${d.loss.toFixed(3)} nats a token · ${d.bits.toFixed(3)} bits a byte` +
      (d.before ? ` · whole: ${d.before.loss.toFixed(3)} and ${d.before.bits.toFixed(3)} · ${cuts.join(", ")}` : "");
    this[this.tab + "Tab"]();
  }
  // Colours the text: each token's heat from -1 to 1, and what is said of it.
  heat(of, note) {
    [...this.words.children].forEach((span, at) => {
      const heat = of(at), said = note(at);
      span.style.setProperty("--heat", Math.min(1, Math.abs(heat)).toFixed(3));
      span.style.setProperty("--hue", heat < 0 ? "var(--cool)" : "var(--rubric)");
      span.classList.toggle("here", at === this.place);
      span.tabIndex = at === this.place ? 0 : -1;
      span.title = said;
      span.setAttribute("aria-label", `${this.word(this.data.ids[at])}, ${said}`);
    });
  }
  rows(list) {
    const most = Math.max(...list.map(row => Math.abs(row.value)), 1e-9);
    return `<ol>${list.map(row => `<li class="guess${row.own ? " own" : ""}"><span>${this.escape(row.text)}</span><span class="bar" aria-hidden="true" ${row.value < 0 ? 'style="--hue:var(--cool)"' : ""}><b style="width:${100 * Math.abs(row.value) / most}%"></b></span><span>${row.shown}</span></li>`).join("")}</ol>`;
  }
  layerSlider() {
    return `<label class="slide"><span>The stream</span><output></output><input type="range" min="0" max="${this.data.layers}" step="1" value="${this.layer}" aria-label="Layer"></label>`;
  }
  bindSlider(redraw) {
    const input = this.panel.querySelector("input[type=range]"), output = this.panel.querySelector("output");
    const name = () => { output.textContent = this.layer === 0 ? "before the first block" : this.layer === this.data.layers ? "behind the last block" : `behind block ${this.layer - 1}`; input.setAttribute("aria-valuetext", output.textContent); };
    input.addEventListener("input", () => { this.layer = +input.value; name(); redraw(); });
    name();
    redraw();
  }

  guessesTab() {
    this.panel.innerHTML = `${this.layerSlider()}<h2></h2><div class="list"></div><h2>Its first guess behind every block</h2><div class="layers"></div>`;
    this.bindSlider(() => {
      const ids = this.data.ids, t = this.place - 1;
      this.heat(at => at === 0 ? 0 : Math.min(1, -this.guess(at - 1, this.layer).logprob / 8),
        at => at === 0 ? "nothing before it" : `${percent(Math.exp(this.guess(at - 1, this.layer).logprob))}, ${(-this.guess(at - 1, this.layer).logprob).toFixed(2)} nats`);
      const [title, list, layers] = [this.panel.querySelector("h2"), this.panel.querySelector(".list"), this.panel.querySelector(".layers")];
      if (t < 0) { title.textContent = "Nothing comes before the first token."; list.innerHTML = layers.innerHTML = ""; return; }
      const id = ids[this.place], here = this.guess(t, this.layer);
      title.textContent = `In the place of token ${this.place}, ${this.word(id)}: entropy ${here.entropy.toFixed(2)} nats, rank ${here.rank + 1}`;
      const rows = here.top.map(([other, p]) => ({text: this.word(other), value: p, shown: percent(p), own: other === id}));
      if (!rows.some(row => row.own)) rows.push({text: this.word(id), value: Math.exp(here.logprob), shown: percent(Math.exp(here.logprob)), own: true});
      list.innerHTML = this.rows(rows);
      layers.innerHTML = this.rows(this.data.lens.map((_, layer) => {
        const [other, p] = this.guess(t, layer).top[0];
        return {text: `${layer === 0 ? "–" : layer - 1}  ${this.word(other)}`, value: p, shown: percent(p), own: layer === this.layer};
      }));
    });
  }

  attentionTab() {
    const d = this.data, T = d.ids.length;
    this.panel.innerHTML = `<div class="heads" style="--heads:${d.heads}" role="group" aria-label="Heads, a row for each layer"></div>
      <h2 class="which"></h2><div class="list"></div><h2>Whole: a row for each token, a column for each it looks at</h2><canvas class="map" role="img"></canvas>`;
    const heads = this.panel.querySelector(".heads");
    for (let layer = 0; layer < d.layers; ++layer) {
      heads.append(Object.assign(document.createElement("span"), {textContent: layer}));
      for (let head = 0; head < d.heads; ++head) {
        const button = Object.assign(document.createElement("button"), {type: "button"});
        const off = (d.off ?? []).some(cut => [`${layer}.${head}`, `${layer}.attention`, `${layer}`].includes(cut));
        button.setAttribute("aria-label", `Layer ${layer}, head ${head}${off ? ", switched off" : ""}`);
        button.classList.toggle("off", off);
        button.addEventListener("click", () => { [this.headLayer, this.head] = [layer, head]; redraw(); });
        const canvas = document.createElement("canvas");
        canvas.setAttribute("aria-hidden", "true");
        button.append(canvas);
        heads.append(button);
        this.map(canvas, layer, head, 48);
      }
    }
    const map = this.panel.querySelector(".map");
    map.addEventListener("click", event => this.select(Math.min(T - 1, Math.floor(event.offsetY / map.clientHeight * T))));
    const redraw = () => {
      [...heads.querySelectorAll("button")].forEach((button, i) => button.setAttribute("aria-pressed", i === this.headLayer * d.heads + this.head));
      const weight = s => s <= this.place ? this.weight(this.headLayer, this.head, this.place, s) : 0;
      const all = d.ids.map((_, s) => weight(s)), most = Math.max(...all, 1e-9);
      this.heat(s => all[s] / Math.max(most, 0.05), s => s > this.place ? "not seen" : percent(all[s]));
      this.panel.querySelector(".which").textContent = `Layer ${this.headLayer}, head ${this.head}: where token ${this.place}, ${this.word(d.ids[this.place])}, looks`;
      const best = all.map((w, s) => [w, s]).sort((a, b) => b[0] - a[0]).slice(0, 5);
      this.panel.querySelector(".list").innerHTML = this.rows(best.map(([w, s]) => ({text: `${s}  ${this.word(d.ids[s])}`, value: w, shown: percent(w)})));
      map.setAttribute("aria-label", `All weights of layer ${this.headLayer}, head ${this.head}`);
      this.map(map, this.headLayer, this.head, T, this.place);
    };
    redraw();
  }
  // Weights as a picture of at most `size` rows; where several fall into one, the largest is shown.
  map(canvas, layer, head, size, mark = -1) {
    const T = this.data.ids.length, n = Math.min(T, size), style = getComputedStyle(document.documentElement);
    const colour = name => { const text = style.getPropertyValue(name).trim(); return [1, 3, 5].map(i => parseInt(text.slice(i, i + 2), 16)); };
    const [low, high, line] = [colour("--sheet"), colour("--rubric"), colour("--wash")], values = new Float32Array(n * n);
    for (let t = 0; t < T; ++t)
      for (let s = 0, row = Math.floor(t * n / T) * n; s <= t; ++s) {
        const at = row + Math.floor(s * n / T), w = this.weight(layer, head, t, s);
        if (w > values[at]) values[at] = w;
      }
    canvas.width = canvas.height = n;
    const context = canvas.getContext("2d"), image = context.createImageData(n, n);
    for (let i = 0; i < n * n; ++i) {
      const w = Math.sqrt(values[i]), ground = Math.floor(i / n) === mark && mark >= 0 ? line : low;
      for (let c = 0; c < 3; ++c) image.data[4 * i + c] = ground[c] + (high[c] - ground[c]) * w;
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  // The way back from the chosen token, once it is there.
  async way() {
    const place = this.place, data = this.data;
    if (place === 0) return null;
    const ways = this.ways;
    ways[place] ??= this.back(place, this.cuts).catch(error => { delete ways[place]; throw error; });  // asked for again next time
    const way = await this.ways[place];
    return this.place === place && this.data === data ? way : undefined;
  }
  async backTab() {
    this.heat(() => 0, () => "");
    this.panel.innerHTML = `<p class="aside">Going back…</p>`;
    let way;
    try { way = await this.way(); } catch (error) { this.panel.innerHTML = `<p class="aside">It did not work: ${this.escape(error.message)}.</p>`; return; }
    if (way === undefined || this.tab !== "back") return;
    if (!way) { this.panel.innerHTML = `<p class="aside">${this.place === 0 ? "Nothing comes before the first token." : "The way back was left out of this file."}</p>`; return; }
    const d = this.data, behind = layer => layer === 0 ? "before the first block" : `behind block ${layer - 1}`;
    this.panel.innerHTML = `<label>What is shown <select><option value="-1">Shares: gradient times input at the embeddings</option>${way.streams.map((_, layer) => `<option value="${layer}">Norm of the gradient ${behind(layer)}</option>`).join("")}</select></label>
      <h2></h2><div class="list"></div><p class="aside note"></p><h2>Norm of the gradient at each parameter</h2><div class="parameters"></div>`;
    this.panel.querySelector(".parameters").innerHTML = this.rows(way.parameters.map((norm, i) => ({text: d.parameters[i].replace(/^\w+\./, ""), value: norm, shown: this.short(norm)})));
    const select = this.panel.querySelector("select");
    const redraw = () => {
      this.shown = +select.value;
      const values = this.shown < 0 ? way.shares : way.streams[this.shown], most = Math.max(...values.map(Math.abs), 1e-9);
      this.heat(at => at < values.length ? values[at] / most : 0, at => at < values.length ? this.short(values[at]) : at === this.place ? `loss ${way.loss.toFixed(2)} nats` : "comes later");
      this.panel.querySelector("h2").textContent = `Where the loss of token ${this.place}, ${this.word(d.ids[this.place])} (${way.loss.toFixed(2)} nats), comes from`;
      this.panel.querySelector(".note").textContent = this.shown < 0 ? "Minus gradient times value of a token's embedding, summed over its numbers: to first order, by how much the log-probability would fall were they 0. Red spoke for the token, blue against it." : "How much the loss would move with the stream there.";
      const best = values.map((v, s) => [v, s]).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).slice(0, 7);
      this.panel.querySelector(".list").innerHTML = this.rows(best.map(([v, s]) => ({text: `${s}  ${this.word(d.ids[s])}`, value: v, shown: this.short(v)})));
    };
    select.value = this.shown ?? -1;
    select.addEventListener("change", redraw);
    redraw();
  }

  async graphTab() {
    const d = this.data, counted = d.graph.some(op => op.flops !== undefined);
    const heads = ["#", "part", "op", "gives", "norm", "gradient", ...(counted ? ["FLOPs", "bytes"] : []), "uses", "parameters", "source"];
    this.heat(at => at === 0 ? 0 : -this.guess(at - 1).logprob / 8, at => at === 0 ? "nothing before it" : percent(Math.exp(this.guess(at - 1).logprob)));
    const draw = gradients => {
      const numbers = new Set(["norm", "gradient", "FLOPs", "bytes"]);
      this.panel.innerHTML = `<p class="aside">Every op of the pass, as it ran under the watch, which opens what is fused otherwise${counted ? "" : "; FLOPs and bytes are counted by ./chapbook xray"}. Gradients: of the loss of token ${this.place}, ${this.escape(this.word(d.ids[this.place]))}.</p>
        <div class="graph" tabindex="0" role="region" aria-label="The graph"><table><thead><tr>${heads.map(h => `<th class="${numbers.has(h) ? "number" : ""}" scope="col">${h}</th>`).join("")}</tr></thead><tbody>
        ${d.graph.map((op, i) => `<tr><td class="number">${i}</td><td>${this.escape(op.part)}</td><td>${op.op}${op.name ? `: ${this.escape(op.name.split(".").pop())}` : ""}</td><td>${op.dtype} (${op.shape.join(", ")})</td>
          <td class="number">${this.short(op.norm)}</td><td class="number">${gradients ? this.short(gradients[i]) : ""}</td>${counted ? `<td class="number">${this.count(op.flops)}</td><td class="number">${this.count(op.bytes)}</td>` : ""}
          <td>${op.uses.join(" ")}</td><td>${this.escape(op.reads)}</td><td>${this.escape(op.where)}</td></tr>`).join("")}</tbody></table></div>`;
    };
    draw(null);
    const way = await this.way().catch(() => null);
    if (way && this.tab === "graph") draw(way.gradients);
  }

  surgeryTab() {
    const d = this.data, change = at => d.before ? this.guess(at - 1).logprob - d.before.logprobs[at - 1] : 0;
    this.heat(at => at === 0 ? 0 : -change(at) / 3, at => at === 0 ? "nothing before it" : !d.before ? percent(Math.exp(this.guess(at - 1).logprob))
      : `${percent(Math.exp(d.before.logprobs[at - 1]))} to ${percent(Math.exp(this.guess(at - 1).logprob))}`);
    const options = [];
    for (let i = 0; i < d.layers; ++i) {
      options.push([`${i}`, `Block ${i}`], [`${i}.attention`, `Block ${i}: attention`], [`${i}.mlp`, `Block ${i}: MLP`]);
      for (let h = 0; h < d.heads; ++h) options.push([`${i}.${h}`, `Block ${i}: head ${h}`]);
    }
    this.panel.innerHTML = (this.operate ? `<form class="operate">
        <div class="row"><label>Part <select class="part">${options.map(([value, title]) => `<option value="${value}">${title}</option>`).join("")}</select></label>
          <label>Neuron <input class="neuron" type="number" min="0" max="${d.neurons - 1}" placeholder="all"></label></div>
        <div class="row"><button class="off" type="submit">Switch off</button><button class="patch" type="button">Patch</button></div>
        <label>Patch from this text, of at least as many tokens <input class="from" type="text"></label>
        <p class="aside wrong" role="alert"></p></form>` : `<p class="aside">Parts are switched off with <code>./chapbook xray --off LAYER.HEAD</code>, and live on the page of <code>./chapbook serve</code>.</p>`) +
      `<div class="chips"></div><h2></h2><div class="list"></div>`;
    const changed = d.ids.map((_, at) => at).slice(1).filter(at => d.before).sort((a, b) => Math.abs(change(b)) - Math.abs(change(a))).slice(0, 10);
    this.panel.querySelector("h2").textContent = d.before ? "What changes most: log-probability of a token" : "Nothing is switched off";
    this.panel.querySelector(".list").innerHTML = changed.length ? this.rows(changed.map(at => ({text: `${at}  ${this.word(d.ids[at])}`, value: change(at), shown: (change(at) > 0 ? "+" : "") + change(at).toFixed(2)}))) : "";
    for (const kind of ["off", "patch"]) for (const cut of d[kind] ?? []) {
      const chip = Object.assign(document.createElement(this.operate ? "button" : "span"), {textContent: `${cut} ${kind === "off" ? "off" : "patched"}${this.operate ? " ×" : ""}`});
      if (this.operate) {
        chip.type = "button";
        chip.setAttribute("aria-label", `${cut}: as it was`);
        chip.addEventListener("click", () => this.cut({...this.cuts, [kind]: this.cuts[kind].filter(each => each !== cut)}));
      }
      this.panel.querySelector(".chips").append(chip);
    }
    if (!this.operate) return;
    const form = this.panel.querySelector("form"), find = name => form.querySelector(name);
    find(".part").value = `${this.headLayer}.${this.head}`;
    find(".from").value = this.cuts.from;
    const part = () => find(".neuron").value === "" ? find(".part").value : `${find(".part").value.split(".")[0]}.mlp.${find(".neuron").value}`;
    form.addEventListener("submit", event => { event.preventDefault(); this.cut({...this.cuts, off: [...new Set([...this.cuts.off, part()])]}); });
    find(".patch").addEventListener("click", () => this.cut({...this.cuts, patch: [...new Set([...this.cuts.patch, part()])], from: find(".from").value}));
  }
  async cut(cuts) {
    try {
      const data = await this.operate(cuts);
      this.cuts = cuts;
      this.show(data);
    } catch (error) {
      const said = this.panel.querySelector(".wrong");  // gone where another tab was chosen meanwhile
      if (said) said.textContent = error.message;
    }
  }
}
