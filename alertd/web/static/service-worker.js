"use strict";
// Shows what is pushed, and gives the answer of a notification's button to the server. It always shows something: a
// push that shows nothing costs the permission, and a message that cannot be read is still a reason to look.

const TEXTS = {
  ja: {
    unreadable: "新しいお知らせがあります",
    open: "alertd を開いて内容を確認してください。",
    sending: "回答を送信しています…",
    kept: "回答はサーバーに届きました",
    failed: "回答はまだ届いていません",
    retry: "ここをタップしてページを開き、もう一度回答してください。",
  },
  en: {
    unreadable: "There is a new message",
    open: "Open alertd to see what it is.",
    sending: "Sending your answer…",
    kept: "The server has your answer",
    failed: "Your answer has NOT arrived",
    retry: "Tap here to open the page and answer again.",
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

// An older version that comes late must not take the newer one's place. (Something has to be shown: that one, again.)
async function showNewer(tag, revision) {
  const shown = await self.registration.getNotifications({ tag });
  const newer = shown.find((each) => each.data && each.data.revision > revision);
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

function tell(tag, facts, title, body, needsOpening) {
  return self.registration.showNotification(title, {
    body,
    tag,
    lang: facts.lang,
    icon: "/static/icon-192.png",
    silent: !needsOpening,
    requireInteraction: needsOpening,
    data: facts,
  });
}

async function isKept(token, revision, answer) {
  const response = await fetch(`/a/${encodeURIComponent(token)}`, {
    method: "POST",
    headers: { Accept: "application/json", "Content-Type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ ...(revision ? { revision } : {}), ...(answer === null ? {} : { answer }) }),
    credentials: "omit",
    cache: "no-store",
  });
  if (response.ok) return "acknowledged" in (await response.json());
  // A refusal stays one however often it is tried.
  if (response.status < 500 && response.status !== 429) return false;
  throw new Error(String(response.status));
}

async function answerFrom(notification, action) {
  const facts = notification.data || {};
  const texts = textsFor(facts.lang);
  const tag = notification.tag;
  const answer = action.startsWith("answer:") ? action.slice("answer:".length) : null;
  await tell(tag, facts, facts.title, texts.sending, false);
  for (const wait of WAITS) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    try {
      if (await isKept(facts.token, facts.revision, answer)) return tell(tag, facts, texts.kept, facts.title, false);
      break;
    } catch {
      // No line: tried again, then said.
    }
  }
  return tell(tag, facts, texts.failed, `${facts.title}\n${texts.retry}`, true);
}

async function openPage(url) {
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const open = windows.find((client) => client.url === url);
  if (open) return open.focus();
  return self.clients.openWindow(url);
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

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
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
