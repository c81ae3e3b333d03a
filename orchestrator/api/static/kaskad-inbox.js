/*
 * A person's inbox in the browser. docs/inbox.md shows how to use it.
 *
 *   <script type="module" src="https://kaskad.example.com/static/kaskad-inbox.js"></script>
 *   <kaskad-inbox recipient="olena" token-url="/inbox-token" theme="auto" lang="uk"></kaskad-inbox>
 *
 * For a UI of your own, openInbox() gives the same inbox without anything to look at.
 *
 * Everything that comes from the service is put into the page as text, and only http(s) addresses become links or pictures.
 * The file makes no inline script or style, so it needs no exception in a Content-Security-Policy.
 */

const SERVER = new URL("../", import.meta.url).href;
const PAGE_ITEMS = 100;
// The stream says something every 15 s.
const SILENT_MS = 40_000;
const QUICK_TRIES = 20;
const SLOW_MS = 30_000;
const DAY_MS = 86_400_000;
const MARK_MS = 7 * DAY_MS;
const PANEL_WIDTH = 420;
const USUAL_HEIGHT = 110;

/**
 * Open a person's inbox, and keep it up to date until close().
 *
 * recipient: the person's id. tokenUrl: an address of your own backend that answers {"token", "expires_at"}, as
 * POST /v1/inbox/{recipient}/tokens gives it; or token: an async function that returns the same. server: where Kaskad is, if
 * this file was not loaded from there. onChange(inbox) is called after every change.
 */
export function openInbox(options) {
  return new Inbox(options);
}

