// Our own few lines: changes as they happen without a page that jumps, quick replies, exact times on touch.
"use strict";

(() => {
  const QUIET_FOR = 4000;
  const LOOK_EVERY = 30000;
  let touched = 0;
  for (const kind of ["pointerdown", "keydown", "scroll", "wheel"]) {
    addEventListener(kind, () => { touched = Date.now(); }, { passive: true, capture: true });
  }

  // A time says the exact moment when it is touched, and goes back on the next touch.
  document.addEventListener("click", (event) => {
    const time = event.target.closest?.("time.when");
    if (!time || event.target.closest("a")) return;
    const said = time.textContent;
    time.textContent = time.dataset.exact;
    time.dataset.exact = said;
  });

  // A quick reply fills the answer; nothing is sent by it.
  document.addEventListener("click", (event) => {
    const chip = event.target.closest?.("[data-fill]");
    const answer = document.getElementById("answer");
    if (!chip || !answer) return;
    const before = answer.value.trim();
    answer.value = before ? `${before}\n${chip.dataset.fill}` : chip.dataset.fill;
    answer.focus();
    grow(answer);
  });

  const grow = (area) => {
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight + 4, innerHeight * 0.4)}px`;
  };
  const answer = document.getElementById("answer");
  if (answer) {
    answer.addEventListener("input", () => grow(answer));
    if (answer.value) grow(answer);
    // Leaving with an answer half written asks first.
    let sending = false;
    answer.form.addEventListener("submit", () => { sending = true; });
    addEventListener("beforeunload", (event) => {
      if (!sending && answer.value.trim()) event.preventDefault();
    });
  }

  // A form that is on its way is not sent again by a second tap (the server would answer once anyway).
  document.addEventListener("submit", (event) => {
    const button = event.target.querySelector("button[type=submit]");
    if (button) setTimeout(() => { button.disabled = true; }, 0);
  });
  addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("button[type=submit]:disabled")) button.disabled = false;
  });

  const live = document.querySelector("[data-live]");
  if (!live) return;
  const edge = document.getElementById("edge");
  const offline = document.getElementById("offline");
  const inQueue = live.dataset.follows === "all";
  const refresh = () => {
    edge.hidden = true;
    live.dispatchEvent(new CustomEvent("refresh"));
  };
  const reading = () => Date.now() - touched < QUIET_FOR || (inQueue && scrollY > 80);
  const changed = (mine) => {
    if (!reading()) refresh();
    else if (mine) edge.hidden = false;
  };
  edge.addEventListener("click", () => {
    refresh();
    if (inQueue) scrollTo({ top: 0 });
    else document.querySelector("#thread .thread > li:last-child")?.scrollIntoView({ block: "center" });
  });

  const title = document.title.replace(/^紧急\d+ · /, "");
  document.addEventListener("htmx:after:swap", () => {
    const tabs = live.querySelector("[data-emergencies]");
    if (!tabs) return;
    const waiting = Number(tabs.dataset.emergencies);
    document.title = waiting ? `紧急${waiting} · ${title}` : title;
    edge.classList.toggle("edge-emergency", waiting > 0);
  });

  const stream = new EventSource(live.dataset.live);
  stream.addEventListener("ready", () => {
    // What happened while the connection was away is looked up.
    if (!offline.hidden) changed(true);
    offline.hidden = true;
  });
  stream.addEventListener("changed", (event) => {
    if (inQueue || event.data === live.dataset.follows) changed(true);
  });
  const signedOut = () => {
    stream.close();
    offline.textContent = "登录已过期，请重新登录。写了一半的内容请先复制。";
    offline.hidden = false;
  };
  stream.addEventListener("bye", signedOut);
  // A refresh that failed leaves what was there, and says that it may be old.
  document.addEventListener("htmx:after:request", (event) => {
    const { status, ok } = event.detail.ctx.response.raw;
    if (status === 401) signedOut();
    else if (!ok) offline.hidden = false;
    else if (stream.readyState === EventSource.OPEN) offline.hidden = true;
  });
  document.addEventListener("htmx:error", () => { offline.hidden = false; });
  stream.addEventListener("error", () => { offline.hidden = false; });
  // Words like 「12分钟前」 grow old, and a notification may have been missed.
  setInterval(() => { if (!document.hidden) changed(false); }, LOOK_EVERY);
  // What is on its way to the patient has arrived a moment later, and nobody is told of that.
  let pause = 700;
  const lookSoon = () => {
    const sending = document.querySelector("[data-sending]");
    pause = sending ? Math.min(pause * 1.5, LOOK_EVERY) : 700;
    if (sending && !document.hidden) live.dispatchEvent(new CustomEvent("refresh"));
    setTimeout(lookSoon, pause);
  };
  setTimeout(lookSoon, pause);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) changed(true); });
})();
