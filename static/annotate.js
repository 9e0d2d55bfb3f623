// Keys of the pages where people answer. Every action here presses a button that is on the page, so
// that it works the same by key, by hand, and (but for search as you type) without this file.

export const words = document.getElementById("words").dataset;
const find = (selector) => document.querySelector(selector);
export const say = (text) => { find("#announce").textContent = text; };

let shownAt = performance.now();
let hiddenAt = null;
let sending = null; // the button that was pressed last
let sure = false; // Enter was pressed where the project asks for confirmation

// --- Time on the task, without the time the page was out of sight ---------------------------

document.addEventListener("visibilitychange", () => {
  if (document.hidden) hiddenAt = performance.now();
  else if (hiddenAt !== null) { shownAt += performance.now() - hiddenAt; hiddenAt = null; }
});

export const secondsShown = () => ((performance.now() - shownAt) / 1000).toFixed(2);

// --- Choosing -------------------------------------------------------------------------------

function mark(button) {
  for (const other of document.querySelectorAll("[data-chosen]")) {
    delete other.dataset.chosen;
    other.removeAttribute("aria-current");
  }
  if (button) { button.dataset.chosen = ""; button.setAttribute("aria-current", "true"); }
}

function setMode(mode) {
  const form = find("#answer");
  if (!form) return;
  form.dataset.mode = mode;
  if (mode === "unk") { say(words.why); find(".reason").focus(); }
  else if (document.activeElement?.matches(".reason")) find("#text")?.focus({ preventScroll: true });
}

// Runs before htmx sees the submit event.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.id === "find") {
    event.preventDefault();
    return;
  }
  if (form.id !== "answer") return;
  const button = event.submitter ?? sending;
  if (!button) { event.preventDefault(); event.stopPropagation(); return; }
  mark(button);
  sending = button;
  if ("confirm" in form.dataset && !sure) {
    event.preventDefault();
    event.stopPropagation();
    say(words.confirm);
    return;
  }
  sure = false;
  form.elements.seconds.value = secondsShown();
}, true);

function submitChosen() {
  const form = find("#answer");
  const several = form.querySelectorAll('[name="conf"]:checked').length > 1;
  const button = several ? find("#several") : sending ?? find("[data-chosen]");
  if (!button) return;
  sure = true;
  form.requestSubmit(button);
  sure = false;
}

document.addEventListener("click", (event) => {
  if (!event.target.closest(".search")) find("#hits")?.replaceChildren();
  if (event.target.closest("#nobody")) setMode(find("#answer").dataset.mode === "unk" ? "" : "unk");
  if (event.target.closest("#submit")) submitChosen();
});

// --- Search ---------------------------------------------------------------------------------

let found = ""; // the words that the hits on the page were found for
let awaited = null; // Enter was pressed before they were there

const hits = () => [...document.querySelectorAll("#hits .choice")];

function moveInHits(step) {
  const all = hits();
  if (!all.length) return;
  const now = all.findIndex((hit) => "active" in hit.dataset);
  const next = all[Math.min(Math.max(now + step, 0), all.length - 1)];
  for (const hit of all) delete hit.dataset.active;
  next.dataset.active = "";
  next.scrollIntoView({ block: "nearest" });
  say(next.dataset.name);
}

function tickFound(hit) {
  const picked = find("#picked");
  if (!picked || !hit) return;
  const value = hit.value.replace("label:", "");
  const there = find(`[name="conf"][value="${value}"]`);
  if (there) { there.checked = true; return; }
  const label = document.createElement("label");
  const box = Object.assign(document.createElement("input"), { type: "checkbox", name: "conf", value, checked: true });
  label.append(box, ` ${hit.dataset.name}`);
  picked.append(label);
}

// Enter takes what was found for the words that stand in the field, not for those before.
function takeHit(several) {
  awaited = null;
  const hit = hits().find((one) => "active" in one.dataset);
  if (several) tickFound(hit);
  else if (hit) hit.click();
}

function keyInSearch(event) {
  if (event.key === "ArrowDown") moveInHits(1);
  else if (event.key === "ArrowUp") moveInHits(-1);
  else if (event.key === "Enter") {
    if (find("#q").value.trim() === found) takeHit(event.shiftKey);
    else awaited = { several: event.shiftKey };
  } else if (event.key === "Escape") leaveSearch();
  else return;
  event.preventDefault();
}

function leaveSearch() {
  const input = find("#q");
  window.htmx.trigger(input, "htmx:abort");
  input.value = found = "";
  awaited = null;
  find("#hits").replaceChildren();
  input.blur();
  find("#text")?.focus({ preventScroll: true });
}

// --- Keys -----------------------------------------------------------------------------------

// The letter under the finger, also on a keyboard whose letters are not Latin.
function letter(event) {
  if (/^[a-z/?]$/i.test(event.key)) return event.key.toLowerCase();
  if (event.code === "Slash") return event.shiftKey ? "?" : "/";
  return /^Key[A-Z]$/.test(event.code) ? event.code[3].toLowerCase() : event.key;
}

const digit = (event) => event.code.match(/^(?:Digit|Numpad)([0-9])$/)?.[1] ?? event.key.match(/^[0-9]$/)?.[0];

