"use strict";

const WORDS = {
  en: {
    heading: "Kaskad · phones", live: "live", lost: "connection lost, trying again", filter: "Find a person or an address",
    emptyTitle: "No messages yet", emptyText: "What the stand-in providers accept appears here at once. Point base_url of an adapter at",
    accounts: "Accounts", accountsText: "Every account, login and token that the stand-ins accept, as an environment file. They are invented: nothing here is a secret.",
    reply: "Reply…", send: "Send", by: "Channel", noReply: "Nobody can reply on these channels.",
    read: "Read", clicked: "Click", failed: "Lose", unsubscribed: "Unsubscribe", showMail: "Show mail", hideMail: "Hide mail",
    optedOut: "opted out", inbox: "Inbox", image: "Image", undecryptable: "The browser could not open it:",
    channels: { sms: "SMS", viber: "Viber", whatsapp: "WhatsApp", email: "Email", web_push: "Web push", mobile_push: "App", telegram: "Telegram" },
    states: {
      accepted: "on its way", sent: "sent", delivered: "delivered ✓", read: "read ✓✓", clicked: "clicked ↗", replied: "answered",
      failed: "lost ✕", expired: "expired ✕", dismissed: "dismissed", unsubscribed: "unsubscribed ✕",
    },
    totals: { accepted: "accepted", delivered: "delivered", read: "read", clicked: "clicked", failed: "lost" },
  },
  uk: {
    heading: "Каскад · телефони", live: "наживо", lost: "зв’язок утрачено, пробуємо ще", filter: "Знайти людину чи адресу",
    emptyTitle: "Повідомлень ще немає", emptyText: "Усе, що приймуть провайдери-двійники, одразу з’явиться тут. Спрямуйте base_url адаптера на",
    accounts: "Облікові записи", accountsText: "Усі облікові записи, логіни й токени, які приймають двійники, як файл оточення. Вони вигадані: секретів тут немає.",
    reply: "Відповісти…", send: "Надіслати", by: "Канал", noReply: "У цих каналах відповісти не можна.",
    read: "Прочитати", clicked: "Натиснути", failed: "Загубити", unsubscribed: "Відписатися", showMail: "Показати лист", hideMail: "Сховати лист",
    optedOut: "відписано", inbox: "Вхідні", image: "Зображення", undecryptable: "Браузер не зміг відкрити:",
    channels: { sms: "SMS", viber: "Viber", whatsapp: "WhatsApp", email: "Пошта", web_push: "Web push", mobile_push: "Застосунок", telegram: "Telegram" },
    states: {
      accepted: "у дорозі", sent: "надіслано", delivered: "доставлено ✓", read: "прочитано ✓✓", clicked: "натиснуто ↗", replied: "є відповідь",
      failed: "загублено ✕", expired: "строк минув ✕", dismissed: "відхилено", unsubscribed: "відписано ✕",
    },
    totals: { accepted: "прийнято", delivered: "доставлено", read: "прочитано", clicked: "натиснуто", failed: "загублено" },
  },
};
const LANG = document.documentElement.lang in WORDS ? document.documentElement.lang : "en";
const W = WORDS[LANG];
const RANK = ["clicked", "replied", "read", "dismissed", "unsubscribed", "delivered", "failed", "expired", "sent", "accepted"];
const BAD = new Set(["failed", "expired", "unsubscribed"]);
const ARRIVED = ["delivered", "read", "clicked", "replied", "dismissed", "unsubscribed"];
const NO_REPLIES = new Set(["web_push", "mobile_push", "email"]);
const NO_READS = new Set(["web_push", "mobile_push", "telegram"]);
const KEPT = 400;
const INBOXES = 3; // each holds a connection to Kaskad, and browsers allow few to one host
const clock = new Intl.DateTimeFormat(LANG, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

let messages = new Map();
let replies = [];
let people = {};
let optedOut = [];
let inApp = { service: null, people: {} };
const inboxes = [];
const phones = new Map();
const $ = (id) => document.getElementById(id);

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function ownerOf(address) {
  for (const [name, addresses] of Object.entries(people)) if (addresses.includes(address)) return name;
  return address;
}

function faceOf(name) {
  return name.includes("://") ? "◎" : name.startsWith("+") ? name.slice(-2) : name.slice(0, 1).toUpperCase();
}

function shortName(name) {
  if (!name.includes("://")) return name;
  const url = new URL(name);
  return `${url.host} …${url.pathname.slice(-6)}`;
}

async function call(path, body, problem) {
  problem.hidden = true;
  try {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (answer.ok) return true;
    problem.textContent = (await answer.json()).error;
  } catch (error) {
    problem.textContent = String(error);
  }
  problem.hidden = false;
  return false;
}

function phoneOf(address) {
  const name = ownerOf(address);
  let phone = phones.get(name);
  if (!phone) {
    phone = newPhone(name);
    phones.set(name, phone);
    $("phones").append(phone.card);
    applyFilter();
  }
  if (!phone.addresses.has(address)) {
    phone.addresses.add(address);
    phone.where.textContent = [...phone.addresses].map(shortName).filter((each) => each !== phone.title.textContent).join(" · ");
  }
  return phone;
}

function newPhone(name) {
  const phone = { name, addresses: new Set(), lines: new Map(), routes: new Map(), card: make("article", "phone") };
  const head = make("header");
  const who = make("div", "who");
  phone.title = make("h2", "", shortName(name));
  phone.title.title = name;
  phone.where = make("p");
  phone.outs = make("div", "outs");
  who.append(phone.title, phone.where);
  head.append(make("div", "face", faceOf(name)), who, phone.outs);
  addBell(phone, head);
  phone.talk = make("ol", "talk");
  phone.talk.tabIndex = 0;
  phone.problem = make("p", "problem");
  phone.problem.hidden = true;
  phone.mute = make("div", "quiet", W.noReply);
  phone.form = replyForm(phone);
  phone.card.append(head, phone.talk, phone.problem, phone.form, phone.mute);
  return phone;
}

function addBell(phone, head) {
  const recipient = inApp.people[phone.name];
  if (!recipient) return;
  phone.bell = make("button", "bell", W.inbox);
  phone.bell.addEventListener("click", async () => {
    const element = showInbox(phone, recipient);
    await customElements.whenDefined("kaskad-inbox");
    element.shadowRoot.querySelector("[part=bell]").click();
  });
  head.append(phone.bell);
  if (inboxes.length < INBOXES) showInbox(phone, recipient);
}

/** The person's inbox in place of the bell; the one that was shown first becomes a bell again. */
function showInbox(phone, recipient) {
  const element = make("kaskad-inbox");
  const token = `/_sandbox/token?person=${encodeURIComponent(recipient)}`;
  const attributes = { recipient, lang: LANG, server: `${inApp.service}/`, "token-url": token };
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  phone.bell.replaceWith(element);
  inboxes.push({ element, bell: phone.bell });
  if (inboxes.length > INBOXES) {
    const oldest = inboxes.shift();
    oldest.element.replaceWith(oldest.bell);
  }
  return element;
}

function replyForm(phone) {
  const form = make("form", "answer");
  const text = make("input");
  text.placeholder = W.reply;
  text.setAttribute("aria-label", W.reply);
  text.maxLength = 1000;
  phone.select = make("select");
  phone.select.setAttribute("aria-label", W.by);
  const button = make("button", "", "➤");
  button.setAttribute("aria-label", W.send);
  form.append(text, phone.select, button);
  form.hidden = true;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [provider, address] = JSON.parse(phone.select.value);
    if (text.value.trim() && await call("/_sandbox/inbound", { provider, from: address, text: text.value }, phone.problem)) text.value = "";
  });
  return form;
}