/** An absolute http(s) address, or null for anything else, such as javascript: or data:. */
export function webUrl(value) {
  try {
    const url = new URL(value, document.baseURI);
    return typeof value === "string" && /^https?:$/.test(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** An error; `final` if trying again would not help. */
function refusal(message, status = 401) {
  const final = status >= 400 && status < 500 && ![408, 429].includes(status);
  return Object.assign(new Error(message), { status, final });
}

/**
 * What openInbox() returns.
 *
 * items: what to show, pinned first, then newest first; marks that wait to be sent are applied already. counts:
 * {unseen, unread}. state: "loading", "live", "offline" (still trying) or "refused" (problem says why; retry() tries again).
 * complete: whether more() would find nothing.
 */
class Inbox {
  items = [];
  counts = { unseen: 0, unread: 0 };
  state = "loading";
  problem = "";
  // Id → item, as the service said last.
  #stored = new Map();
  #storedCounts = this.counts;
  // Key → what was marked here or in another tab, and is not yet confirmed.
  #marks = new Map();
  #seq = null;
  #cursor = null;
  // The last item of the pages that were loaded.
  #edge = null;
  #turn = Promise.resolve();
  #over = new AbortController();
  #queued = false;
  #syncing = false;
  // The number that the inbox is at, if anybody said it since it was last read. It falls after an erasure.
  #latest;
  #flushing = Promise.resolve();
  #told = false;
  #following = null;
  #more = null;
  #failures = 0;
  #wakes = new Set();

  constructor({ recipient, tokenUrl, token, server, onChange }) {
    this.#root = new URL(`v1/inbox/${encodeURIComponent(recipient)}`, new URL(server || SERVER, document.baseURI)).href;
    this.#ask = token || (() => tokenFrom(tokenUrl));
    this.#name = `kaskad-inbox ${this.#root} `;
    this.#onChange = onChange || (() => {});
    this.#tabs = new BroadcastChannel(this.#name);
    this.#tabs.onmessage = ({ data }) => this.#heard(data);
    const signal = this.#over.signal;
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake(), { signal });
    addEventListener("online", () => this.#wake(), { signal });
    addEventListener("offline", () => this.#become("offline"), { signal });
    // A page that may come back is frozen as it is: it must not keep the others from the stream.
    addEventListener("pagehide", () => this.#leave(), { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && this.retry(), { signal });
    this.#recall();
    this.retry();
  }

  #root;
  #ask;
  #name;
  #onChange;
  #tabs;
  #token;
  #until = 0;
  #asking = null;
  #expiryTimer;

  get complete() {
    return this.#seq !== null && this.#cursor === null;
  }

  /** Begin again after a refusal. */
  retry() {
    this.#until = 0;
    this.#become("loading");
    this.#queueSync();
    if (this.#following) return;
    this.#following = new AbortController();
    const signal = AbortSignal.any([this.#following.signal, this.#over.signal]);
    const follow = () => this.#follow(signal);
    const ended = () => {
      this.#following = null;
    };
    // One tab holds the stream for all: browsers allow few connections to one host.
    const turn = navigator.locks ? navigator.locks.request(this.#name, { signal }, follow) : follow();
    turn.then(ended, ended);
  }

  close() {
    this.#over.abort();
    this.#tabs.close();
    clearTimeout(this.#expiryTimer);
    this.#leave();
  }

  #leave() {
    this.#following?.abort();
    for (const go of [...this.#wakes]) go();
  }

  /** Load the next page; resolves when it is there. Asked again meanwhile, it gives the same promise. */
  more() {
    const load = async () => {
      const page = this.#cursor && (await this.#json(`?limit=${PAGE_ITEMS}&cursor=${encodeURIComponent(this.#cursor)}`));
      this.#more = null;
      if (page) this.#take(page);
    };
    const failed = (error) => {
      this.#more = null;
      return this.#failed(error);
    };
    this.#more ??= this.#inTurn(load).catch(failed);
    return this.#more;
  }

  read(id) {
    this.#mark({ verb: "read", id });
  }

  unread(id) {
    this.#mark({ verb: "unread", id });
  }

  archive(id) {
    this.#mark({ verb: "archive", id });
  }

  /** The person followed the item's link, or one of its actions. */
  click(id, action) {
    this.#mark({ verb: "click", id, action });
  }

  /** Everything that is loaded so far was looked at: the badge is empty. */
  seenAll() {
    if (this.counts.unseen) this.#markAll("seen");
  }

  readAll() {
    if (this.counts.unread) this.#markAll("read");
  }

  #markAll(verb) {
    this.#mark({ verb, upTo: this.#seq, newest: newestOf(this.items) });
  }

  // --- Talking to the service ---

  async #bearer(fresh) {
    if (fresh || this.#until - Date.now() < 30_000) {
      this.#asking ??= this.#ask();
      try {
        const found = await this.#asking;
        if (!found?.token) throw refusal('the token source must answer {"token", "expires_at"}');
        this.#token = found.token;
        this.#until = Date.parse(found.expires_at) || Infinity;
      } finally {
        this.#asking = null;
      }
    }
    return this.#token;
  }

  async #call(path, { body, signal = this.#over.signal, ...more } = {}) {
    for (let fresh = false; ; fresh = true) {
      const bearer = await this.#bearer(fresh);
      const answer = await fetch(this.#root + path, {
        cache: "no-store",
        credentials: "omit",
        signal,
        headers: { Authorization: `Bearer ${bearer}`, ...(body && { "Content-Type": "application/json" }) },
        body: body && JSON.stringify(body),
        ...more,
      });
      if (answer.ok) return answer;
      if (answer.status !== 401 || fresh) throw refusal(`${answer.url} answered ${answer.status}: ${await answer.text()}`, answer.status);
    }
  }

  async #json(path) {
    return (await this.#call(path)).json();
  }

  /** Reads follow one another, so that no older answer overwrites a newer one. */
  #inTurn(work) {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  #queueSync() {
    if (this.#queued || this.#over.signal.aborted) return;
    this.#queued = true;
    this.#inTurn(() => this.#sync()).then(
      () => this.#becameLive(),
      (error) => this.#failed(error),
    );
  }

  async #sync() {
    this.#queued = false;
    this.#syncing = true;
    this.#latest = null;
    const sent = [...this.#marks.keys()].filter((key) => this.#marks.get(key).sent);
    try {
      if (!(await this.#changes())) {
        this.#stored.clear();
        this.#seq = this.#edge = null;
        this.#take(await this.#json(`?limit=${PAGE_ITEMS}`));
      }
    } finally {
      this.#syncing = false;
    }
    for (const key of sent) this.#marks.delete(key);
    this.#update();
  }

  /** Apply what has changed; false if that is not known, and the list must be read again. */
  async #changes() {
    if (this.#seq === null) return false;
    try {
      const { items, gone, seq, counts } = await this.#json(`/changes?after=${this.#seq}`);
      for (const { id } of gone) this.#stored.delete(id);
      for (const item of items) {
        // Else it comes with its page.
        const loaded = !this.#cursor || order(item, this.#edge) <= 0;
        if (loaded && !item.archived_at) this.#stored.set(item.id, item);
        else this.#stored.delete(item.id);
      }
      this.#storedCounts = counts;
      this.#seq = seq;
      return true;
    } catch (error) {
      if (error.status !== 410) throw error;
      return false;
    }
  }

  #take({ items, next_cursor, counts, seq }) {
    for (const item of items) this.#stored.set(item.id, item);
    this.#edge = items.at(-1) || this.#edge;
    this.#cursor = next_cursor;
    this.#storedCounts = counts;
    // What changed in earlier pages since they were read is yet to come.
    this.#seq ??= seq;
    this.#update();
  }

  async #follow(signal) {
    for (let tries = 0; !signal.aborted && this.state !== "refused"; tries += 1) {
      try {
        await this.#listen(signal, (seq) => {
          tries = -1;
          this.#moved(seq);
        });
        // It ended without a word: the service has too many.
        if (tries >= 0) tries = 2 * QUICK_TRIES;
      } catch (error) {
        if (signal.aborted) return;
        this.#failed(error, false);
        this.#post({ live: false });
      }
      await this.#pause(tries);
    }
  }

  /** Read the stream until it ends. It says that something changed, and never what. */
  async #listen(signal, moved) {
    const silence = new AbortController();
    let timer;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENT_MS);
    };
    heard();
    try {
      const answer = await this.#call("/stream", { signal: AbortSignal.any([silence.signal, signal]) });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ; ) {
        const { done, value } = await reader.read();
        if (done) return;
        heard();
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) if (line.startsWith("data:")) moved(JSON.parse(line.slice(5)).seq);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** The inbox is at this number now. */
  #moved(seq) {
    this.#latest = seq;
    // It is looked at when that is done.
    if (this.#seq === null || this.#syncing) return;
    if (seq !== this.#seq) this.#queueSync();
    else if (this.state === "offline") this.#becameLive();
  }

  /** Wait before another try: at first about as long as a restart needs, and less and less often after that. */
  #pause(tries) {
    const ms = tries < QUICK_TRIES ? 600 : Math.min(SLOW_MS, 600 * 1.5 ** (tries - QUICK_TRIES));
    return new Promise((resolve) => {
      const go = () => {
        clearTimeout(timer);
        this.#wakes.delete(go);
        resolve();
      };
      const timer = setTimeout(go, ms * (0.5 + Math.random() / 2));
      this.#wakes.add(go);
    });
  }

  #wake() {
    if (this.state === "refused" && !this.#over.signal.aborted) this.retry();
    for (const go of [...this.#wakes]) go();
    if (this.state !== "live") this.#queueSync();
  }

  async #failed(error, again = true) {
    if (this.#over.signal.aborted) return;
    this.problem = error.message;
    this.#become(error.final ? "refused" : "offline");
    if (error.final || !again) return;
    await this.#pause(this.#failures++);
    this.#queueSync();
  }

  #becameLive() {
    this.#failures = 0;
    this.#become("live");
    this.#flush();
    this.#post({ live: true, seq: this.#seq });
    this.#moved(this.#latest ?? this.#seq);
  }

  #post(data) {
    if (!this.#over.signal.aborted) this.#tabs.postMessage(data);
  }

  #become(state) {
    if (this.state === state || this.#over.signal.aborted) return;
    this.state = state;
    this.#tell();
  }

  // --- Marks: applied at once, kept until the service has them ---

  #mark(mark) {
    if (this.#seq === null) return;
    const opposite = { read: "unread", unread: "read" }[mark.verb];
    for (const [key, old] of this.#marks) if (mark.id && old.id === mark.id && old.verb === opposite) this.#forget(key);
    const key = `${this.#name}${Date.now()} ${Math.random().toString(36).slice(2)}`;
    const whole = { ...mark, at: new Date().toISOString() };
    keep(key, whole);
    this.#post({ key, mark: whole });
    this.#marks.set(key, { ...whole, own: true });
    this.#update();
    this.#flush();
  }

  /** The marks that an earlier page of this browser could not send. */
  #recall() {
    for (const [key, mark] of kept(this.#name)) {
      if (Date.now() - Date.parse(mark.at) < MARK_MS) this.#marks.set(key, { ...mark, own: true });
      else keep(key, null);
    }
  }

  #forget(key) {
    this.#marks.delete(key);
    keep(key, null);
    this.#post({ key, done: true });
  }

  #heard({ key, mark, done, live, seq }) {
    if (mark) {
      this.#marks.set(key, mark);
      this.#update();
    }
    if (done) this.#confirm(key);
    if (live === false && this.state === "live") this.#become("offline");
    if (live) this.#moved(seq);
  }

  /** A mark that was sent is laid over the items until they were read anew. */
  #confirm(key) {
    if (!this.#marks.has(key)) return;
    this.#marks.get(key).sent = true;
    this.#queueSync();
  }

  #flush() {
    const send = async () => {
      for (const [key, mark] of [...this.#marks]) if (!(await this.#send(key, mark))) return;
    };
    this.#flushing = this.#flushing.then(send);
  }

  /** Whether the next mark may be sent. */
  async #send(key, mark) {
    // Another tab has some seconds to send its own.
    const theirs = !mark.own && Date.now() - Date.parse(mark.at) < 10_000;
    if (theirs || mark.sent || !this.#marks.has(key)) return true;
    try {
      const path = mark.id ? `/${encodeURIComponent(mark.id)}/${mark.verb}` : `/all/${mark.verb}`;
      const body = mark.id ? mark.action && { action: mark.action } : { up_to: mark.upTo };
      await this.#call(path, { method: "POST", body, keepalive: true, signal: null });
    } catch (error) {
      if (!error.final || [401, 403].includes(error.status)) {
        this.#failed(error);
        return false;
      }
      // Else the item is gone: there is nothing to mark.
    }
    keep(key, null);
    this.#post({ key, done: true });
    this.#confirm(key);
    return true;
  }

  // --- What is shown ---

  #update() {
    const now = new Date().toISOString();
    let next = "~";
    const counts = { ...this.#storedCounts };
    const marks = [...this.#marks.values()];
    const shown = [];
    for (const item of this.#stored.values()) {
      if (item.expires_at <= now) {
        this.#stored.delete(item.id);
        this.#queueSync();
        continue;
      }
      if (item.expires_at < next) next = item.expires_at;
      const marked = marks.length ? marks.reduce(overlaid, item) : item;
      if (item.read_at ? !marked.read_at : marked.read_at) counts.unread += marked.read_at ? -1 : 1;
      if (!item.seen_at && marked.seen_at) counts.unseen -= 1;
      if (!marked.archived_at) shown.push(marked);
    }
    // Older items than those that are loaded were seen or read as well.
    for (const { verb, upTo } of marks) {
      if (upTo === undefined) continue;
      const [name, field] = verb === "seen" ? ["unseen", "seen_at"] : ["unread", "read_at"];
      counts[name] = Math.min(counts[name], shown.filter((item) => !item[field]).length);
    }
    this.items = shown.sort(order);
    this.counts = { unseen: Math.max(0, counts.unseen), unread: Math.max(0, counts.unread) };
    clearTimeout(this.#expiryTimer);
    this.#expiryTimer = setTimeout(() => this.#update(), Math.min(Date.parse(next) - Date.parse(now) + 50 || DAY_MS, DAY_MS));
    this.#tell();
  }

  #tell() {
    if (this.#told) return;
    this.#told = true;
    queueMicrotask(() => {
      this.#told = false;
      if (!this.#over.signal.aborted) this.#onChange(this);
    });
  }
}

const falling = (one, other) => (one < other ? 1 : one > other ? -1 : 0);

function order(left, right) {
  return falling(left.pinned, right.pinned) || falling(left.created_at, right.created_at) || falling(left.id, right.id);
}

function newestOf(items) {
  return items.reduce((newest, { created_at }) => (created_at > newest ? created_at : newest), "");
}

function overlaid(item, mark) {
  if (mark.id ? mark.id !== item.id : item.created_at > mark.newest) return item;
  const { verb, at } = mark;
  if (verb === "unread") return { ...item, read_at: null };
  const seen = { ...item, seen_at: item.seen_at || at };
  if (verb === "seen") return seen;
  return { ...seen, read_at: item.read_at || at, archived_at: verb === "archive" ? at : item.archived_at };
}

async function tokenFrom(url) {
  if (!url) throw refusal("token-url is missing: an address of your backend that gives this person's token");
  const answer = await fetch(url, { credentials: "include", cache: "no-store" });
  if (!answer.ok) throw refusal(`token-url ${url} answered ${answer.status}`, answer.status < 500 ? 401 : answer.status);
  return answer.json().catch(() => null);
}

/** Write a mark into the browser's storage, or remove it. If that is forbidden, it goes with the page. */
function keep(key, mark) {
  try {
    if (mark) localStorage.setItem(key, JSON.stringify(mark));
    else localStorage.removeItem(key);
  } catch {}
}

function kept(prefix) {
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(prefix));
    return keys.sort().map((key) => [key, JSON.parse(localStorage.getItem(key))]);
  } catch {
    return [];
  }
}

// --- The element ---

const WORDS = {
  en: {
    title: "Notifications",
    count: (count) => `Notifications, new: ${count}`,
    readAll: "Mark all as read",
    close: "Close",
    read: "Mark as read",
    unread: "Mark as unread",
    archive: "Archive",
    isUnread: "Unread.",
    pinned: "Pinned",
    empty: "Nothing here yet",
    emptyText: "New notifications will appear here.",
    loading: "Loading…",
    offline: "You are offline. Changes will be sent later.",
    refused: "Notifications cannot be shown right now.",
    retry: "Try again",
    fresh: (title) => `New notification: ${title}`,
  },
  uk: {
    title: "Сповіщення",
    count: (count) => `Сповіщення, нових: ${count}`,
    readAll: "Прочитати всі",
    close: "Закрити",
    read: "Позначити прочитаним",
    unread: "Позначити непрочитаним",
    archive: "В архів",
    isUnread: "Непрочитане.",
    pinned: "Закріплено",
    empty: "Тут поки порожньо",
    emptyText: "Нові сповіщення з’являться тут.",
    loading: "Завантаження…",
    offline: "Немає зв’язку. Зміни надішлемо пізніше.",
    refused: "Зараз не вдається показати сповіщення.",
    retry: "Спробувати ще",
    fresh: (title) => `Нове сповіщення: ${title}`,
  },
};

const ICONS = {
  bell: "M18 8a6 6 0 0 0-12 0c0 7-3 9-3 9h18s-3-2-3-9M13.7 21a2 2 0 0 1-3.4 0",
  close: "M18 6 6 18M6 6l12 12",
  readAll: "m2 12 5 5L17 7M12 17l1 0L23 7",
  read: "m5 12 5 5L20 7",
  unread: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
  archive: "M3 4h18v4H3zM5 8v12h14V8M10 12h4",
  pinned: "M9 3h6l-1 7 4 3v2H6v-2l4-3zM12 15v6",
};

const STYLE = `
:host { display: inline-block; color-scheme: light dark; font: 400 15px/1.45 system-ui, sans-serif;
  --accent: var(--kaskad-accent, light-dark(#0b63ce, #7db4ff)); --on-accent: light-dark(#fff, #06121f);
  --ink: light-dark(#16191d, #eef0f3); --quiet: light-dark(#59616b, #a5adb8); --line: light-dark(#e3e6ea, #343a42);
  --paper: light-dark(#fff, #1b1f24); --fresh: light-dark(#f1f6fd, #212b38); --raised: light-dark(#eceff3, #2d333b);
  --badge: light-dark(#c81e3a, #ff8fa0); --on-badge: light-dark(#fff, #2b0509); }
:host([theme=light]) { color-scheme: light; }
:host([theme=dark]) { color-scheme: dark; }
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
button, .action { font: inherit; color: inherit; background: none; border: 0; border-radius: 10px; cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
svg { display: block; width: 20px; height: 20px; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
.bell { position: relative; display: grid; place-items: center; width: 44px; height: 44px; padding: 0; border-radius: 50%; }
.bell:hover { background: color-mix(in srgb, currentColor 10%, transparent); }
.bell svg { width: 24px; height: 24px; }
.badge { position: absolute; top: 2px; left: 23px; min-width: 19px; padding: 0 5px; border-radius: 10px; background: var(--badge); color: var(--on-badge);
  font-size: 11px; font-weight: 700; line-height: 19px; text-align: center; }
.panel { position: fixed; inset: auto; width: ${PANEL_WIDTH}px; margin: 0; padding: 0; border: 1px solid var(--line); border-radius: 16px; overflow: hidden;
  background: var(--paper); color: var(--ink); box-shadow: 0 12px 40px #0004; }
.panel:popover-open { display: flex; flex-direction: column; }
.head { display: flex; align-items: center; gap: 4px; min-height: 56px; padding: 6px 8px 6px 18px; border-bottom: 1px solid var(--line); }
h2 { flex: 1; margin: 0; font-size: 17px; font-weight: 650; }
.tool { display: grid; place-items: center; width: 40px; height: 40px; padding: 0; color: var(--quiet); }
.tool:hover, .action:hover { background: var(--raised); color: var(--ink); }
.tool:disabled { opacity: .35; cursor: default; background: none; }
.notice { display: flex; align-items: center; gap: 12px; padding: 8px 18px; background: var(--raised); font-size: 13.5px; }
.notice span { flex: 1; }
.notice button { padding: 4px 10px; color: var(--accent); font-weight: 600; }
.scroll { flex: 1; overflow: hidden auto; overscroll-behavior: contain; overflow-anchor: none; scrollbar-width: thin; position: relative; }
.feed { position: relative; }
.item { position: absolute; inset: 0 0 auto; display: grid; grid-template-columns: 40px minmax(0, 1fr); gap: 0 12px; padding: 14px 14px 6px 18px; border-bottom: 1px solid var(--line); }
.item.unread { background: var(--fresh); }
.item:focus-visible { outline-offset: -3px; border-radius: 8px; }
.face { width: 40px; height: 40px; border-radius: 50%; object-fit: cover; display: grid; place-items: center; background: var(--raised); color: var(--quiet); }
.line { display: flex; gap: 8px; }
h3 { flex: 1; margin: 0; font-size: 15px; font-weight: 500; overflow-wrap: anywhere; }
.unread h3 { font-weight: 650; }
h3 a { color: inherit; text-decoration: none; }
h3 a::after { content: ""; position: absolute; inset: 0; }
.item:has(h3 a:hover) { background: var(--raised); }
.pin { display: inline-block; vertical-align: -2px; margin-inline-end: 5px; color: var(--accent); }
.pin svg { width: 15px; height: 15px; }
time { flex: 1; color: var(--quiet); font-size: 12.5px; }
.dot { flex: none; margin: 6px 2px 0; width: 9px; height: 9px; border-radius: 50%; background: var(--accent); }
.text { margin: 2px 0 0; color: var(--quiet); font-size: 14px; white-space: pre-line; overflow-wrap: anywhere; }
.picture { display: block; width: 100%; aspect-ratio: 16 / 9; margin-top: 10px; border-radius: 10px; object-fit: cover; background: var(--raised); }
.actions { display: flex; flex-wrap: wrap; gap: 6px; margin-top: 8px; }
.foot { display: flex; align-items: center; margin-top: 2px; min-height: 32px; }
.actions > *, .foot > button { position: relative; }
.action { display: inline-block; max-width: 100%; padding: 6px 14px; border: 1px solid var(--line); background: var(--paper); font-size: 14px; font-weight: 600; text-decoration: none; overflow-wrap: anywhere; }
.action.first { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
.action.first:hover { filter: brightness(1.1); }
.foot .tool { width: 32px; height: 32px; margin-inline-end: -4px; }
.foot svg { width: 18px; height: 18px; }
.none { padding: 56px 24px; text-align: center; color: var(--quiet); }
.none p { margin: 4px 0 0; }
.none svg { width: 40px; height: 40px; margin: 0 auto 12px; stroke-width: 1.3; }
.none b { color: var(--ink); }
.loading { margin: 0; padding: 14px; text-align: center; color: var(--quiet); font-size: 13.5px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 480px) { .panel { inset: 0 !important; width: 100%; height: 100dvh !important; border: 0; border-radius: 0; } }
`;

/** An element with attributes, listeners (functions) and children; strings become text, and null nothing. */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function picture(name) {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = svg.appendChild(document.createElementNS(namespace, "path"));
  path.setAttribute("d", ICONS[name]);
  return svg;
}

function image(className, value, missing) {
  const src = webUrl(value);
  if (!src) return missing;
  const shown = make("img", { class: className, src, alt: "", loading: "lazy", referrerpolicy: "no-referrer" });
  shown.addEventListener("error", () => (missing ? shown.replaceWith(missing) : shown.remove()));
  return shown;
}

const text = (value) => (typeof value === "string" ? value : "");

/** Rows of any height, of which only those on the screen are in the document. */
class Rows {
  #scroll;
  #feed;
  #build;
  #end;
  #heights = new Map();
  #tops = [0];
  #nodes = new Map();
  #items = [];
  #places = new Map();
  #width = 0;
  #drawn = 0;
  #soon = () => {
    cancelAnimationFrame(this.#drawn);
    this.#drawn = requestAnimationFrame(() => this.draw());
  };
  #sizes = new ResizeObserver(this.#soon);

  constructor(scroll, feed, build, end) {
    this.#scroll = scroll;
    this.#feed = feed;
    this.#build = build;
    this.#end = end;
    scroll.addEventListener("scroll", this.#soon);
    this.#sizes.observe(scroll);
  }

  show(items) {
    const [held, into] = this.#hold((id) => items.some((item) => item.id === id));
    this.#items = items;
    this.#places = new Map(items.map((item, place) => [item.id, place]));
    this.#measureTops();
    if (held !== null) this.#scroll.scrollTop = this.#tops[this.#places.get(held)] + into;
    this.draw();
  }

  clear() {
    for (const { node } of this.#nodes.values()) node.remove();
    this.#nodes.clear();
  }

  get length() {
    return this.#items.length;
  }

  place(id) {
    return this.#places.get(id) ?? -1;
  }

  /** Bring a row onto the screen and focus it. */
  focus(place) {
    const item = this.#items[Math.max(0, Math.min(place, this.length - 1))];
    if (!item) return false;
    const [top, bottom] = [this.#tops[this.place(item.id)], this.#tops[this.place(item.id) + 1]];
    const box = this.#scroll;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = Math.min(top, bottom - box.clientHeight);
    this.current = item.id;
    this.draw();
    this.#nodes.get(item.id).node.focus({ preventScroll: true });
    return true;
  }

  /** The first row on the screen that stays, and how far the screen's edge is into it; none at the very top. */
  #hold(stays) {
    const from = this.#scroll.scrollTop;
    if (from <= 0) return [null, 0];
    for (let place = this.#at(from); place < this.length; place += 1) {
      const { id } = this.#items[place];
      if (stays(id)) return [id, from - this.#tops[place]];
    }
    return [null, 0];
  }

  #measureTops(from = 0) {
    const tops = this.#tops;
    for (let place = from; place < this.length; place += 1) tops[place + 1] = tops[place] + (this.#heights.get(this.#items[place].id) ?? USUAL_HEIGHT);
    this.#feed.style.height = `${tops[this.length]}px`;
  }

  /** The row at a height, by bisection. */
  #at(height) {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#tops[middle + 1] <= height) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  draw() {
    const box = this.#scroll;
    if (!box.clientHeight) return;
    if (this.#width !== box.clientWidth) this.#heights.clear();
    this.#width = box.clientWidth;
    // A row's height is known once it is there; a few rounds settle which rows are.
    for (let round = 0; round < 5 && this.#settle(); round += 1);
    for (const [id, { node }] of this.#nodes) node.style.transform = `translateY(${this.#tops[this.place(id)]}px)`;
    if (this.#at(box.scrollTop + box.clientHeight) >= this.length - 20) this.#end();
  }

  #settle() {
    const box = this.#scroll;
    const first = Math.max(0, this.#at(box.scrollTop) - 3);
    const last = Math.min(this.length - 1, this.#at(box.scrollTop + box.clientHeight) + 3);
    const wanted = new Set();
    for (let place = first; place <= last; place += 1) wanted.add(place);
    const current = this.place(this.current);
    // It may have the focus.
    if (current >= 0) wanted.add(current);
    this.#render([...wanted].sort((left, right) => left - right));
    let changed = this.length;
    for (const [id, { node }] of this.#nodes) {
      const { height } = node.getBoundingClientRect();
      if (this.#heights.get(id) !== height) changed = Math.min(changed, this.place(id));
      this.#heights.set(id, height);
    }
    if (changed === this.length) return false;
    const [held, into] = this.#hold(() => true);
    this.#measureTops(changed);
    if (held !== null) box.scrollTop = this.#tops[this.place(held)] + into;
    return true;
  }

  #render(places) {
    const ids = new Set(places.map((place) => this.#items[place].id));
    for (const [id, { node }] of this.#nodes) {
      if (ids.has(id)) continue;
      node.remove();
      this.#nodes.delete(id);
    }
    let next = this.#feed.firstChild;
    for (const place of places) {
      const item = this.#items[place];
      let row = this.#nodes.get(item.id);
      if (!row) {
        row = { node: make("article", { class: "item" }) };
        this.#nodes.set(item.id, row);
        this.#sizes.observe(row.node);
      }
      if (row.node === next) next = next.nextSibling;
      else this.#feed.insertBefore(row.node, next);
      this.#build(row, item, place);
    }
  }
}

let numbers = 0;

/**
 * <kaskad-inbox recipient token-url server theme="auto|light|dark" lang="uk|en">: a bell, and the inbox beneath it.
 *
 * Events: "kaskad-click" {item, action, url} before a link is followed (preventDefault() keeps the browser here), and
 * "kaskad-counts" {unseen, unread}. Style: --kaskad-accent, ::part(bell), ::part(badge), ::part(panel); a child replaces the
 * bell's picture. `inbox` is what openInbox() gives.
 */
export class KaskadInbox extends HTMLElement {
  static observedAttributes = ["recipient", "token-url", "server", "lang"];
  inbox = null;
  #words = WORDS.en;
  #rows;
  #badge;
  #bell;
  #panel;
  #parts = {};
  #clock;
  #newest = null;

  connectedCallback() {
    if (!this.shadowRoot) this.#construct();
    this.#speak();
    this.#open();
  }

  disconnectedCallback() {
    this.inbox?.close();
    this.#toggled(false);
  }

  attributeChangedCallback(name, old, now) {
    if (!this.isConnected || !this.shadowRoot || old === now) return;
    if (name === "lang") this.#speak();
    else this.#open();
  }

  #open() {
    this.inbox?.close();
    this.#newest = null;
    this.#rows.clear();
    this.#badge.hidden = true;
    const [recipient, tokenUrl, server] = ["recipient", "token-url", "server"].map((name) => this.getAttribute(name));
    this.inbox = recipient && openInbox({ recipient, tokenUrl, server, onChange: () => this.#changed() });
  }

  #construct() {
    const root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    const parts = this.#parts;
    this.#badge = make("span", { class: "badge", part: "badge", hidden: "" });
    const slot = make("slot", {}, picture("bell"));
    this.#bell = make("button", { class: "bell", part: "bell", type: "button" }, slot, this.#badge);
    parts.title = make("h2", { id: "title" });
    parts.readAll = tool("readAll", () => this.inbox?.readAll());
    parts.close = tool("close", () => this.#panel.hidePopover());
    parts.said = make("span");
    parts.retry = make("button", { type: "button", click: () => this.inbox?.retry() });
    parts.notice = make("div", { class: "notice", role: "status", hidden: "" }, parts.said, parts.retry);
    parts.feed = make("div", { class: "feed", role: "feed", "aria-labelledby": "title", keydown: (event) => this.#key(event) });
    parts.none = make("div", { class: "none", hidden: "" });
    parts.loading = make("p", { class: "loading", hidden: "" });
    parts.scroll = make("div", { class: "scroll" }, parts.feed, parts.none, parts.loading);
    parts.live = make("div", { class: "unseen", role: "status" });
    const head = make("div", { class: "head" }, parts.title, parts.readAll, parts.close);
    this.#panel = make("div", { class: "panel", part: "panel", popover: "auto", role: "dialog", "aria-labelledby": "title", tabindex: -1 }, head, parts.notice, parts.scroll);
    this.#panel.addEventListener("toggle", ({ newState }) => this.#toggled(newState === "open"));
    this.#panel.addEventListener("beforetoggle", ({ newState }) => {
      if (newState === "closed" && this.#panel.contains(root.activeElement)) this.#bell.focus();
    });
    this.#bell.popoverTargetElement = this.#panel;
    parts.feed.addEventListener("focusin", ({ target }) => this.#focused(target.closest("article")));
    root.append(this.#bell, this.#panel, parts.live);
    this.#rows = new Rows(parts.scroll, parts.feed, (row, item, place) => this.#fill(row, item, place), () => this.#end());
  }

  #speak() {
    const tag = (this.closest("[lang]")?.lang || navigator.language).slice(0, 2).toLowerCase();
    const language = ["uk", "ru", "be"].includes(tag) ? "uk" : "en";
    this.language = language;
    const words = (this.#words = WORDS[language]);
    const parts = this.#parts;
    for (const node of [this.#bell, this.#panel, parts.live]) node.lang = language;
    parts.title.textContent = words.title;
    parts.retry.textContent = words.retry;
    parts.loading.textContent = words.loading;
    parts.none.replaceChildren(picture("bell"), make("b", {}, words.empty), make("p", {}, words.emptyText));
    for (const name of ["readAll", "close"]) named(parts[name], words[name]);
    this.#rows.clear();
    if (this.inbox) this.#changed();
  }

  // --- Showing ---

  #changed() {
    const { items, counts, state, problem } = this.inbox;
    const words = this.#words;
    this.#badge.hidden = !counts.unseen;
    this.#badge.textContent = counts.unseen > 99 ? "99+" : String(counts.unseen);
    this.#bell.setAttribute("aria-label", counts.unseen ? words.count(counts.unseen) : words.title);
    const parts = this.#parts;
    parts.readAll.disabled = !counts.unread;
    parts.notice.hidden = !["offline", "refused"].includes(state);
    parts.said.textContent = state === "refused" ? words.refused : words.offline;
    parts.retry.hidden = state !== "refused";
    if (state === "refused") console.warn(`kaskad-inbox: ${problem}`);
    this.#announce(items, state);
    if (this.#panel.matches(":popover-open")) this.#show();
    this.dispatchEvent(new CustomEvent("kaskad-counts", { detail: counts, bubbles: true, composed: true }));
  }

  /** Say aloud what arrived since the last time. */
  #announce(items, state) {
    if (state !== "live") return;
    const fresh = this.#newest !== null && items.find((item) => !item.seen_at && item.created_at > this.#newest);
    if (fresh) this.#parts.live.textContent = this.#words.fresh(text(fresh.title));
    this.#newest = newestOf(items);
  }

  #show() {
    const { items, state, complete } = this.inbox;
    const parts = this.#parts;
    parts.none.hidden = Boolean(items.length) || state === "loading" || !complete;
    parts.feed.hidden = !items.length;
    parts.loading.hidden = complete || state === "refused" || state === "offline";
    parts.feed.setAttribute("aria-busy", String(state === "loading"));
    const place = this.#rows.place(this.#rows.current);
    const inside = parts.feed.contains(this.shadowRoot.activeElement);
    if (!items.some((item) => item.id === this.#rows.current)) {
      this.#rows.current = items[Math.min(Math.max(place, 0), items.length - 1)]?.id;
    }
    this.#rows.show(items);
    if (inside && !parts.feed.contains(this.shadowRoot.activeElement) && !this.#rows.focus(place)) this.#panel.focus();
    if (!document.hidden) this.inbox.seenAll();
  }

  #end() {
    if (this.inbox?.state === "live") this.inbox.more();
  }

  #toggled(open) {
    clearInterval(this.#clock);
    removeEventListener("resize", this.#arrange);
    if (!open) return;
    addEventListener("resize", this.#arrange);
    this.#arrange();
    this.#clock = setInterval(() => this.#show(), 60_000);
    if (!this.inbox) return;
    this.#show();
    if (!this.#rows.focus(0)) this.#panel.focus();
  }

  /** Put the panel beside the bell; over a narrow screen the style spreads it. */
  #arrange = () => {
    const bell = this.#bell.getBoundingClientRect();
    const [wide, high] = [document.documentElement.clientWidth, innerHeight];
    const below = bell.top + bell.bottom < high;
    const height = Math.min(640, Math.max(240, (below ? high - bell.bottom : bell.top) - 16));
    const top = below ? bell.bottom + 8 : bell.top - height - 8;
    const left = Math.min(bell.right - PANEL_WIDTH, wide - PANEL_WIDTH - 8);
    for (const [name, value] of Object.entries({ left, top, height })) this.#panel.style[name] = `${Math.max(8, value)}px`;
  };

  #focused(article) {
    const id = article?.dataset.id;
    if (id === undefined || id === this.#rows.current) return;
    this.#rows.current = id;
    this.#rows.draw();
  }

  #key(event) {
    const place = this.#rows.place(this.#rows.current);
    const article = event.target.closest("article");
    const steps = { ArrowDown: place + 1, PageDown: place + 1, ArrowUp: place - 1, PageUp: place - 1, Home: 0, End: this.#rows.length - 1 };
    if (event.altKey || event.ctrlKey || event.metaKey || !article) return;
    if (event.key in steps) this.#rows.focus(steps[event.key]);
    else if (event.key === "Delete") this.inbox.archive(article.dataset.id);
    else if (event.key === "Enter" && event.target === article) this.#enter(article);
    else return;
    event.preventDefault();
  }

  #enter(article) {
    const link = article.querySelector("h3 a");
    if (link) link.click();
    else this.inbox.read(article.dataset.id);
  }

  // --- One item ---

  #fill(row, item, place) {
    const { node } = row;
    const unread = !item.read_at;
    const drawn = [item.seq, item.title, unread, item.pinned, this.language].join("|");
    if (row.drawn !== drawn) {
      row.drawn = drawn;
      const focus = this.#focusWithin(node);
      node.dataset.id = item.id;
      node.classList.toggle("unread", unread);
      node.replaceChildren(...this.#content(item, unread, node));
      if (focus) (node.querySelector(`[data-name="${focus}"]`) || node).focus({ preventScroll: true });
    }
    const { complete } = this.inbox;
    node.setAttribute("aria-posinset", place + 1);
    node.setAttribute("aria-setsize", complete ? this.#rows.length : -1);
    const current = item.id === this.#rows.current;
    node.tabIndex = current ? 0 : -1;
    for (const control of node.querySelectorAll("a, button")) control.tabIndex = current ? 0 : -1;
    node.querySelector("time").textContent = ago(item.created_at, this.language);
  }

  #focusWithin(node) {
    const active = this.shadowRoot.activeElement;
    return node !== active && node.contains(active) ? active.dataset.name || "none" : "";
  }

  #content(item, unread, node) {
    const words = this.#words;
    const number = (numbers += 1);
    const [titleId, textId] = [`title${number}`, `text${number}`];
    node.setAttribute("aria-labelledby", titleId);
    node.setAttribute("aria-describedby", textId);
    const url = webUrl(item.url);
    const click = (action, to) => (event) => this.#follow(event, item, action, to);
    const title = url ? make("a", { href: url, click: click(undefined, url), auxclick: click(undefined, url), "data-name": "title" }, text(item.title)) : text(item.title);
    const pin = item.pinned ? make("span", { class: "pin" }, picture("pinned"), hidden(`${words.pinned}.`)) : null;
    const when = new Date(item.created_at);
    const time = make("time", { datetime: item.created_at, title: when.toLocaleString(this.language) });
    const heading = make("h3", { id: titleId }, unread ? hidden(`${words.isUnread} `) : null, pin, title);
    const line = make("div", { class: "line" }, heading, unread ? make("span", { class: "dot" }) : null);
    const actions = (Array.isArray(item.actions) ? item.actions : []).slice(0, 3).map((action, place) => {
      const to = webUrl(action.url);
      const looks = { class: `action${place ? "" : " first"}`, click: click(action.action, to), auxclick: click(action.action, to), "data-name": `action${place}` };
      return to ? make("a", { ...looks, href: to }, text(action.title)) : make("button", { ...looks, type: "button" }, text(action.title));
    });
    const mark = unread ? "read" : "unread";
    const tools = [mark, "archive"].map((name) => {
      const button = named(tool(name, () => this.inbox[name](item.id)), words[name]);
      button.dataset.name = name === "archive" ? name : "mark";
      return button;
    });
    const said = make("p", { class: "text", id: textId }, text(item.text));
    const foot = make("div", { class: "foot" }, time, ...tools);
    const body = make("div", {}, line, said, image("picture", item.image, null), actions.length ? make("div", { class: "actions" }, ...actions) : null, foot);
    return [image("face", item.icon, make("span", { class: "face" }, picture("bell"))), body];
  }

  #follow(event, item, action, url) {
    if (event.type === "auxclick" && (event.button !== 1 || !url)) return;
    this.inbox.click(item.id, action);
    const detail = { item, action, url };
    const goes = this.dispatchEvent(new CustomEvent("kaskad-click", { detail, bubbles: true, composed: true, cancelable: true }));
    if (!goes) event.preventDefault();
  }
}

function tool(name, act) {
  return make("button", { class: "tool", type: "button", click: act }, picture(name));
}

function named(button, words) {
  button.setAttribute("aria-label", words);
  button.title = words;
  return button;
}

function hidden(words) {
  return make("span", { class: "unseen" }, words);
}

function ago(time, language) {
  const seconds = (Date.parse(time) - Date.now()) / 1000;
  if (Number.isNaN(seconds)) return "";
  if (seconds < -7 * 86_400) return new Date(time).toLocaleDateString(language, { day: "numeric", month: "short" });
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  for (const [unit, length] of [["day", 86_400], ["hour", 3_600], ["minute", 60]]) {
    if (seconds <= -length) return format.format(Math.trunc(seconds / length), unit);
  }
  return format.format(0, "second");
}

if (!customElements.get("kaskad-inbox")) customElements.define("kaskad-inbox", KaskadInbox);
