// The tuning panel: sliders and numbers move together, and the charts follow what the server counted.
// Without this file the page still works: the tables hold every number that is drawn.

const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue(name).trim();
// Numbers as the page's language writes them, like those of the tables.
const { lang } = document.documentElement;
const shares = new Intl.NumberFormat(lang, { maximumFractionDigits: 1 });
const thresholds = new Intl.NumberFormat(lang, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const percent = (value) => `${shares.format(value * 100)}%`;
const charts = {};

Chart.defaults.locale = lang;
Chart.defaults.font.family = colour("--sans");
Chart.defaults.font.size = 13;
Chart.defaults.color = colour("--ink-soft");
Chart.defaults.borderColor = colour("--rule");
Chart.defaults.animation = false;
Chart.defaults.maintainAspectRatio = false;
Chart.defaults.plugins.legend.display = false;

// A pattern, so that what is left to people is told apart without colour.
function hatched(name = "--edge") {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour(name);
  pen.lineWidth = name === "--edge" ? 1.4 : 0.6;
  pen.beginPath();
  pen.moveTo(0, 6);
  pen.lineTo(6, 0);
  pen.stroke();
  return pen.createPattern(tile, "repeat");
}

// A vertical line where the threshold stands, with its number.
const marker = {
  id: "marker",
  afterDatasetsDraw(chart, _args, options) {
    for (const { at, words } of options.lines ?? []) {
      const x = chart.scales.x.getPixelForValue(at);
      const { top, bottom, left, right } = chart.chartArea;
      if (x < left - 1 || x > right + 1) continue;
      const pen = chart.ctx;
      pen.save();
      pen.strokeStyle = pen.fillStyle = colour("--accent");
      pen.setLineDash([5, 3]);
      pen.lineWidth = 1.5;
      pen.beginPath();
      pen.moveTo(x, top);
      pen.lineTo(x, bottom);
      pen.stroke();
      pen.font = `600 13px ${colour("--sans")}`;
      pen.textAlign = x > (left + right) / 2 ? "end" : "start";
      pen.fillText(words, x + (pen.textAlign === "end" ? -5 : 5), top + 12);
      pen.restore();
    }
  },
};
Chart.register(marker);

function draw(name, config) {
  const standing = charts[name];
  if (standing) {
    standing.data = config.data;
    standing.options = config.options;
    standing.update("none");
    return;
  }
  charts[name] = new Chart(document.getElementById(name), config);
}

const share = (title, more = {}) => ({
  type: "linear", title: { display: true, text: title }, ticks: { callback: percent }, ...more,
});

function drawCurve(data, words) {
  const datasets = [];
  const lines = [];
  let lowest = 1;
  for (const [place, curve] of data.curves.entries()) {
    const shown = curve.points.filter((point) => point[1] !== null);
    const line = (column) => shown.map((point) => ({ x: point[1], y: point[column], at: point[0] }));
    const look = { borderColor: colour(place ? "--edge" : "--machine"), pointRadius: 0, pointHitRadius: 8 };
    datasets.push(
      { ...look, label: curve.title, data: line(2), borderWidth: 2.5 },
      { ...look, label: "", data: line(3), borderWidth: 1, borderDash: [4, 3] },
      { ...look, label: "", data: line(4), borderWidth: 1, borderDash: [4, 3] },
    );
    lowest = Math.min(lowest, ...shown.map((point) => point[2]));
    const threshold = data.thresholds[curve.side];
    const here = threshold === null ? null : shown.findLast((point) => point[0] <= threshold + 1e-9);
    if (here) lines.push({ at: here[1], words: thresholds.format(threshold) });
  }
  const { certified } = data;
  if (certified && certified.coverage !== null) {
    const edge = (y) => [0, certified.coverage].map((x) => ({ x, y, at: certified.threshold }));
    const band = { label: "", borderWidth: 0, pointRadius: 0, pointHitRadius: 0 };
    datasets.push(
      { ...band, data: edge(certified.least) },
      { ...band, data: edge(1), fill: "-1", backgroundColor: hatched("--good") },
    );
    lowest = Math.min(lowest, certified.least);
  }
  draw("curve", {
    type: "line",
    data: { datasets },
    options: {
      parsing: false,
      plugins: {
        marker: { lines },
        tooltip: {
          filter: (item) => item.dataset.label !== "",
          callbacks: {
            title: () => "",
            label: ({ raw }) => `${thresholds.format(raw.at)}: ${percent(raw.y)} · ${percent(raw.x)}`,
          },
        },
      },
      scales: {
        x: share(words.taken, { min: 0, max: 1 }),
        y: share(words.right, { min: Math.max(0, Math.floor(lowest * 20 - 1) / 20), max: 1 }),
      },
    },
  });
}

function drawHistogram(data, words) {
  const datasets = [];
  const lines = [];
  const hatch = hatched();
  for (const { side, title, bars } of data.histograms) {
    const threshold = data.thresholds[side];
    const width = 1 / bars.length;
    const taken = (start) => threshold !== null && start + width > threshold + 1e-9;
    datasets.push({
      label: title,
      data: bars.map((n, place) => ({ x: (place + 0.5) * width, y: n })),
      backgroundColor: bars.map((_n, place) => (taken(place * width) ? colour("--machine") : hatch)),
      borderColor: colour("--edge"),
      borderWidth: 0.5,
      barPercentage: 1,
      categoryPercentage: 1,
    });
    if (threshold !== null) lines.push({ at: threshold, words: thresholds.format(threshold) });
  }
  draw("histogram", {
    type: "bar",
    data: { datasets },
    options: {
      parsing: false,
      grouped: false,
      plugins: { marker: { lines } },
      scales: {
        x: { type: "linear", offset: false, min: 0, max: 1, title: { display: true, text: words.confidence } },
        y: { title: { display: true, text: words.tasks }, ticks: { precision: 0 } },
      },
    },
  });
}

function drawReliability(data, words) {
  const look = { borderColor: colour("--machine"), backgroundColor: colour("--machine") };
  const line = (column) => data.reliability.map((row) => ({ x: row[0], y: row[column] }));
  draw("reliability", {
    type: "line",
    data: {
      datasets: [
        { ...look, data: line(1), borderWidth: 2.5, pointRadius: 4 },
        { ...look, data: line(2), borderWidth: 1, borderDash: [4, 3], pointRadius: 0 },
        { ...look, data: line(3), borderWidth: 1, borderDash: [4, 3], pointRadius: 0 },
        { data: [{ x: 0, y: 0 }, { x: 1, y: 1 }], borderColor: colour("--edge"), borderWidth: 1, pointRadius: 0 },
      ],
    },
    options: {
      parsing: false,
      scales: { x: share(words.confidence, { min: 0, max: 1 }), y: share(words.right, { min: 0, max: 1 }) },
    },
  });
}

function drawAll() {
  const source = document.getElementById("tuning-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  drawCurve(data, data.words);
  drawHistogram(data, data.words);
  drawReliability(data, data.words);
}

const form = document.getElementById("thresholds") ?? document.createElement("form");

function mirror(number) {
  const hidden = document.querySelector(`[data-mirrors="${number.id}"]`);
  if (hidden) hidden.value = number.value;
}

for (const slider of form.querySelectorAll("input[type=range]")) {
  const number = document.getElementById(slider.dataset.for);
  slider.addEventListener("input", () => { number.value = slider.value; mirror(number); });
  number.addEventListener("input", () => { if (number.value !== "") slider.value = number.value; });
}
form.addEventListener("input", (event) => mirror(event.target));

document.body.addEventListener("htmx:afterSettle", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
drawAll();
