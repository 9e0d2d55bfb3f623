// The desk of the labeling page: an answer goes to the outbox and the next text, which is in the page
// already, takes the place of the answered one at once. What is to come stands in #ahead as
// templates; what was answered is kept here, so that it can be taken back without the server.

import { notice, say, signInLink, shown, words } from "./annotate.js";
import { Outbox, post, randomId } from "./outbox.js";

const HOLD_MS = 60_000;
const SOON_MS = 3_000;
const KEPT = 10;

const find = (selector) => document.querySelector(selector);
const form = () => find("#desk #answer");
const ahead = () => [...document.querySelectorAll("#ahead > template")];
const page = { ...find("#work").dataset }; // its addresses and whose it is

const answered = []; // {id, task, nodes, choice}, the newest last
let nothing = null; // the server's words for an empty queue, once it is one
let lastActive = performance.now();

// --- What the page holds ----------------------------------------------------------------------

const held = () => [form()?.elements.lease?.value, ...ahead().map((one) => one.dataset.lease)].filter(Boolean);
const away = () => outbox.entries().filter((entry) => entry.kind === "answer" && entry.lease).map((entry) => entry.lease);

function around() {
  return [
    ["member", page.member],
    ...held().map((lease) => ["held", lease]),
    ...away().map((lease) => ["away", lease]),
  ];
}

const isAnswered = (task) => outbox.entries().some((entry) => entry.kind === "answer" && entry.task === task);
const isHere = (task) => form()?.elements.task.value === task || ahead().some((one) => one.dataset.task === task);

// --- Showing ----------------------------------------------------------------------------------

function show(nodes, told) {
  find("#desk").replaceChildren(nodes);
  window.htmx.process(find("#desk"));
  shown();
  say(told);
}

// The next text; without one the page says whether any is to come.
function next(before = "") {
  const template = ahead()[0];
  if (template) {
    template.remove();
    show(template.content, `${before} ${template.dataset.say}`);
    return;
  }
  const empty = outbox.size ? null : nothing;
  show(empty ?? find("#waiting").content.cloneNode(true), before);
  say(`${before} ${find("#text").textContent}`);
}

function putBack() {
  if (!form()) return;
  const template = document.createElement("template");
  template.dataset.lease = form().elements.lease?.value ?? "";
  template.dataset.task = form().elements.task.value;
  template.dataset.say = find("#desk #text").textContent.trim();
  template.content.append(...find("#desk").childNodes);
  find("#ahead").prepend(template);
}

// --- Answering --------------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  if (event.defaultPrevented) return;
  if (event.target.id === "undo") {
    event.preventDefault();
    takeBack(event.submitter?.id === "look-again" ? find("#doubt").dataset.id : "");
    return;
  }
  if (event.target.id !== "answer" || !("live" in event.target.dataset)) return;
  event.preventDefault();
  const fields = [...new FormData(event.target, event.submitter)].filter(([name]) => !["csrfmiddlewaretoken", "member"].includes(name));
  const given = Object.fromEntries(fields);
  const nodes = document.createDocumentFragment();
  nodes.append(...find("#desk").childNodes);
  answered.push({ id: given.client_id, task: given.task, nodes, choice: given.choice });
  if (answered.length > KEPT) answered.shift();
  for (const box of ["#notice", "#doubts"]) find(box).replaceChildren();
  outbox.put({ kind: "answer", id: given.client_id, task: given.task, lease: given.lease, url: event.target.action, fields });
  next();
});

// What was answered in this page is here again at once; the server hears of it in its turn, or
// never where it had not heard of the answer. `id`: of the answer, where it is not the last.
function takeBack(id) {
  const place = id ? answered.findIndex((one) => one.id === id) : answered.length - 1;
  if (place < 0) { takeBackFromServer(id); return; }
  const [last] = answered.splice(place, 1);
  find("#doubts").replaceChildren();
  const undo = find("#undo");
  if (!outbox.takeOut(last.id)) outbox.put({ kind: "undo", id: last.id, task: last.task, url: undo.action, fields: [["client_id", last.id]] });
  putBack();
  ahead().find((one) => one.dataset.task === last.task)?.remove();
  show(last.nodes, words.takenBack);
  form().elements.client_id.value = randomId();
  const text = find("#desk #text").textContent.trim();
  say(`${words.takenBack} ${text}`);
}

async function takeBackFromServer(id) {
  const undo = find("#undo");
  if (outbox.size) { notice(words.nothingBack); return; }
  const { state, html } = await post(undo.action, [["client_id", id], ...around()], words.login);
  if (state === "taken") take(html);
  else if (state === "refused") notice(sentenceIn(html));
  else notice(state === "offline" ? words.nothingBack : state === "ended" ? words.ended : words.failed, state === "ended");
}

// --- What the server says ---------------------------------------------------------------------

