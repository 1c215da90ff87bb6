"use strict";
// One's own alerts: a new one appears at once, and loudly; and what this device has not sent yet is listed.

(() => {
  const inbox = document.querySelector("[data-inbox]");
  const loud = document.querySelector("[data-loud]");
  const line = document.querySelector("[data-line]");
  const outbox = document.querySelector("[data-outbox]");
  const title = document.title;
  let flashing = null;

  async function refresh() {
    const answer = await fetch(location.pathname, { redirect: "manual", cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = parseFragment(await answer.text());
    // Somebody else has signed in, in another tab: their alerts do not belong under this name.
    if (fresh.querySelector("[data-outbox]").dataset.person !== outbox.dataset.person) return location.reload();
    refreshList(inbox, fresh.querySelector("[data-inbox]"));
    return stream.renew(fresh.querySelector("[data-line]").dataset.asOf);
  }

  function announce(alert) {
    const isOver = alert.state === "cancelled";
    const news = { update: loud.dataset.updated, cancel: loud.dataset.cancelled }[alert.revision_kind] ?? loud.dataset.text;
    const mark = document.createElement("strong");
    mark.textContent = isOver ? loud.dataset.cancelled : alert.drill ? loud.dataset.drill : loud.dataset.real;
    const link = document.createElement("a");
    link.href = document.getElementById(`alert-${alert.id}`) ? `#alert-${alert.id}` : `/me/alerts/${alert.id}`;
    // The title of a later version says by itself what it is.
    link.textContent = alert.revision_kind === "alert" ? `${news}: ${alert.title}` : alert.title;
    loud.className = `loud ${isOver ? "is-over" : alert.drill ? "is-drill" : "is-real"}`;
    loud.replaceChildren(mark, link);
    makeNoise();
    clearInterval(flashing);
    flashing = setInterval(() => {
      document.title = document.title === title ? `● ${news}` : title;
    }, 1000);
  }

  function calm() {
    clearInterval(flashing);
    document.title = title;
  }

  function makeNoise() {
    if (navigator.vibrate) navigator.vibrate([400, 200, 400, 200, 800]);
    try {
      const sound = new AudioContext();
      for (let beep = 0; beep < 6; beep += 1) {
        const tone = sound.createOscillator();
        const volume = sound.createGain();
        tone.frequency.value = beep % 2 ? 660 : 880;
        volume.gain.value = 0.4;
        tone.connect(volume).connect(sound.destination);
        tone.start(sound.currentTime + beep * 0.4);
        tone.stop(sound.currentTime + beep * 0.4 + 0.3);
      }
      setTimeout(() => sound.close(), 4000);
    } catch {
      // No sound is possible here; the words and the title say it.
    }
  }

  // Whoever watches alerts hears of those of others too; those are not theirs to answer.
  async function isMine(id) {
    if (document.getElementById(`alert-${id}`)) return true;
    return location.pathname !== "/me" && (await fetch(`/me/alerts/${id}`, { method: "HEAD", redirect: "manual" })).ok;
  }

  async function hear(frame) {
    if (frame.type === "alert") {
      const known = document.getElementById(`alert-${frame.alert.id}`);
      const isNews = known ? Number(known.dataset.revision) < frame.alert.revision : frame.alert.state === "active";
      let isTold = isNews;
      try {
        await refresh();
        isTold = isNews && await isMine(frame.alert.id);
      } finally {
        if (isTold) announce(frame.alert);
      }
    } else if (frame.type === "hello" || frame.type === "reset") {
      await refresh();
      document.dispatchEvent(new Event("live"));
    }
  }

  function rowOf(entry) {
    const row = document.createElement("li");
    const head = document.createElement("strong");
    head.textContent = entry.title;
    const given = new Date(entry.given).toLocaleString(document.documentElement.lang, { timeZone: line.dataset.zone || undefined, month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    const what = document.createElement("p");
    what.textContent = [entry.label, outbox.dataset.given.replace("{time}", given)].join(" – ");
    const state = document.createElement("p");
    state.textContent = { refused: outbox.dataset.refused, "signed-out": outbox.dataset.signedOut }[entry.state] || outbox.dataset.waiting;
    row.append(head, what, state);
    if (entry.state !== "refused") return row;
    const open = document.createElement("a");
    open.className = "button";
    open.href = entry.action;
    open.textContent = outbox.dataset.openAlert;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "quiet";
    remove.textContent = outbox.dataset.remove;
    remove.addEventListener("click", () => Outbox.settle(entry).then(list));
    row.append(open, remove);
    return row;
  }

  // Answers of somebody else who used this device are theirs: they are neither shown nor sent here.
  async function list() {
    const mine = (await Outbox.list()).filter((entry) => !entry.person || entry.person === outbox.dataset.person);
    outbox.querySelector("ul").replaceChildren(...mine.map(rowOf));
    outbox.hidden = mine.length === 0;
  }

  document.addEventListener("pointerdown", calm);
  document.addEventListener("keydown", calm);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh().catch(() => {}); });
  // An answer that another tab, or the worker, has sent meanwhile.
  Outbox.channel?.addEventListener("message", () => { list(); refresh().catch(() => {}); });
  document.addEventListener("outbox", list);
  // A worker that has just come has not seen what is shown here, and is to keep it.
  if (!navigator.serviceWorker?.controller) navigator.serviceWorker?.ready.then(({ active }) => active.postMessage({ keep: true }));
  addEventListener("pageshow", (event) => { if (event.persisted) refresh().catch(() => {}); });
  const stream = new Stream(line, {}, hear);
  list();
})();
