// The heat maps: a pointer or the arrow keys name the cell, on both maps at once. Without this file
// the tables below them say what matters most.

const cells = JSON.parse(document.getElementById("heat-cells").textContent);
const frame = document.querySelector(".heat-maps");
const maps = [...frame.querySelectorAll("svg.heat")];
const sentence = document.getElementById("heat-cell");
const size = cells.names.length;
let row = 0;
let column = 0;

const inWords = (value) => // a rounded small negative is -0
  (value || 0).toLocaleString(document.documentElement.lang, { minimumFractionDigits: 2 });

function show(newRow, newColumn) {
  row = Math.min(Math.max(newRow, 0), size - 1);
  column = Math.min(Math.max(newColumn, 0), size - 1);
  for (const map of maps) {
    map.classList.add("pointed");
    map.querySelector(".across").setAttribute("y", row);
    map.querySelector(".down").setAttribute("x", column);
  }
  const words = {
    one: cells.names[row],
    other: cells.names[column],
    before: inWords(cells.before[row][column]),
    after: inWords(cells.after[row][column]),
  };
  sentence.textContent = frame.dataset.sentence.replace(/{(\w+)}/g, (_all, name) => words[name]);
}

const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

for (const map of maps) {
  // A widget only where it works as one: to other readers it stays a picture.
  map.setAttribute("tabindex", "0");
  map.setAttribute("role", "application");
  map.setAttribute("aria-roledescription", frame.dataset.role);
  map.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    show(row + step[0], column + step[1]);
  });
  map.addEventListener("focus", () => { if (map.matches(":focus-visible")) show(row, column); });
  for (const kind of ["pointermove", "pointerdown"]) {
    map.addEventListener(kind, (event) => {
      const box = map.getBoundingClientRect();
      const part = (at, start, length) => Math.floor(((at - start) / length) * size);
      show(part(event.clientY, box.top, box.height), part(event.clientX, box.left, box.width));
    });
  }
}