function press(button) {
  if (button) button.click();
}

function keyOnDigit(event, number) {
  const form = find("#answer");
  const mode = form.dataset.mode;
  if (event.shiftKey) find(`[name="conf"][data-key="${number}"]`)?.click();
  else if (number === "0") setMode(mode === "unk" ? "" : "unk");
  else if (mode === "unk") press(find(`.reason[data-key="${number}"]`));
  else press(find(`.candidate .choice[data-key="${number}"]`));
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.defaultPrevented) return;
  if (event.target.id === "q") { keyInSearch(event); return; }
  if (event.target.closest("input:not([type=checkbox]), textarea, select")) return;
  const pressed = letter(event);
  if ((event.ctrlKey || event.metaKey) && pressed === "z" && !event.shiftKey) {
    event.preventDefault();
    press(find("#take-back"));
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (pressed === "g" || pressed === "?") {
    find(pressed === "g" ? "#guidelines" : "#keys")?.togglePopover();
    event.preventDefault();
    return;
  }
  if (event.repeat) return;
  const sheet = find("[popover]:popover-open");
  if (sheet) { keyInSheet(event, pressed, sheet); return; }
  if (event.key === "Backspace") { event.preventDefault(); press(find("#take-back")); return; }
  if (pressed === "b") { find(".tools a.tool")?.click(); return; }
  if (!find("#answer")) return;
  keyOnTask(event, pressed);
});

// In a card the digits turn to those of the other candidates; in the sheet of skips they choose.
function keyInSheet(event, pressed, sheet) {
  const card = sheet.matches("[id^=card-]");
  if (!card && sheet.id !== "skip") return;
  const chosen = find(`${card ? ".candidate .more" : "#skip .reason"}[data-key="${digit(event)}"]`);
  if (pressed === (card ? "e" : "s")) sheet.hidePopover();
  else if (chosen) press(chosen);
  else return;
  event.preventDefault();
}

// The mark of the document that is focused, else of the open one, else of the first.
const helpfulButton = () => find(".passages li:focus-within .helpful button") ?? find(".passages details[open] + .helpful button") ?? find(".helpful button");

function keyOnTask(event, pressed) {
  const number = digit(event);
  if (event.key === "Escape") setMode("");
  else if (event.key === "Enter") {
    if (event.target.closest("button, a, summary")) return;
    submitChosen();
  } else if (pressed === "/" && find("#q")) find("#q").focus();
  else if (number !== undefined) keyOnDigit(event, number);
  else if (pressed === "h") press(helpfulButton());
  else if (pressed === "k") press(find("#keep"));
  else if (pressed === "e") press(find(".candidate .more"));
  else if (pressed === "f" || pressed === "s") press(find(`[popovertarget="${pressed === "f" ? "flag" : "skip"}"]`));
  else if (pressed === "y" || pressed === "n") press(find(`.candidate .choice[data-key="${pressed}"]`));
  else return;
  event.preventDefault();
}

// Guidelines are asked for when they are opened: they may have changed since the page was loaded.
document.addEventListener("toggle", (event) => {
  if (event.target.id === "guidelines" && event.newState === "open") window.htmx.trigger("#guidelines-text", "opened");
}, true);

// --- What htmx brings, and what to say when it fails ------------------------------------------

export function signInLink() {
  const href = `${words.login}?next=${encodeURIComponent(location.pathname)}`;
  return Object.assign(document.createElement("a"), { href, target: "_blank", rel: "noopener", textContent: words.signIn });
}

export function notice(text, signIn = false, bad = true) {
  const box = find("#notice");
  box.classList.toggle("bad", bad);
  const line = document.createElement("p");
  line.textContent = text;
  if (signIn) line.append(" ", signInLink());
  box.replaceChildren(line);
}

const csrf = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];

document.addEventListener("htmx:configRequest", (event) => {
  const { parameters, headers, elt } = event.detail;
  // The cookie is newer than the form where somebody signed in again in another tab.
  if (csrf() && elt.matches("form")) { headers["X-CSRFToken"] = csrf(); delete parameters.csrfmiddlewaretoken; }
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (new URL(xhr.responseURL || location.href).pathname !== words.login) {
    if (xhr.status === 409 || xhr.status === 422) find("#notice").classList.add("bad");
    return;
  }
  event.detail.shouldSwap = false;
  notice(words.ended, true);
});

document.addEventListener("htmx:responseError", (event) => {
  if (![409, 422].includes(event.detail.xhr.status)) notice(words.failed);
});
for (const name of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, () => notice(words.offline));
}

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id === "hits" || find("#hits")?.contains(event.target)) {
    found = event.detail.requestConfig.parameters.q.trim();
    if (found) moveInHits(1);
    if (awaited && find("#q").value.trim() === found) takeHit(awaited.several);
    return;
  }
  if (event.target.id === "flag-box") find("#text")?.focus({ preventScroll: true });
  if (event.target.id === "work") shown();
});

// A text has come in the place of another.
export function shown() {
  shownAt = performance.now();
  sending = awaited = null;
  found = "";
  scrollTo({ top: 0 });
  find("#text")?.focus({ preventScroll: true });
}
