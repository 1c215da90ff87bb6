"use strict";
// The live page: numbers from the stream, people from a fragment of the page that is fetched again when they change.

(() => {
  const page = document.querySelector("[data-alert]");
  const line = document.querySelector("[data-line]");
  const people = document.querySelector("[data-people]");
  const language = document.documentElement.lang;
  const number = new Intl.NumberFormat(language);
  const clock = new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit", second: "2-digit", hour12: false, timeZone: page.dataset.zone || undefined });
  const EVERY = 2000;
  const AT_LEAST = 30000;
  let fetchedAt = 0;
  let timer = null;
  let stale = false;

  function look(summary, path) {
    return path.split(".").reduce((value, name) => (value === undefined || value === null ? value : value[name]), summary);
  }

  function setBar(bar, value, most) {
    bar.max = Math.max(most, 1);
    bar.value = value;
  }

  function show(summary) {
    for (const place of document.querySelectorAll("[data-count]")) {
      const value = look(summary, place.dataset.count);
      if (value === undefined) continue;
      place.textContent = number.format(value);
      if (place.parentElement.parentElement.classList.contains("states")) place.parentElement.classList.toggle("zero", !value);
    }
    for (const place of document.querySelectorAll("[data-sum]")) {
      const counts = Object.values(look(summary, place.dataset.sum) ?? {});
      place.textContent = number.format(counts.reduce((sum, count) => sum + count, 0));
    }
    document.querySelector("[data-outdated]").hidden = !summary.outdated;
    setBar(document.querySelector("[data-progress]"), summary.acknowledged, summary.recipients);
    for (const bar of document.querySelectorAll("[data-bar]")) setBar(bar, look(summary, bar.dataset.bar) ?? 0, summary.recipients);
    for (const group of summary.groups) {
      const row = document.querySelector(`[data-group="${CSS.escape(group.id)}"]`);
      if (!row) continue;
      row.querySelector("[data-group-acknowledged]").textContent = number.format(group.acknowledged);
      row.querySelector("[data-group-recipients]").textContent = number.format(group.recipients);
      setBar(row.querySelector("progress"), group.acknowledged, group.recipients);
    }
    const last = document.querySelector("[data-last]");
    last.textContent = summary.last_ack_at ? clock.format(new Date(summary.last_ack_at)) : last.dataset.none;
    document.title = document.title.replace(/^[\d,]+\/[\d,]+/, `${number.format(summary.acknowledged)}/${number.format(summary.recipients)}`);
  }

  function stamp() {
    document.querySelector("[data-as-of]").textContent = clock.format(new Date());
  }

  function wantPeople() {
    if (timer) return;
    timer = setTimeout(fetchPeople, Math.max(0, fetchedAt + EVERY - Date.now()));
  }

  async function fetchPeople() {
    fetchedAt = Date.now();
    stale = false;
    try {
      const answer = await fetch(page.dataset.peopleUrl, { redirect: "manual", cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      update(parseFragment(await answer.text()));
      await Promise.all([...document.querySelectorAll("details.group[open]")].map(openGroup));
    } catch {
      stale = true;
    }
    timer = null;
    document.querySelector("[data-stale]").hidden = !stale;
    if (stale && stream.isLive) wantPeople();
  }

  // The people of a group: fetched when somebody unfolds it, and again as long as it stays so.
  async function openGroup(group) {
    const answer = await fetch(group.dataset.groupUrl, { redirect: "manual", cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = parseFragment(await answer.text()).querySelector("[data-group-people]");
    const place = group.querySelector("[data-group-people]");
    if (!place.querySelector("[data-list]")) place.replaceChildren(...fresh.children);
    for (const list of place.querySelectorAll("[data-list]")) refreshSection(list, fresh.querySelector(`[data-list="${list.dataset.list}"]`));
  }

  // The page was made for one version of the alert. Whoever is typing is not interrupted: they are told.
  function renew() {
    const isTyping = [...page.querySelectorAll("input:not([type=hidden]), textarea")].some((field) => field.value !== field.defaultValue);
    if (isTyping) page.querySelector("[data-newer]").hidden = false;
    else location.reload();
  }

  function isNewer(alert) {
    return alert.revision !== Number(page.dataset.revision) || alert.state !== page.dataset.state;
  }

  // How long until something is due, by this page's own clock: 4:59, or 1:02:03.
  function countDown() {
    for (const place of document.querySelectorAll("[data-until]")) {
      const left = Math.ceil((new Date(place.dataset.until) - Date.now()) / 1000);
      const parts = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
      const shown = (parts[0] ? parts : parts.slice(1)).map((part, index) => (index ? String(part).padStart(2, "0") : part));
      place.textContent = left > 0 ? place.dataset.words.replace("{left}", shown.join(":")) : "";
    }
  }

  function update(fresh) {
    for (const old of page.querySelectorAll("[data-replace]")) {
      const next = fresh.querySelector(`[data-replace="${old.dataset.replace}"]`);
      if (next && next.innerHTML !== old.innerHTML && !isUsed(old)) old.replaceWith(next);
    }
    countDown();
    for (const section of people.querySelectorAll("[data-section]")) {
      refreshSection(section, fresh.querySelector(`[data-section="${section.dataset.section}"]`));
    }
  }

  // A list of people, and what stands below it.
  function refreshSection(section, next) {
    if (!next) return;
    const [list, nextList] = [section.querySelector("[data-keyed]"), next.querySelector("[data-keyed]")];
    refreshList(list, nextList);
    while (list.nextElementSibling && !isUsed(list.nextElementSibling)) list.nextElementSibling.remove();
    if (!list.nextElementSibling) list.after(...[...next.children].slice([...next.children].indexOf(nextList) + 1));
  }

  const stream = new Stream(line, { watch: page.dataset.alert }, (frame) => {
    if (frame.type === "summary") {
      if (frame.revision !== Number(page.dataset.revision)) renew();
      show(frame);
      wantPeople();
    } else if (frame.type === "alert" && frame.alert.id === page.dataset.alert && isNewer(frame.alert)) {
      renew();
    }
    if (stream.isLive) stamp();
  });
  for (const group of document.querySelectorAll("details.group")) {
    // What fails leaves the link that leads to the same people.
    group.addEventListener("toggle", () => { if (group.open) openGroup(group).catch(() => {}); });
  }
  setInterval(countDown, 1000);
  setInterval(() => { if (stream.isLive) wantPeople(); }, AT_LEAST); // time goes on in the drawing
  countDown();
})();