function addRoute(phone, message) {
  const key = JSON.stringify([message.provider, message.address]);
  if (NO_REPLIES.has(message.channel) || phone.routes.has(key)) return;
  phone.routes.set(key, true);
  const option = make("option", "", W.channels[message.channel]);
  option.value = key;
  option.title = message.provider;
  phone.select.append(option);
  phone.form.hidden = false;
  phone.mute.hidden = true;
}

function keepAtEnd(phone, change) {
  const talk = phone.talk;
  const atEnd = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 60;
  change();
  if (atEnd) talk.scrollTop = talk.scrollHeight;
}

function showMessage(message) {
  const phone = phoneOf(message.address);
  addRoute(phone, message);
  keepAtEnd(phone, () => {
    const line = make("li", `message ${message.channel}`);
    const bubble = make("div", "bubble");
    const meta = make("p", "meta");
    const provider = make("span", "", message.provider);
    const time = make("time", "", clock.format(message.at * 1000));
    meta.append(make("b", "", W.channels[message.channel]), provider, time);
    bubble.append(meta, ...contentOf(message));
    const foot = make("div", "foot");
    line.append(bubble, foot);
    phone.lines.set(message.seq, { line, foot, bubble });
    phone.talk.append(line);
    showStates(message);
  });
}

function contentOf(message) {
  const content = message.content;
  const parts = [];
  if (content.title) parts.push(make("p", "title", content.title));
  if (content.text) parts.push(make("p", "text", content.text));
  if (content.undecryptable) parts.push(make("p", "note wrong", `${W.undecryptable} ${content.undecryptable}`));
  if (content.image) parts.push(make("p", "note", `${W.image}: ${content.image}`));
  if (Array.isArray(content.buttons)) {
    const pills = make("ul", "pills");
    for (const button of content.buttons) {
      const pill = make("li", "", button.title);
      pill.title = button.url || "";
      pills.append(pill);
    }
    parts.push(pills);
  }
  return parts;
}

