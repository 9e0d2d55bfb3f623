// Keys of the list of look-alikes: arrows move between the boxes, Enter confirms. Without this file
// the list is a plain form.

const form = document.getElementById("list");
const shownAt = performance.now();

form?.addEventListener("keydown", (event) => {
  if (!event.target.matches("[name=ticked]") || event.ctrlKey || event.metaKey || event.altKey) return;
  const boxes = [...form.querySelectorAll("[name=ticked]")];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) boxes[boxes.indexOf(event.target) + step]?.focus();
  else if (event.key === "Enter" && !event.repeat) form.requestSubmit();
  else return;
  event.preventDefault();
});

form?.addEventListener("submit", (event) => {
  if ("sent" in form.dataset) { event.preventDefault(); return; }
  form.dataset.sent = "";
  form.elements.seconds.value = ((performance.now() - shownAt) / 1000).toFixed(2);
});

// Back from the history of the browser the form may be sent again.
window.addEventListener("pageshow", () => { if (form) delete form.dataset.sent; });
