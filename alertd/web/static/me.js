"use strict";
// One's own alerts: a new one appears at once, and loudly.

(() => {
  const inbox = document.querySelector("[data-inbox]");
  const loud = document.querySelector("[data-loud]");
  const title = document.title;
  let flashing = null;

  async function refresh() {
    const answer = await fetch("/me/alerts", { redirect: "manual", cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    refreshList(inbox, parseFragment(await answer.text()));
  }

  function announce(alert) {
    const isOver = alert.state === "cancelled";
    const news = { update: loud.dataset.updated, cancel: loud.dataset.cancelled }[alert.revision_kind] ?? loud.dataset.text;
    const mark = document.createElement("strong");
    mark.textContent = isOver ? loud.dataset.cancelled : alert.drill ? loud.dataset.drill : loud.dataset.real;
    const link = document.createElement("a");
    link.href = `#alert-${alert.id}`;
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

  async function hear(frame) {
    if (frame.type === "alert") {
      const known = document.getElementById(`alert-${frame.alert.id}`);
      const isNews = known ? Number(known.dataset.revision) < frame.alert.revision : frame.alert.state === "active";
      try {
        await refresh();
        // Whoever watches alerts hears of those of others too; those are not theirs to answer.
        if (document.getElementById(`alert-${frame.alert.id}`) && isNews) announce(frame.alert);
      } catch {
        if (isNews) announce(frame.alert);
      }
    } else if (frame.type === "hello" || frame.type === "reset") {
      refresh().catch(() => {});
    }
  }

  document.addEventListener("pointerdown", calm);
  document.addEventListener("keydown", calm);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh().catch(() => {}); });
  new Stream(document.querySelector("[data-line]"), {}, hear);
})();
