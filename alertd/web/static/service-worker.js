"use strict";
// Shows what is pushed, and gives the answer of a notification's button to the server. It always shows something: a
// push that shows nothing costs the permission, and a message that cannot be read is still a reason to look.
// And it keeps the pages of one's own alerts as they were last seen, for when there is no line.

importScripts("/static/outbox.js");

const TEXTS = {
  ja: {
    unreadable: "新しいお知らせがあります",
    open: "alertd を開いて内容を確認してください。",
    sending: "回答を送信しています…",
    kept: "回答はサーバーに届きました",
    failed: "回答はまだ届いていません",
    retry: "ここをタップしてページを開き、もう一度回答してください。",
    waiting: "回答はまだ送られていません",
    later: "つながりしだい送ります。",
    offline: "つながっていません",
    notKept: "このページは、サーバーにつながらないと表示できません。",
    own: "最後に表示した警報を見る",
    again: "もう一度試す",
    stillIn: "まだサインアウトしていません",
    unsent: "送られていない回答があります。つながってから、もう一度サインアウトしてください。",
    noLine: "つながってから、もう一度サインアウトしてください。",
  },
  en: {
    unreadable: "There is a new message",
    open: "Open alertd to see what it is.",
    sending: "Sending your answer…",
    kept: "The server has your answer",
    failed: "Your answer has NOT arrived",
    retry: "Tap here to open the page and answer again.",
    waiting: "Your answer is NOT sent yet",
    later: "It will be sent as soon as there is a connection.",
    offline: "No connection",
    notKept: "This page cannot be shown without the server.",
    own: "My alerts, as last seen",
    again: "Try again",
    stillIn: "You are NOT signed out yet",
    unsent: "An answer has not been sent. Sign out again when there is a connection.",
    noLine: "Sign out again when there is a connection.",
  },
};
const WAITS = [0, 2000, 5000];

function textsFor(language) {
  return TEXTS[(language || self.navigator.language || "ja").slice(0, 2)] || TEXTS.ja;
}

// Only paths of this site are opened: a payload could say anything.
function ownUrl(wish) {
  try {
    const url = new URL(wish, self.location.origin);
    return url.origin === self.location.origin ? url.href : `${self.location.origin}/`;
  } catch {
    return `${self.location.origin}/`;
  }
}

// The emergency manager sees that this phone shows it. Nobody's answer depends on it: without a line it is just not said.
async function sayShown(beacon) {
  if (!beacon) return;
  const url = ownUrl(beacon);
  for (const wait of WAITS) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    try {
      const answer = await fetch(url, { method: "POST", credentials: "omit", cache: "no-store", keepalive: true });
      if (answer.status < 500) return;
    } catch {
      // Tried again.
    }
  }
}

async function newerThan(tag, revision) {
  const shown = await self.registration.getNotifications({ tag });
  return shown.find((each) => each.data && each.data.revision > revision);
}

// An older version that comes late must not take the newer one's place. (Something has to be shown: that one, again.)
async function showNewer(tag, revision) {
  const newer = await newerThan(tag, revision);
  if (!newer) return false;
  const { title, body, lang, data, actions, requireInteraction } = newer;
  await self.registration.showNotification(title, {
    body,
    tag,
    lang,
    data,
    actions,
    requireInteraction,
    silent: true,
    icon: "/static/icon-192.png",
  });
  return true;
}

async function showPushed(data) {
  try {
    const { notification } = data.json();
    if (!notification.title) throw new Error("no title");
    const { title, actions = [], data: facts = {}, ...rest } = notification;
    if (await showNewer(rest.tag, facts.revision)) return;
    delete rest.navigate;
    // A browser shows only some buttons; half of the choices would look like all of them.
    const most = Notification.maxActions === undefined ? actions.length : Notification.maxActions;
    await self.registration.showNotification(title, {
      ...rest,
      icon: "/static/icon-192.png",
      actions: actions.length <= most ? actions.map(({ action, title: label }) => ({ action, title: label })) : [],
      data: { ...facts, navigate: notification.navigate || facts.navigate, title, lang: rest.lang },
    });
    await sayShown(facts.beacon);
  } catch {
    const texts = textsFor();
    await self.registration.showNotification(texts.unreadable, {
      body: texts.open,
      icon: "/static/icon-192.png",
      tag: "alertd-unreadable",
      renotify: true,
      requireInteraction: true,
      data: { navigate: "/" },
    });
  }
}

// What became of an answer takes the place of what was answered, but not of a newer version that came meanwhile.
async function tell(tag, facts, title, body, needsOpening) {
  const isOutdated = await newerThan(tag, facts.revision);
  return self.registration.showNotification(title, {
    body,
    tag: isOutdated ? `${tag}-answer` : tag,
    lang: facts.lang,
    icon: "/static/icon-192.png",
    silent: !needsOpening,
    requireInteraction: needsOpening,
    data: facts,
  });
}