function showStates(message) {
  const phone = phoneOf(message.address);
  const shown = phone.lines.get(message.seq);
  if (!shown) return;
  const reached = RANK.find((state) => state in message.states) || "accepted";
  const arrived = ARRIVED.some((state) => state in message.states);
  shown.line.classList.toggle("underway", !arrived && !BAD.has(reached));
  shown.line.classList.toggle("lost", !arrived && BAD.has(reached));
  const state = make("span", `state ${BAD.has(reached) ? "bad" : arrived ? "good" : ""}`, W.states[reached]);
  state.title = Object.entries(message.states).map(([name, at]) => `${clock.format(at * 1000)} ${name}`).join("\n");
  shown.foot.replaceChildren(state, ...buttonsOf(message, phone, shown));
}

function buttonsOf(message, phone, shown) {
  const wanted = ["read", "clicked", message.channel === "email" ? "unsubscribed" : "failed"];
  if (NO_READS.has(message.channel)) wanted.splice(0, 1);
  if (message.channel === "telegram") wanted[wanted.length - 1] = "unsubscribed";
  const arrived = ARRIVED.some((state) => state in message.states);
  const buttons = wanted
    .filter((state) => !(state in message.states) && !(state === "failed" && arrived))
    .map((state) => {
      const button = make("button", "", W[state]);
      button.type = "button";
      button.addEventListener("click", () => call("/_sandbox/act", { seq: message.seq, state }, phone.problem));
      return button;
    });
  if (message.content.html) buttons.unshift(mailButton(message, shown));
  return buttons;
}

function mailButton(message, shown) {
  const button = make("button", "", shown.frame ? W.hideMail : W.showMail);
  button.type = "button";
  button.addEventListener("click", () => {
    if (shown.frame) {
      shown.frame.remove();
      shown.frame = null;
    } else {
      shown.frame = make("iframe");
      shown.frame.setAttribute("sandbox", "");
      shown.frame.title = message.content.title || "";
      shown.frame.src = `/_sandbox/mail/${message.seq}`;
      shown.bubble.append(shown.frame);
    }
    button.textContent = shown.frame ? W.hideMail : W.showMail;
  });
  return button;
}

function showReply(reply) {
  const phone = phoneOf(reply.address);
  keepAtEnd(phone, () => {
    const line = make("li", "reply", reply.text);
    line.append(make("small", "", `${reply.provider} · ${clock.format(reply.at * 1000)}`));
    phone.talk.append(line);
  });
}

