"use strict";
// Answers that the server does not have yet. Each is kept on this device with the time when it was given, and sent as
// soon as there is a line: by the page, by another one, or by the service worker, which all share this file. A later
// answer to the same alert takes the place of an earlier one that is still here. An answer leaves only when the server
// has it, or when the person takes it away.

const Outbox = (() => {
  const PATIENCE = 15000;
  const STORAGE_PATIENCE = 3000; // some phones' browsers never say whether they can store anything: that is a no, too
  const STORE = "answers";
  const JSON_TYPE = "application/json";
  const OURS = /<main id="main"|^\{"(acknowledged|error)":/; // a network that wants to be signed in to has pages of its own
  const memory = new Map(); // what could not be stored: in some private windows, or when the phone is full
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
    let limit;
    const late = new Promise((_, reject) => { limit = setTimeout(reject, STORAGE_PATIENCE, new Error("no answer")); });
    try {
      return await Promise.race([transactFor(mode, work), late]);
    } finally {
      clearTimeout(limit);
    }
  }

  async function transactFor(mode, work) {
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
    try {
      await transact("readwrite", (store) => store.put(entry));
      memory.delete(entry.key);
      return true;
    } catch {
      memory.set(entry.key, entry);
      return false;
    } finally {
      tell();
    }
  }

  async function get(key) {
    try {
      return memory.get(key) ?? await transact("readonly", (store) => store.get(key));
    } catch {
      return undefined;
    }
  }

  // All that are here, the one that was given first before the others.
  async function list() {
    const stored = await transact("readonly", (store) => store.getAll()).catch(() => []);
    const all = new Map([...stored.map((entry) => [entry.key, entry]), ...memory]);
    return [...all.values()].sort((one, other) => one.given - other.given);
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
      // It stood in the memory alone, or it is sent once more, which changes nothing.
    }
    tell();
  }

  function tell() {
    channel?.postMessage("changed");
    self.document?.dispatchEvent(new Event("outbox"));
  }

  // Takes away what is `person`'s, and what anybody could send. What somebody else gave here is kept for them.
  async function forget(person) {
    for (const entry of await list()) {
      if (!entry.person || entry.person === person) await settle(entry);
    }
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

  // What the server says to an entry. Throws when it is not the server that says it, or when that cannot be all.
  async function post(entry, accept, csrf) {
    const body = new URLSearchParams(entry.fields);
    if (csrf) body.set("csrf", csrf);
    // How long ago, by the clock that it was given by: so it does not matter whether that clock is right.
    const waited = Math.floor((Date.now() - entry.given) / 1000);
    if (waited > 0) body.set("waited", waited);
    const answer = await limited(entry.action, { method: "POST", headers: { Accept: accept }, body });
    if (answer.status >= 500 || answer.status === 429) throw new Error(String(answer.status));
    if (!OURS.test(answer.text)) throw new Error("not our server");
    return answer;
  }

  async function session() {
    const answer = await limited("/me/session", { redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    return JSON.parse(answer.text);
  }

  // The server's answer, or null when somebody else has signed in here. The session may be another one by now, but the
  // person must be the same.
  async function ask(entry, accept) {
    const answer = await post(entry, accept);
    if (answer.status !== 403 || !entry.person) return answer;
    const now = await session();
    return now.person === entry.person ? post(entry, accept, now.csrf) : null;
  }

  // To the server an answer is as old as it was when it came in. One to the same alert that was given while it was on
  // its way would look older than it, and be dropped: it counts from then on.
  async function keepOrder(entry, begun) {
    const latest = Date.now() - 1000 * Math.floor((begun - entry.given) / 1000);
    for (const other of await list()) {
      const isNext = other.alert === entry.alert && other.id !== entry.id && other.given >= entry.given;
      if (isNext && other.given < latest) await settle(other, { given: latest });
    }
  }

  async function deliver(key, accept) {
    const entry = await get(key);
    if (!entry) return { state: "gone" };
    if (entry.state === "refused") return { state: "refused", entry };
    const begun = Date.now();
    const answer = await ask(entry, accept).finally(() => keepOrder(entry, begun));
    if (answer === null || answer.status === 401 || new URL(answer.url).pathname.startsWith("/sign-in")) {
      await settle(entry, { state: "signed-out" });
      return { state: "signed-out", entry };
    }
    if (answer.ok) {
      if (accept === JSON_TYPE && !("acknowledged" in JSON.parse(answer.text))) throw new Error("no receipt");
      await settle(entry);
      return { state: "kept", entry, html: answer.text };
    }
    await settle(entry, { state: "refused" });
    return { state: "refused", entry, status: answer.status, html: answer.text };
  }

  // Sends one; one at a time among all pages and the worker, so that none is sent twice. Throws without a line.
  async function send(key, accept = JSON_TYPE) {
    if (!navigator.locks) return deliver(key, accept);
    const control = new AbortController();
    // A page that the phone has put to sleep in the middle keeps its turn for ever.
    const limit = setTimeout(() => control.abort(), 2 * PATIENCE);
    const inTurn = () => {
      clearTimeout(limit);
      return deliver(key, accept);
    };
    try {
      return await navigator.locks.request("alertd-outbox", { signal: control.signal }, inTurn);
    } catch (error) {
      if (!control.signal.aborted) throw error;
      return deliver(key, accept);
    }
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

  return { put, get, list, settle, forget, send, session, flush, sendLater, newId, channel };
})();
