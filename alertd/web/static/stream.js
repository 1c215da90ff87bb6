"use strict";
// The live stream, and the line of words which says whether it is live. It reconnects for ever, resumes where it was,
// and takes a silent line for a dead one: a half-open connection looks like a calm night otherwise.

const LONGEST_WAIT = 15000;
const SILENCE = 20000; // after this long without a frame the server is asked for one
const PATIENCE = 8000; // and after this long without an answer the line is given up

class Stream {
  constructor(line, query, onFrame) {
    this.line = line;
    this.query = query;
    this.onFrame = onFrame;
    this.tries = 0;
    this.position = null;
    this.heardAt = Date.now();
    this.ended = false;
    this.isLive = false;
    this.renew(line.dataset.asOf);
    this.stopping = new AbortController();
    const { signal } = this.stopping;
    this.ticking = setInterval(() => this.tick(), 1000);
    window.addEventListener("online", () => this.hurry(), { signal });
    window.addEventListener("offline", () => this.drop(), { signal });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.hurry(); }, { signal });
    this.say("connecting");
    this.open();
  }

  url() {
    const query = new URLSearchParams(this.query);
    if (this.position) {
      query.set("after", this.position.offset);
      query.set("epoch", this.position.epoch);
    }
    return `${location.origin.replace(/^http/, "ws")}/api/v1/stream?${query}`;
  }

  open() {
    clearTimeout(this.timer);
    this.timer = null;
    const socket = new WebSocket(this.url());
    this.socket = socket;
    this.openedAt = Date.now();
    socket.onmessage = (event) => { if (socket === this.socket) this.hear(JSON.parse(event.data)); };
    socket.onclose = (event) => { if (socket === this.socket) this.lost(event.code); };
  }

  hear(frame) {
    this.heardAt = Date.now();
    this.askedAt = null;
    if (frame.type === "hello") {
      this.tries = 0;
      this.position = { epoch: frame.epoch, offset: frame.offset };
      this.helloAt = this.heardAt;
      this.isLive = true;
    } else if (frame.type === "alert" && this.position) {
      this.position.offset = frame.offset;
    }
    this.follow(frame, this.socket);
  }

  // Nothing is called live before the page shows what it was told of; when it cannot, the line is begun anew.
  async follow(frame, socket) {
    try {
      await this.onFrame(frame);
    } catch {
      if (socket === this.socket) this.drop();
      return;
    }
    if (frame.type === "hello" && socket === this.socket) this.say("live");
  }

  lost(code) {
    this.socket = null;
    this.isLive = false;
    if (code === 4401 || code === 4403) {
      this.ended = true;
      this.say("sign-in");
      return;
    }
    this.say("lost");
    const wait = Math.min(LONGEST_WAIT, 500 * 2 ** this.tries) * (0.5 + Math.random() / 2);
    this.tries += 1;
    this.timer = setTimeout(() => this.open(), wait);
  }

  drop() {
    const socket = this.socket;
    if (!socket) return;
    this.socket = null;
    socket.close();
    this.lost(1006);
  }

  // For good: somebody else takes over the line of words.
  stop() {
    this.ended = true;
    this.stopping.abort();
    clearInterval(this.ticking);
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  hurry() {
    if (this.ended) return;
    this.tick();
    if (this.timer) this.open();
    else if (this.isLive) this.ask();
  }

  ask() {
    if (this.askedAt || !this.socket || this.socket.readyState !== WebSocket.OPEN) return;
    this.askedAt = Date.now();
    // Any frame proves the line; a pong comes for sure.
    this.socket.send('{"type":"ping"}');
  }

  tick() {
    if (this.ended) return;
    const now = Date.now();
    if (this.isLive) {
      // A phone that has slept wakes up with an old silence: nothing is called live until it is heard again.
      const isTooQuiet = now - this.heardAt > SILENCE + PATIENCE;
      if (isTooQuiet || (this.askedAt && now - this.askedAt > PATIENCE)) this.drop();
      else if (now - this.heardAt > SILENCE) this.ask();
      return;
    }
    if (this.socket && now - this.openedAt > PATIENCE) this.drop();
    if (this.position || now - this.heardAt > PATIENCE) this.say("lost");
  }

  age() {
    const seconds = Math.round((Date.now() - this.heardAt) / 1000);
    const [words, count] = seconds < 120 ? [this.line.dataset.seconds, seconds] : [this.line.dataset.minutes, Math.floor(seconds / 60)];
    return words.replace("{count}", count);
  }

  // What the page shows was true at that moment of the server's clock.
  renew(moment) {
    this.asOf = Date.parse(moment);
    this.renewedAt = Date.now();
  }

  // When what the page shows was last known to be all there is, in the town's time: for as long as frames came after it.
  freshness() {
    const followed = this.helloAt && this.renewedAt >= this.helloAt ? Math.max(0, this.heardAt - this.renewedAt) : 0;
    const at = new Date(this.asOf + followed);
    if (Number.isNaN(at.getTime())) return "";
    const zone = { timeZone: this.line.dataset.zone || undefined };
    const day = (moment) => moment.toLocaleDateString("en", zone);
    const isToday = day(at) === day(new Date());
    const shown = { ...zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(isToday ? {} : { month: "short", day: "numeric" }) };
    return at.toLocaleString(document.documentElement.lang, shown);
  }

  say(state) {
    this.line.dataset.state = state;
    const words = { connecting: this.line.dataset.connecting, live: this.line.dataset.live, lost: this.line.dataset.lost, "sign-in": this.line.dataset.signIn }[state];
    const text = words.replace("{age}", () => this.age()).replace("{as_of}", () => this.freshness());
    if (this.line.textContent === text) return;
    // A status line is read aloud when it changes: that it is lost is, and the counting seconds after it are not.
    this.line.setAttribute("aria-live", this.line.dataset.said === state ? "off" : "polite");
    this.line.dataset.said = state;
    this.line.textContent = text;
  }
}
