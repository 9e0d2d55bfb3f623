// Keys of a reviewer beside those of the labeling page: u nobody can choose, r the reason,
// b the note back, Escape out of a field. By the place of the key, whatever its letter.

const fields = { KeyR: "#reason", KeyB: "#note-back" };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.matches("textarea")) {
    if (event.key !== "Escape") return;
    document.querySelector("#text")?.focus({ preventScroll: true });
  } else if (event.target.matches("input:not([type=checkbox]), select")) return;
  else if (event.code === "KeyU") document.querySelector("#nobody")?.click();
  else if (fields[event.code]) document.querySelector(fields[event.code])?.focus();
  else return;
  event.preventDefault();
});