// A refusal stays one however often it is tried; without a line the answer waits on this device.
async function answerFrom(notification, action) {
  const facts = notification.data || {};
  const { tag } = notification;
  const path = `/a/${encodeURIComponent(facts.token)}`;
  const fields = facts.revision ? [["revision", facts.revision]] : [];
  if (action.startsWith("answer:")) fields.push(["answer", action.slice("answer:".length)]);
  const label = (notification.actions || []).find((each) => each.action === action)?.title || "";
  const whose = { key: path, id: Outbox.newId(), action: path, alert: facts.alert, person: null };
  const entry = { ...whose, fields, title: facts.title, label, given: Date.now(), state: "waiting", notification: { tag, facts } };
  const isStored = await Outbox.put(entry);
  await tell(tag, facts, facts.title, textsFor(facts.lang).sending, false);
  for (const wait of WAITS) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    try {
      const { state } = await Outbox.send(path);
      // Somebody else may have sent it meanwhile: what became of it has been said then.
      return state === "gone" ? tellEnd(entry, "kept") : tellEnd(entry, state);
    } catch {
      // No line: tried again, then said.
    }
  }
  const texts = textsFor(facts.lang);
  if (isStored && await Outbox.sendLater(self.registration)) return tell(tag, facts, texts.waiting, `${facts.title}\n${texts.later}`, true);
  return tellEnd(entry, "failed");
}

function tellEnd({ notification: { tag, facts } }, state) {
  const texts = textsFor(facts.lang);
  if (state === "kept") return tell(tag, facts, texts.kept, facts.title, false);
  return tell(tag, facts, texts.failed, `${facts.title}\n${texts.retry}`, true);
}

// The page that took an answer has said that it would be sent, and is closed by now. Without the permission to show
// anything, the next page says it.
function tellOfPage({ key: tag, title, lang, person, action }) {
  const facts = { title, lang, navigate: person ? OWN : action };
  return tellEnd({ notification: { tag, facts } }, "failed").catch(() => {});
}

// A line is there: what waits is sent. When it fails the browser asks again, later.
async function sendWaiting() {
  await Outbox.flush(async ({ state, entry }) => {
    if (entry.notification) await tellEnd(entry, state);
    else if (state !== "kept" && entry.state === "waiting") await tellOfPage(entry);
  });
}

async function openPage(url) {
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const open = windows.find((client) => client.url === url);
  if (!open) return self.clients.openWindow(url);
  open.postMessage("look"); // it may stand there for hours
  return open.focus();
}

async function subscribeAgain() {
  const { public_key: key } = await (await fetch("/api/v1/push/key")).json();
  const { csrf } = await (await fetch("/me/session", { redirect: "error" })).json();
  const bytes = Uint8Array.from(atob(key.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
  const subscription = await self.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes });
  const answer = await fetch("/api/v1/me/subscriptions", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: JSON.stringify(subscription.toJSON()),
  });
  if (!answer.ok) throw new Error(String(answer.status));
}

async function renew() {
  try {
    await subscribeAgain();
  } catch {
    const texts = textsFor();
    await self.registration.showNotification("alertd", { body: texts.open, tag: "alertd-renew", data: { navigate: "/me" } });
  }
}

// Pages without a line. One's own alerts (/me, and older ones by themselves) and personal links are shown as they were
// last seen when the server does not answer in time; the page itself says as of when it is. What is kept belongs to one
// person.
const SHELL = "alertd-shell";
const PAGES = "alertd-pages";
const PATIENCE = 4000;
const LETTERS_MOST = 20;
const OWN = "/me";
let departures = 0; // how often somebody has signed out

function keyOf(url) {
  if (url.pathname === OWN) return OWN;
  return /^(\/a\/[\w-]{32}|\/me\/alerts\/[\w-]+)$/.test(url.pathname) ? url.pathname : null;
}

// What is somebody's is not kept: neither what is, nor what was asked for before and is still on its way.
function forgetPages() {
  departures += 1;
  return caches.delete(PAGES);
}

// Keeps the page that was asked for after so many `departures`.
async function keepPage(key, response, since) {
  const pages = await caches.open(PAGES);
  const person = response.headers.get("Alertd-Person");
  const isOfOther = (each) => (each.headers.get("Alertd-Person") ?? person) !== person;
  if (person && (await pages.matchAll()).some(isOfOther)) await caches.delete(PAGES);
  // Whoever is sent on to the sign-in page has no alerts here any more.
  if (key?.startsWith(OWN) && (response.type === "opaqueredirect" || response.redirected)) return caches.delete(PAGES);
  if (!key || !response.ok || response.redirected) return null;
  const html = await response.text();
  await keepParts(html);
  const kept = await caches.open(PAGES);
  // A page that comes from here says so: see `.if-kept` in the style sheet.
  const headers = new Headers(response.headers);
  headers.delete("Content-Encoding");
  headers.delete("Content-Length");
  if (departures !== since) return null;
  await kept.put(key, new Response(html.replace("<html ", "<html data-kept "), { headers }));
  const letters = (await kept.keys()).filter((request) => new URL(request.url).pathname !== OWN);
  return Promise.all(letters.slice(0, -LETTERS_MOST).map((request) => kept.delete(request)));
}