function showOptOuts() {
  for (const phone of phones.values()) {
    const tags = optedOut.filter(({ address }) => phone.addresses.has(address));
    phone.outs.replaceChildren(...tags.map(({ provider }) => make("span", "tag", `${provider}: ${W.optedOut}`)));
  }
}

function showTotals() {
  const counts = Object.fromEntries(Object.keys(W.totals).map((state) => [state, 0]));
  for (const { states } of messages.values()) for (const state in counts) if (state in states) counts[state] += 1;
  $("totals").replaceChildren(...Object.entries(counts).map(([state, count]) => {
    const item = make("li");
    item.append(make("b", "", String(count)), W.totals[state]);
    return item;
  }));
  $("empty").hidden = messages.size + replies.length > 0;
}

function rebuild() {
  phones.clear();
  inboxes.length = 0;
  $("phones").replaceChildren();
  for (const addresses of Object.values(people)) {
    if ([...messages.values()].some(({ address }) => addresses.includes(address))) phoneOf(addresses[0]);
  }
  const lines = [...[...messages.values()].map((message) => [message.at, showMessage, message]), ...replies.map((reply) => [reply.at, showReply, reply])];
  for (const [, show, what] of lines.sort((left, right) => left[0] - right[0])) show(what);
  showOptOuts();
  showTotals();
}

function forgetOldest() {
  while (messages.size > KEPT) {
    const [seq, message] = messages.entries().next().value;
    messages.delete(seq);
    const phone = phoneOf(message.address);
    phone.lines.get(seq)?.line.remove();
    phone.lines.delete(seq);
  }
  while (replies.length > KEPT) replies.shift();
}

function applyFilter() {
  const wanted = $("filter").value.trim().toLowerCase();
  for (const phone of phones.values()) {
    const text = [phone.name, ...phone.addresses].join(" ").toLowerCase();
    phone.card.hidden = !text.includes(wanted);
  }
}

let totalsDue = false;
function totalsSoon() {
  if (totalsDue) return;
  totalsDue = true;
  requestAnimationFrame(() => { totalsDue = false; showTotals(); });
}

const CHANGES = {
  snapshot(data) {
    messages = new Map(data.messages.map((message) => [message.seq, message]));
    replies = data.replies;
    people = data.people;
    optedOut = data.opted_out;
    inApp = data.in_app;
    if (inApp.service) import(`${inApp.service}/static/kaskad-inbox.js`).catch(() => {});
    rebuild();
  },
  message(data) {
    messages.set(data.seq, data);
    showMessage(data);
    forgetOldest();
  },
  state(data) {
    const message = messages.get(data.seq);
    if (!message) return;
    message.states = data.states;
    keepAtEnd(phoneOf(message.address), () => showStates(message));
  },
  reply(data) { replies.push(data); showReply(data); },
  opted(data) {
    optedOut = optedOut.filter((each) => each.provider !== data.provider || each.address !== data.address);
    if (data.out) optedOut.push(data);
    showOptOuts();
  },
  people(data) { people = data; rebuild(); },
  in_app() { location.reload(); }, // the page may load scripts of the service from now on
  reset() { messages.clear(); replies = []; optedOut = []; rebuild(); },
};

function live(on) {
  document.querySelector(".live").classList.toggle("on", on);
  $("live").textContent = on ? W.live : W.lost;
}

for (const element of document.querySelectorAll("[data-word]")) element.textContent = W[element.dataset.word];
$("filter").placeholder = W.filter;
$("filter").setAttribute("aria-label", W.filter);
$("filter").addEventListener("input", applyFilter);
$("origin").textContent = location.origin;
const stream = new EventSource("/_sandbox/stream");
stream.onopen = () => live(true);
stream.onerror = () => live(false);
for (const [kind, apply] of Object.entries(CHANGES)) {
  stream.addEventListener(kind, (event) => { apply(JSON.parse(event.data)); totalsSoon(); });
}
