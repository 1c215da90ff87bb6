"use strict";
// Answers that the server does not have yet. Each is kept on this device with the time when it was given, and sent as
// soon as there is a line: by the page, by another one, or by the service worker, which all share this file. A later
// answer to the same alert takes the place of an earlier one that is still here. An answer leaves only when the server
// has it, or when the person takes it away.

const Outbox = (() => {
  const PATIENCE = 15000;
  const STORE = "answers";
  const JSON_TYPE = "application/json";
  const memory = new Map(); // for browsers that keep nothing, as in some private windows
  const channel = self.BroadcastChannel ? new BroadcastChannel("alertd-outbox") : null;

  function open() {
    return new Promise((resolve, reject) => {
      const request = indexedDB.open("alertd", 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "key" });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  }

  async function transact(mode, work) {
    const database = await open();
    try {
      return await new Promise((resolve, reject) => {
        const transaction = database.transaction(STORE, mode);
        const request = work(transaction.objectStore(STORE));
        transaction.oncomplete = () => resolve(request.result);
        transaction.onabort = () => reject(transaction.error);
      });
    } finally {
      database.close();
    }
  }

  // Keeps an answer; whether it outlives this page.
  async function put(entry) {
    memory.set(entry.key, entry);
    try {
      await transact("readwrite", (store) => store.put(entry));
      return true;
    } catch {
      return false;
    } finally {
      tell();
    }
  }

  async function get(key) {
    try {
      return await transact("readonly", (store) => store.get(key));
    } catch {
      return memory.get(key);
    }
  }

  // All that are here, the one that was given first before the others.
  async function list() {
    let all;
    try {
      all = await transact("readonly", (store) => store.getAll());
    } catch {
      all = [...memory.values()];
    }
    return all.sort((one, other) => one.given - other.given);
  }

  // Takes `entry` away, or notes `change` on it, unless a later answer has taken its place.
  async function settle(entry, change = null) {
    if (memory.get(entry.key)?.id === entry.id) {
      if (change) memory.set(entry.key, { ...entry, ...change });
      else memory.delete(entry.key);
    }
    try {
      await transact("readwrite", (store) => {
        const request = store.get(entry.key);
        request.onsuccess = () => {
          if (request.result?.id !== entry.id) return;
          if (change) store.put({ ...entry, ...change });
          else store.delete(entry.key);
        };
        return request;
      });
    } catch {
      // It stood in the memory alone.
    }
    tell();
  }

  function tell() {
    channel?.postMessage("changed");
    self.document?.dispatchEvent(new Event("outbox"));
  }

  async function clear() {
    memory.clear();
    await transact("readwrite", (store) => store.clear()).catch(() => {});
    tell();
  }

  async function limited(url, options) {
    const control = new AbortController();
    const limit = setTimeout(() => control.abort(), PATIENCE);
    try {
      const answer = await fetch(url, { ...options, cache: "no-store", signal: control.signal });
      return { status: answer.status, ok: answer.ok, url: answer.url, text: await answer.text() };
    } finally {
      clearTimeout(limit);
    }
  }

  function post(entry, accept, csrf) {
    const body = new URLSearchParams(entry.fields);
    if (csrf) body.set("csrf", csrf);
    // How long ago, by the clock that it was given by: so it does not matter whether that clock is right.
    const waited = Math.floor((Date.now() - entry.given) / 1000);
    if (waited > 0) body.set("waited", waited);
    return limited(entry.action, { method: "POST", headers: { Accept: accept }, body });
  }

  async function session() {
    const answer = await limited("/me/session", { redirect: "error" });
    return answer.ok ? JSON.parse(answer.text) : null;
  }

  // The server's answer, or null when somebody else has signed in here. The session may be another one by now, but the
  // person must be the same.
  async function ask(entry, accept) {
    const answer = await post(entry, accept);
    if (answer.status !== 403 || !entry.person) return answer;
    const now = await session();
    return now?.person === entry.person ? post(entry, accept, now.csrf) : null;
  }

  async function deliver(key, accept) {
    const entry = await get(key);
    if (!entry) return { state: "gone" };
    if (entry.state === "refused") return { state: "refused", entry };
    const answer = await ask(entry, accept);
    if (answer === null || answer.status === 401 || new URL(answer.url).pathname.startsWith("/sign-in")) {
      await settle(entry, { state: "signed-out" });
      return { state: "signed-out", entry };
    }
    if (answer.ok) {
      // A network that wants to be signed in to answers with a page of its own.
      const isOurs = accept === JSON_TYPE ? "acknowledged" in JSON.parse(answer.text) : answer.text.includes('<main id="main"');
      if (!isOurs) throw new Error("not our server");
      await settle(entry);
      return { state: "kept", entry, html: answer.text };
    }
    if (answer.status >= 500 || answer.status === 429) throw new Error(String(answer.status));
    await settle(entry, { state: "refused" });
    return { state: "refused", entry, status: answer.status, html: answer.text };
  }

  // Sends one; one at a time among all pages and the worker, so that none is sent twice. Throws without a line.
  function send(key, accept = JSON_TYPE) {
    if (!navigator.locks) return deliver(key, accept);
    return navigator.locks.request("alertd-outbox", () => deliver(key, accept));
  }

  // Sends all that wait, and gives what became of each to `tell`. Throws when some could not be sent.
  async function flush(tell = () => {}) {
    let fault = null;
    for (const { key, state } of await list()) {
      if (state === "refused") continue;
      try {
        const done = await send(key);
        if (done.state !== "gone") await tell(done);
      } catch (error) {
        fault = error;
      }
    }
    if (fault) throw fault;
  }

  // Lets the browser send later, even when the page is closed by then; whether it can do that.
  async function sendLater(registration) {
    try {
      await registration.sync.register("answers");
      return true;
    } catch {
      return false;
    }
  }

  function newId() {
    return Array.from(crypto.getRandomValues(new Uint32Array(4))).join("-");
  }

  return { put, get, list, settle, clear, send, flush, sendLater, newId, channel };
})();
