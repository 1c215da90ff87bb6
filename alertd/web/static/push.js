"use strict";
// Turning push notifications on in this browser, and keeping them on. A page without words for it just keeps them on.

(() => {
  const csrf = document.querySelector('meta[name="csrf"]').content;
  const box = document.querySelector("[data-push]");
  const state = document.querySelector("[data-push-state]");
  const button = document.querySelector("[data-push-button]");

  function post(path, body) {
    return fetch(path, {
      method: "POST",
      headers: { "X-CSRF-Token": csrf, ...(body ? { "Content-Type": "application/json" } : {}) },
      body: body ? JSON.stringify(body) : undefined,
    });
  }

  async function reasonOf(answer) {
    try {
      const { error } = await answer.json();
      return error.details.length ? error.details.map((each) => each.message).join(" ") : error.message;
    } catch {
      return String(answer.status);
    }
  }

  function keyBytes(text) {
    const padded = text.replace(/-/g, "+").replace(/_/g, "/");
    return Uint8Array.from(atob(padded), (char) => char.charCodeAt(0));
  }

  function deviceName() {
    const agent = navigator.userAgent;
    const system = ["iPhone", "iPad", "Android", "Windows", "Mac", "Linux"].find((name) => agent.includes(name)) || "";
    const browser = [["Edg/", "Edge"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]].find(([sign]) => agent.includes(sign));
    return [browser ? browser[1] : "", system].filter(Boolean).join(" / ");
  }

  // Whether the server took it; false when the push service has told it that this address is dead.
  async function register(subscription) {
    const answer = await post("/api/v1/me/subscriptions", { ...subscription.toJSON(), label: deviceName() });
    if (!answer.ok && answer.status !== 409) throw new Error(await reasonOf(answer));
    return answer.ok;
  }

  async function subscribeAnew(worker, key) {
    await (await worker.pushManager.getSubscription())?.unsubscribe();
    const subscription = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: keyBytes(key) });
    if (!await register(subscription)) throw new Error("409");
  }

  async function turnOn() {
    const permission = await Notification.requestPermission();
    if (permission !== "granted") return show(permission);
    const worker = await navigator.serviceWorker.ready;
    const { public_key: key } = await (await fetch("/api/v1/push/key")).json();
    const subscription = await worker.pushManager.getSubscription();
    const made = subscription?.options.applicationServerKey;
    // A subscription under an older key would be refused by the push service.
    const isOlder = made && String(new Uint8Array(made)) !== String(keyBytes(key));
    if (!subscription || isOlder || !await register(subscription)) await subscribeAnew(worker, key);
    return show("on");
  }

  function show(what, more = "") {
    if (!box) return;
    const words = { on: box.dataset.on, granted: box.dataset.off, default: box.dataset.off, denied: box.dataset.denied, missing: box.dataset.missing, failed: box.dataset.failed, unsure: box.dataset.unsure };
    state.textContent = [words[what], more].filter(Boolean).join(" ");
    state.className = what === "on" ? "good" : "notice";
    button.hidden = !["granted", "default", "failed"].includes(what);
  }

  async function start() {
    if (box) box.hidden = false;
    const isApple = /iPhone|iPad/.test(navigator.userAgent);
    if (!("serviceWorker" in navigator) || !("PushManager" in window)) {
      if (box) box.querySelector("[data-push-ios]").hidden = !isApple;
      return show("missing");
    }
    if (Notification.permission !== "granted") return show(Notification.permission);
    // The browser may have lost it, the server may have lost it or given it up, or have another key by now: at each
    // start it is made whole again, without a question.
    return turnOn();
  }

  button?.addEventListener("click", () => turnOn().catch((error) => show("failed", error.message)));
  // Without a line nothing is known, neither good nor bad.
  start().catch((error) => (error instanceof TypeError ? show("unsure") : show("failed", error.message)));
})();
