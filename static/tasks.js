// Keys of the task browser: / to the words, j and k from task to task, x to tick one.

const links = () => [...document.querySelectorAll(".found .what a")];

function move(step) {
  const all = links();
  const now = all.indexOf(document.activeElement?.closest("tr")?.querySelector(".what a"));
  all[Math.min(Math.max(now + step, 0), all.length - 1)]?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest("input:not([type=checkbox]), textarea, select")) return;
  if (event.key === "/") document.querySelector("#id_q")?.focus();
  else if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "x") document.activeElement.closest("tr")?.querySelector("[name=task]")?.click();
  else return;
  event.preventDefault();
});
