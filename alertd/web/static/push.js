"use strict";
// Turning push notifications on in this browser, and testing all ways to oneself.

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

  async function register(subscription) {
    const answer = await post("/api/v1/me/subscriptions", { ...subscription.toJSON(), label: deviceName() });
    if (!answer.ok) throw new Error(await reasonOf(answer));
  }

  async function turnOn() {
    const permission = await Notification.requestPermission();
    if (permission !== "granted") return show(permission);
    const worker = await navigator.serviceWorker.ready;
    const { public_key: key } = await (await fetch("/api/v1/push/key")).json();
    let subscription = await worker.pushManager.getSubscription();
    const made = subscription && subscription.options.applicationServerKey;
    // A subscription under an older key would be refused by the push service.
    if (made && btoa(String.fromCharCode(...new Uint8Array(made))) !== btoa(String.fromCharCode(...keyBytes(key)))) {
      await subscription.unsubscribe();
      subscription = null;
    }
    subscription ||= await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: keyBytes(key) });
    await register(subscription);
    return show("on");
  }

  function show(what, more = "") {
    const words = { on: box.dataset.on, granted: box.dataset.off, default: box.dataset.off, denied: box.dataset.denied, missing: box.dataset.missing, failed: box.dataset.failed };
    state.textContent = [words[what], more].filter(Boolean).join(" ");
    state.className = what === "on" ? "good" : "notice";
    button.hidden = !["granted", "default", "failed"].includes(what);
  }

  async function start() {
    box.hidden = false;
    const isApple = /iPhone|iPad/.test(navigator.userAgent);
    if (!("serviceWorker" in navigator) || !("PushManager" in window)) {
      box.querySelector("[data-push-ios]").hidden = !isApple;
      return show("missing");
    }
    const worker = await navigator.serviceWorker.register("/service-worker.js");
    const subscription = await worker.pushManager.getSubscription();
    if (!subscription || Notification.permission !== "granted") return show(Notification.permission);
    // The server may have lost it, or given it up: what counts is what the server has.
    await register(subscription);
    return show("on");
  }

  button.addEventListener("click", () => turnOn().catch((error) => show("failed", error.message)));
  start().catch((error) => show("failed", error.message));

  const test = document.querySelector("[data-test]");
  if (!test) return;
  const result = document.querySelector("[data-test-state]");
  const testButton = document.querySelector("[data-test-button]");
  const SETTLED = ["delivered", "failed", "held", "expired", "cancelled"];

  function list(items) {
    const shown = document.createElement("ul");
    shown.className = "ways";
    for (const item of items) {
      const row = document.createElement("li");
      const channel = document.createElement("strong");
      channel.textContent = item.channel;
      row.append(channel, ` ${item.said}${item.reason ? ` (${item.reason})` : ""}`);
      if (item.raw) {
        const raw = document.createElement("small");
        raw.className = "raw";
        raw.lang = "en";
        raw.textContent = ` ${item.raw}`;
        row.append(raw);
      }
      shown.append(row);
    }
    return shown;
  }

  async function follow(id) {
    const intro = document.createElement("p");
    intro.textContent = test.dataset.going;
    for (let round = 0; round < 60; round += 1) {
      const answer = await fetch(`/me/tests/${id}`, { redirect: "manual", cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const { items } = await answer.json();
      result.replaceChildren(intro, list(items));
      if (items.every((item) => SETTLED.includes(item.state))) return;
      await new Promise((resolve) => setTimeout(resolve, round < 10 ? 1000 : 5000));
    }
  }

  async function runTest() {
    testButton.disabled = true;
    try {
      const answer = await post("/api/v1/me/test");
      if (!answer.ok) throw new Error(await reasonOf(answer));
      const sent = await answer.json();
      await follow((sent.alert || sent).id);
    } catch (error) {
      result.textContent = `${test.dataset.failed} ${error.message}`;
    }
    testButton.disabled = false;
  }

  test.hidden = false;
  testButton.addEventListener("click", runTest);
})();
