/*
 * The service worker of a shop that sends web push with Kaskad. Serve it from the shop's own origin and register it:
 *
 *   navigator.serviceWorker.register("/kaskad-sw.js?resubscribe=/push/renewed")
 *
 * It shows each notification, and reports what became of it to the address that came with it: delivered, clicked or
 * dismissed. A report that fails never keeps a notification from being shown. `resubscribe` (optional) is a URL of yours
 * that takes {"old": endpoint, "new": subscription} when a browser renews its subscription.
 */
"use strict";

const FALLBACK = { title: "Нове повідомлення", text: "" };

function payloadOf(event) {
  try {
    const found = event.data ? event.data.json() : null;
    return found && typeof found === "object" && typeof found.title === "string" ? found : FALLBACK;
  } catch {
    return FALLBACK;
  }
}

function report(data, ev) {
  if (!data || typeof data.report !== "string" || typeof data.rt !== "string") return Promise.resolve();
  // text/plain needs no CORS preflight; keepalive lets it outlive the worker
  return fetch(data.report, {
    method: "POST",
    mode: "cors",
    credentials: "omit",
    keepalive: true,
    headers: { "Content-Type": "text/plain" },
    body: JSON.stringify({ mid: data.mid, rt: data.rt, ev }),
  }).catch(() => undefined);
}

function safeUrl(value) {
  try {
    const url = new URL(value, self.location.origin);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => {
  const data = payloadOf(event);
  const shown = self.registration.showNotification(data.title, {
    body: data.text || "",
    icon: data.icon,
    image: data.image,
    tag: data.tag,
    actions: Array.isArray(data.actions) ? data.actions.slice(0, 4) : undefined,
    data,
  });
  event.waitUntil(Promise.all([shown, report(data, "delivered")]));
});

self.addEventListener("notificationclick", (event) => {
  const data = event.notification.data || {};
  event.notification.close();
  const chosen = (Array.isArray(data.actions) ? data.actions : []).find((one) => one.action === event.action);
  const url = safeUrl((chosen && chosen.url) || data.url);
  event.waitUntil(Promise.all([report(data, "clicked"), url ? open(url) : Promise.resolve()]));
});

self.addEventListener("notificationclose", (event) => {
  event.waitUntil(report(event.notification.data, "dismissed"));
});

async function open(url) {
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = windows.find((one) => one.url === url);
  return there ? there.focus() : self.clients.openWindow(url);
}

self.addEventListener("pushsubscriptionchange", (event) => {
  const target = new URL(self.location.href).searchParams.get("resubscribe");
  const old = event.oldSubscription;
  const options = old ? old.options : { userVisibleOnly: true };
  event.waitUntil(
    self.registration.pushManager.subscribe(options).then((fresh) =>
      target
        ? fetch(target, {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify({ old: old && old.endpoint, new: fresh.toJSON() }),
          })
        : undefined,
    ),
  );
});
