/*
 * The service worker of a shop that sends web push with Kaskad. Serve this file from the shop's own origin, and register:
 *
 *   navigator.serviceWorker.register("/kaskad-sw.js?resubscribe=/push/renewed&key=<VAPID public key>")
 *
 * It shows every notification, and reports what became of it to the address that came with it: delivered, clicked or
 * dismissed. A report that fails never keeps a notification from being shown, and junk shows a plain notification,
 * because a browser takes the permission away from workers that show nothing.
 *
 *   resubscribe  optional: a URL of yours that takes {"old": endpoint or null, "new": subscription} by POST when a browser
 *                renews its subscription; hand it on to PUT /v1/recipients/{id}
 *   key          optional: the key to subscribe with anew, for browsers that don't hand over the old subscription
 *   fallback     optional: the title that is shown when a payload cannot be read
 *
 * To have more in one worker, use importScripts("/kaskad-sw.js") in yours; the parameters are then those of your own file.
 */
"use strict";

(() => {
  const PARAMETERS = new URL(self.location.href).searchParams;
  const FALLBACK_TITLE = PARAMETERS.get("fallback") || "Нове повідомлення";

  function words(value) {
    return typeof value === "string" ? value : undefined;
  }

  function payloadOf(event) {
    try {
      const found = event.data ? event.data.json() : null;
      return found && typeof found === "object" && !Array.isArray(found) ? found : {};
    } catch {
      return {};
    }
  }

  // text/plain needs no CORS preflight; keepalive lets the request outlive the worker
  async function report(data, ev, action) {
    const url = data ? webUrl(data.report) : null;
    if (!url || typeof data.rt !== "string") return;
    try {
      await fetch(url, {
        method: "POST",
        mode: "cors",
        credentials: "omit",
        keepalive: true,
        headers: { "Content-Type": "text/plain" },
        body: JSON.stringify({ mid: data.mid, rt: data.rt, ev, action: action || undefined }),
      });
    } catch {
      // a report that is lost leaves the message as it is: nobody knows, nothing breaks
    }
  }

  function webUrl(value) {
    try {
      const url = new URL(value, self.location.origin);
      return typeof value === "string" && /^https?:$/.test(url.protocol) ? url.href : null;
    } catch {
      return null;
    }
  }

  function actionsOf(data) {
    const all = Array.isArray(data.actions) ? data.actions : [];
    return all.filter((one) => one && words(one.action) && words(one.title));
  }

  async function show(data) {
    const title = words(data.title) || FALLBACK_TITLE;
    const plain = { body: words(data.text) || "", data };
    const options = { ...plain, actions: actionsOf(data).map(({ action, title, icon }) => ({ action, title, icon: words(icon) })) };
    for (const name of ["icon", "image", "tag"]) if (words(data[name])) options[name] = data[name];
    if (options.tag) options.renotify = true;
    try {
      await self.registration.showNotification(title, options);
    } catch {
      await self.registration.showNotification(title, plain);
    }
  }

  async function visit(url) {
    const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
    const there = windows.find((one) => one.url === url);
    return there ? there.focus() : self.clients.openWindow(url);
  }

  function keyBytes(text) {
    const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
  }

  async function renew(event) {
    const old = event.oldSubscription;
    const key = PARAMETERS.get("key");
    const options = old ? old.options : key ? { userVisibleOnly: true, applicationServerKey: keyBytes(key) } : null;
    const fresh = event.newSubscription || (options ? await self.registration.pushManager.subscribe(options) : null);
    const target = webUrl(PARAMETERS.get("resubscribe"));
    if (!fresh || !target) return;
    await fetch(target, {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ old: old ? old.endpoint : null, new: fresh.toJSON() }),
    });
  }

  self.addEventListener("install", () => self.skipWaiting());
  self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

  self.addEventListener("push", (event) => {
    const data = payloadOf(event);
    event.waitUntil(Promise.all([show(data), report(data, "delivered")]));
  });

  self.addEventListener("notificationclick", (event) => {
    const data = event.notification.data || {};
    event.notification.close();
    const chosen = actionsOf(data).find((one) => one.action === event.action);
    const url = (chosen && webUrl(chosen.url)) || webUrl(data.url);
    event.waitUntil(Promise.all([url ? visit(url) : null, report(data, "clicked", event.action)]));
  });

  self.addEventListener("notificationclose", (event) => {
    event.waitUntil(report(event.notification.data, "dismissed"));
  });

  self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew(event)));
})();