async function keepOwn() {
  const since = departures;
  await keepPage(OWN, await fetch(OWN, { redirect: "manual", cache: "no-store" }), since);
}

// What a kept page is made of is kept with it, in the versions that it names.
async function keepParts(html) {
  const shell = await caches.open(SHELL);
  const parts = new Set(html.match(/\/static\/[\w.-]+\?v=[\w-]+/g));
  for (const part of parts) {
    if (await shell.match(part)) continue;
    const response = await fetch(part);
    if (!response.ok) continue;
    await shell.delete(part, { ignoreSearch: true });
    await shell.put(part, response);
  }
}

// Static addresses change with their content: what is kept is right. Without a line any version is better than none.
async function loadPart(request) {
  const kept = await caches.match(request, { cacheName: SHELL });
  if (kept) return kept;
  try {
    return await fetch(request);
  } catch (error) {
    const other = await caches.match(request, { cacheName: SHELL, ignoreSearch: true });
    if (other) return other;
    throw error;
  }
}

async function loadPage(event) {
  return (await event.preloadResponse) || fetch(event.request);
}

function ownPage() {
  return caches.match(OWN, { cacheName: PAGES });
}

// What the server says, unless it says nothing in time.
async function firstOf(coming) {
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE, null));
  const first = await Promise.race([coming, late]).catch(() => null);
  return first && first.status < 500 ? first : null;
}

async function showPage(coming, url) {
  const key = keyOf(url);
  const isStart = url.pathname === "/"; // where the app starts, which only leads on
  const kept = isStart ? await ownPage() : key && await caches.match(key, { cacheName: PAGES });
  if (!kept) return coming.catch(() => inWords("offline", "notKept", url));
  return (await firstOf(coming)) || (isStart ? Response.redirect(OWN) : kept);
}

// A page of the worker's own, in the language of the kept ones.
// A path that begins with two slashes would lead to another server.
function locationOf(url) {
  return `/${url.pathname.replace(/^\/+/, "")}${url.search}`.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
}

async function inWords(heading, text, url) {
  const own = await ownPage();
  const language = own ? (await own.text()).match(/<html [^>]*lang="(\w+)"/)?.[1] : undefined;
  const texts = textsFor(language);
  const way = (path, label) => `<p><a class="button" href="${path}">${label}</a></p>`;
  const html = `<!doctype html><html lang="${texts === TEXTS.ja ? "ja" : "en"}"><head><meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
    <title>${texts[heading]}</title><link rel="stylesheet" href="/static/alertd.css"></head>
    <body><main id="main"><div class="narrow"><h1>${texts[heading]}</h1><p class="notice">${texts[text]}</p>
    ${own ? way(OWN, texts.own) : ""}${way(locationOf(new URL(url)), texts.again)}</div></main></body></html>`;
  const headers = { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": "default-src 'none'; style-src 'self'" };
  return new Response(html, { status: 503, headers });
}

// Signing out takes away what is kept here, and therefore waits for what has not been sent.
async function signOut(request) {
  let obstacle = "unsent";
  try {
    await Outbox.flush();
    obstacle = "noLine";
    const person = await Outbox.session().then((session) => session.person, () => null);
    const response = await fetch(request);
    const isOut = response.type === "opaqueredirect" || response.status === 401; // by this, or before
    if (isOut) await Promise.all([forgetPages(), Outbox.forget(person)]);
    return response;
  } catch {
    return inWords("stillIn", obstacle, new URL("/me/settings", self.location));
  }
}

function load(event) {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== self.location.origin) return;
  if (request.method === "POST" && url.pathname === "/sign-out") event.respondWith(signOut(request));
  if (request.method !== "GET") return;
  if (url.pathname.startsWith("/static/")) {
    event.respondWith(loadPart(request));
    return;
  }
  const key = keyOf(url);
  if (request.mode !== "navigate" && !key) return;
  const coming = request.mode === "navigate" ? loadPage(event) : fetch(request);
  const since = departures;
  event.waitUntil(coming.then((response) => keepPage(key, response.clone(), since)).catch(() => {}));
  event.respondWith(request.mode === "navigate" ? showPage(coming, url) : coming);
}

async function activate() {
  // The request goes out while the worker starts, so that the pages are not slower for it.
  await self.registration.navigationPreload?.enable();
  await self.clients.claim();
}

self.addEventListener("fetch", load);
self.addEventListener("message", (event) => {
  const { entry, state } = event.data; // what a page has sent, or nothing: it is to be kept
  event.waitUntil(entry ? tellEnd(entry, state) : keepOwn());
});
self.addEventListener("sync", (event) => event.waitUntil(sendWaiting()));
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("push", (event) => event.waitUntil(showPushed(event.data)));
self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew()));
self.addEventListener("notificationclick", (event) => {
  const facts = event.notification.data || {};
  if (event.action && facts.token) {
    event.waitUntil(answerFrom(event.notification, event.action));
    return;
  }
  event.notification.close();
  event.waitUntil(openPage(ownUrl(facts.navigate || "/")));
});