const parsed = (html) => Object.assign(document.createElement("template"), { innerHTML: html }).content;
const sentenceIn = (html) => parsed(html).querySelector("p")?.textContent.trim() ?? "";

function take(html) {
  const reply = parsed(html);
  for (const lease of reply.querySelector("[data-gone]")?.dataset.gone.split(" ") ?? []) {
    if (lease) find(`#ahead > template[data-lease="${lease}"]`)?.remove();
  }
  for (const part of ["#numbers", "#guidelines-news"]) {
    const fresh = reply.querySelector(part);
    if (fresh) find(part).replaceWith(fresh);
  }
  const doubt = reply.querySelector("#doubt");
  if (doubt) {
    find("#doubts").replaceChildren(doubt);
    window.htmx.process(doubt);
    say(doubt.querySelector("p").textContent);
  }
  const note = reply.querySelector(".note");
  if (note) notice(note.textContent, false, false);
  nothing = reply.querySelector(".empty");
  const again = reply.querySelector("template.again");
  for (const template of reply.querySelectorAll("template.next:not(.again)")) {
    if (!isHere(template.dataset.task) && !isAnswered(template.dataset.task)) find("#ahead").append(template);
  }
  if (again) comeAgain(again, reply.querySelector(".said").textContent);
  else if (!form() && (ahead().length || (nothing && find("#desk [data-waits]")))) next();
}

// A task whose answer was taken back: in hand already, or to be shown now.
function comeAgain(template, said) {
  if (form()?.elements.task.value === template.dataset.task) {
    if (form().elements.lease) form().elements.lease.value = template.dataset.lease;
    return;
  }
  ahead().find((one) => one.dataset.task === template.dataset.task)?.remove();
  if (isAnswered(template.dataset.task)) return;
  putBack();
  show(template.content, `${said} ${template.dataset.say}`);
}

function refuse(html, entry) {
  const place = answered.findIndex((one) => one.id === entry.id);
  if (place >= 0 && entry.kind === "answer") answered.splice(place, 1);
  const sentence = sentenceIn(html);
  notice(entry.kind === "answer" ? words.notTaken.replace("{sentence}", sentence) : sentence);
  hold();
}

function tell(state, sentence) {
  const line = find("#unsent");
  const told = { offline: words.unsentOffline, ended: words.unsentEnded, failed: words.unsentFailed }[state];
  document.documentElement.dataset.outbox = outbox.size;
  if (told && outbox.size) {
    line.dataset.state = "waits";
    const link = state === "ended" ? [" ", signInLink()] : [];
    line.replaceChildren(`${sentenceIn(sentence ?? "") || told} ${words.unsent.replace("{n}", outbox.size)}`, ...link);
  } else if (state === "idle" && line.dataset.state === "waits") {
    line.dataset.state = "sent";
    line.textContent = words.allSent;
  }
}

const outbox = new Outbox({ user: page.user, member: page.member, login: words.login, around, taken: take, refused: refuse, changed: tell });

// Another window of the same member answered a text that is here.
outbox.elsewhere = (entry) => {
  if (entry.kind !== "answer") return;
  ahead().find((one) => one.dataset.task === entry.task)?.remove();
  if (form()?.elements.task.value === entry.task) next(words.elsewhere);
};

// --- Coming, staying, leaving -------------------------------------------------------------------

async function hold() {
  const { state, html } = await post(page.hold, around(), words.login);
  if (state === "taken") take(html);
}

for (const name of ["keydown", "pointerdown"]) document.addEventListener(name, () => { lastActive = performance.now(); });
setInterval(() => { if (!document.hidden && performance.now() - lastActive < HOLD_MS) hold(); }, HOLD_MS);
// The page before this one may say only now that it is gone, and it held the same tasks.
setTimeout(hold, SOON_MS);
addEventListener("pageshow", (event) => { if (event.persisted) hold(); });

addEventListener("pagehide", () => {
  const fields = new FormData(find("#undo"));
  for (const lease of held()) fields.append("held", lease);
  navigator.sendBeacon(page.leave, fields);
});

addEventListener("beforeunload", (event) => {
  if (outbox.size && !["idle", "sending"].includes(outbox.state)) event.preventDefault();
});

// What the server puts into the page may hold tasks whose answers it does not have yet.
function leaveOutAnswered() {
  for (const template of ahead()) if (isAnswered(template.dataset.task)) template.remove();
  if (form() && isAnswered(form().elements.task.value)) next();
}

// A skip is sent at once: it says which answers are still on their way, so that no text of theirs
// comes back.
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt.id === "pass-on") event.detail.parameters.away = away();
});

// After a skip the server shows the next text, and the skip is what is taken back first.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "work") return;
  answered.length = 0;
  leaveOutAnswered();
});

leaveOutAnswered();
outbox.send();
