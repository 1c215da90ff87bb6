"use strict";
// The wall: the stream says when something has changed, and the page's own part is fetched again. Nobody stands by to
// press anything, so it never leaves a page that works for one that may not load.

(() => {
  const wall = document.querySelector("[data-wall]");
  const line = wall.querySelector("[data-line]");
  const age = wall.querySelector("[data-age]");
  const clock = wall.querySelector("[data-clock]");
  const format = new Intl.DateTimeFormat(document.documentElement.lang, { hour: "numeric", minute: "2-digit", second: "2-digit", hour12: false, timeZone: clock.dataset.zone || undefined });
  const EVERY = 1000; // at most so often, however many answer
  const AT_LEAST = 30000; // and so often when nothing is heard: time goes on in the drawing, and an alert may run out
  const AGAIN = 3000;
  const STUCK = 10; // seconds after which news that cannot be shown are said to be missing, however live the stream is
  let part = wall.querySelector("[data-part]");
  let ahead = Date.parse(part.dataset.now) - Date.now(); // the clock of whoever hangs this up may be wrong
  let fetchedAt = Date.now();
  let isBehind = false; // something has changed that is not shown yet
  let timer = null;
  let stream = null;

  function listen() {
    stream?.stop();
    stream = new Stream(line, part.dataset.alert ? { watch: part.dataset.alert } : {}, (frame) => {
      if (frame.type === "summary" || frame.type === "alert" || frame.type === "reset") {
        isBehind = true;
        want(EVERY);
      }
    });
  }

  function want(pause) {
    if (timer === null) timer = setTimeout(refresh, Math.max(0, fetchedAt + pause - Date.now()));
  }

  async function refresh() {
    const began = Date.now();
    const wasBehind = isBehind;
    isBehind = false;
    try {
      const answer = await fetch(location.href, { redirect: "manual", cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      show(new DOMParser().parseFromString(await answer.text(), "text/html"));
      fetchedAt = began;
      timer = null;
      if (isBehind) want(EVERY);
    } catch {
      isBehind ||= wasBehind;
      timer = setTimeout(refresh, AGAIN);
    }
  }

  function show(fresh) {
    const sources = (page) => [...page.querySelectorAll("script[src]")].map((script) => script.getAttribute("src")).join();
    const next = fresh.querySelector("[data-part]");
    if (!next || sources(fresh) !== sources(document)) {
      location.reload(); // the server has just answered, with a page of another version
      return;
    }
    const before = part.dataset.alert;
    ahead = Date.parse(next.dataset.now) - Date.now();
    document.title = fresh.title;
    part.replaceWith(next);
    part = next;
    if (part.dataset.alert !== before) listen();
  }

  function old(place, seconds) {
    return seconds < 120 ? place.dataset.seconds.replace("{count}", seconds) : place.dataset.minutes.replace("{count}", Math.floor(seconds / 60));
  }

  function tick() {
    clock.textContent = format.format(new Date(Date.now() + ahead));
    // Whoever has heard of nothing that is not shown shows what was true when they last heard anything.
    const asOf = isBehind ? fetchedAt : Math.max(stream.heardAt, fetchedAt);
    const seconds = Math.max(0, Math.floor((Date.now() - asOf) / 1000));
    age.textContent = seconds < 5 ? age.dataset.nowWords : old(age, seconds);
    const isStuck = stream.isLive && isBehind && seconds > STUCK;
    if (isStuck) {
      line.dataset.state = "lost";
      line.textContent = line.dataset.lost.replace("{age}", old(line, seconds));
    } else if (stream.isLive && line.dataset.state !== "live") {
      stream.say("live");
    }
    if (Date.now() - fetchedAt > AT_LEAST) want(AT_LEAST);
  }

  // A screen that goes to sleep shows nothing; where the browser cannot hold it awake, its own settings must.
  async function stayAwake() {
    try {
      if (!document.hidden) await navigator.wakeLock?.request("screen");
    } catch {
      // refused: a battery that runs low, or a policy
    }
  }

  listen();
  tick();
  setInterval(tick, 1000);
  stayAwake();
  document.addEventListener("visibilitychange", stayAwake);
})();
