// Answers that wait in this browser until the server has them. One is stored before it is sent and
// goes when the server took or refused it, so that neither a lost connection nor a reload loses it;
// its `client_id` makes sending twice harmless. An entry belongs to one member of one user: nobody
// else who signs in here sends it. It holds no text, only ids, the choice and the note.

const PREFIX = "countersign-outbox";
const TIMEOUT_MS = 20_000;
const BACKOFF_MS = [1_000, 2_000, 4_000, 8_000, 15_000, 30_000];

// Storage may be full or forbidden: then what is here lasts as long as the page.
const memory = new Map();

const csrf = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";

function keysOf(prefix) {
  const stored = Object.keys(localStorage).filter((key) => key.startsWith(prefix));
  return [...new Set([...stored, ...memory.keys()])];
}

export const waitingOf = (user) => keysOf(`${PREFIX}:${user}:`).length;

export function throwAway(user) {
  for (const key of keysOf(`${PREFIX}:${user}:`)) { localStorage.removeItem(key); memory.delete(key); }
}

export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// `around()` gives fields that say what the page holds; `taken(html, entry)` and
// `refused(html, entry)` hear what became of an entry; `changed(state)` hears how sending goes:
// "idle", "sending", "offline", "ended" (the session), or "failed", then with the server's words.
export class Outbox {
  constructor({ user, member, login, around, taken, refused, changed }) {
    Object.assign(this, { login, around, taken, refused, changed });
    this.prefix = `${PREFIX}:${user}:${member}:`;
    this.state = "idle";
    this.inFlight = null;
    this.tries = 0;
    addEventListener("online", () => this.send());
    addEventListener("focus", () => this.send());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.send(); });
    // The storage of other windows: what they added is told, what they sent is gone from the count.
    addEventListener("storage", (event) => {
      if (!event.key?.startsWith(this.prefix)) return;
      if (event.newValue) this.elsewhere?.(JSON.parse(event.newValue));
      this.changed(this.state);
    });
  }

  entries() {
    const read = (key) => JSON.parse(localStorage.getItem(key) ?? memory.get(key) ?? "null");
    return keysOf(this.prefix).map(read).filter(Boolean).sort((a, b) => a.at - b.at);
  }

  get size() { return keysOf(this.prefix).length; }

  // An entry: {kind, id, url, task, lease, fields: [[name, value], ...]}.
  put(entry) {
    const key = this.prefix + entry.kind + entry.id;
    const last = this.entries().at(-1)?.at ?? 0;
    const text = JSON.stringify({ ...entry, at: Math.max(Date.now(), last + 1) });
    try { localStorage.setItem(key, text); } catch { memory.set(key, text); }
    this.changed(this.state);
    this.send();
  }

  // Take an answer out that was not sent yet; false where it is under way or not here.
  takeOut(id) {
    const key = `${this.prefix}answer${id}`;
    if (this.inFlight === key || !keysOf(key).length) return false;
    this.remove(key);
    this.changed(this.state);
    return true;
  }

  remove(key) { localStorage.removeItem(key); memory.delete(key); }

  // Send what waits, oldest first, one at a time, in one window at a time.
  async send() {
    if (this.running) return;
    clearTimeout(this.timer);
    if (!this.size) { this.become("idle"); return; }
    this.running = true;
    const work = async () => { while (this.size && await this.sendOne(this.entries()[0])); };
    try {
      if (navigator.locks) await navigator.locks.request(this.prefix, work);
      else await work();
    } finally {
      this.running = false;
    }
    if (!this.size) { this.become("idle"); return; }
    const wait = BACKOFF_MS[Math.min(this.tries++, BACKOFF_MS.length - 1)];
    this.timer = setTimeout(() => this.send(), wait);
  }

  // Whether to go on with the next one.
  async sendOne(entry) {
    const key = this.prefix + entry.kind + entry.id;
    this.inFlight = key;
    if (this.state === "idle") this.become("sending");
    const { state, status, html } = await post(entry.url, [...entry.fields, ...this.around()], this.login);
    this.inFlight = null;
    if (state === "refused" || state === "taken") {
      this.remove(key);
      this.tries = 0;
      this.become(this.size ? "sending" : "idle");
      this[state](html, entry);
      return true;
    }
    this.become(state, status === 403 ? html : "");
    return false;
  }

  become(state, sentence = "") {
    this.state = state;
    this.changed(state, sentence);
  }
}

// What the server made of it: "taken", "refused", or why it has to be sent again.
export async function post(url, fields, login) {
  const request = { method: "POST", body: new URLSearchParams(fields), keepalive: true };
  request.headers = { "X-CSRFToken": csrf(), "HX-Request": "true" };
  request.signal = AbortSignal.timeout(TIMEOUT_MS);
  let response, html;
  try {
    response = await fetch(url, request);
    html = await response.text();
  } catch {
    return { state: "offline" };
  }
  if (new URL(response.url).pathname === login) return { state: "ended" };
  if (response.ok) return { state: "taken", html };
  const refused = [409, 422].includes(response.status);
  return { state: refused ? "refused" : "failed", status: response.status, html };
}
