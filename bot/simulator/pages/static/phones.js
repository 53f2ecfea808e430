"use strict";
(() => {
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const phones = $("[data-phones]");
  const one = window.matchMedia("(max-width: 760px)");
  let leaving = false;
  let offset = Number(document.body.dataset.offset);

  const post = async (path, body, form) => {
    const response = await fetch(path, form
      ? { method: "POST", body: form }
      : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.error || "没有成功，请再试一次");
    return answer;
  };
  const act = (phone, action, body, form) => post(`/control/phones/${phone.dataset.slug}/${action}`, body, form);
  const toast = (phone, text) => {
    const box = $("[data-toast]", phone);
    box.textContent = text;
    box.hidden = false;
    clearTimeout(box.timer);
    box.timer = setTimeout(() => { box.hidden = true; }, 3000);
  };
  const tried = async (phone, work) => {
    try {
      const answer = await work();
      if (answer && answer.opens) browse(phone, answer.opens);
    } catch (error) {
      toast(phone, error.message);
    }
  };

  // Which phones are shown: kept in the address, so that it can be shared.
  const visible = () => $$(".phone:not([hidden])", phones);
  const show = (slugs) => {
    for (const phone of $$(".phone", phones)) phone.hidden = !slugs.includes(phone.dataset.slug);
    for (const button of $$("[data-show]")) {
      const on = slugs.includes(button.dataset.show);
      button.setAttribute("aria-pressed", on);
      if (on) unread(button.dataset.show, 0);
    }
    visible().forEach(toEnd);
  };
  const remember = () => {
    const names = visible().map((phone) => phone.dataset.phone);
    history.replaceState(null, "", `?show=${names.map(encodeURIComponent).join(",")}`);
  };
  const unread = (slug, more) => {
    const badge = $(`[data-show="${slug}"] [data-unread]`);
    if (!badge) return;
    const count = more === 0 ? 0 : Number(badge.textContent || 0) + more;
    badge.textContent = count || "";
    badge.hidden = !count;
  };
  const isAtEnd = (phone) => {
    const chat = $("[data-chat]", phone);
    return chat.scrollHeight - chat.scrollTop - chat.clientHeight < 80;
  };
  const toEnd = (phone) => {
    const chat = $("[data-chat]", phone);
    chat.scrollTop = chat.scrollHeight;
  };
  const narrow = () => {
    const shown = visible();
    if (one.matches && shown.length > 1) show([shown[0].dataset.slug]);
  };

  // New messages and what surrounds them.
  const refresh = async (phone) => {
    if (phone.busy) { phone.again = true; return; }
    phone.busy = true;
    try {
      do {
        phone.again = false;
        const response = await fetch(`/phones/${phone.dataset.slug}/chat?after=${phone.dataset.last}`);
        if (response.status === 404) { location.reload(); return; }
        const part = await response.json();
        if (part.epoch !== phone.dataset.epoch) {
          phone.dataset.epoch = part.epoch;
          phone.dataset.last = 0;
          $("[data-chat]", phone).replaceChildren();
          phone.again = true;
          continue;
        }
        take(phone, part);
      } while (phone.again);
    } finally {
      phone.busy = false;
    }
  };
  const take = (phone, part) => {
    const chat = $("[data-chat]", phone);
    const atEnd = isAtEnd(phone);
    if (part.last > Number(phone.dataset.last)) {
      const fresh = document.createElement("template");
      fresh.innerHTML = part.messages;
      const arrived = $$("[data-message]:not(.mine)", fresh.content).length;
      const own = $$(".mine", fresh.content).length;
      chat.append(fresh.content);
      phone.dataset.last = part.last;
      if (phone.hidden && arrived) unread(phone.dataset.slug, arrived);
      if (atEnd || own) toEnd(phone);
    }
    $("[data-title]", phone).textContent = part.title;
    clearTimeout(phone.typing);
    if (part.typing_seconds > 0) phone.typing = setTimeout(() => refresh(phone), part.typing_seconds * 1000 + 100);
    $("[data-left]", phone).textContent = `可主动发 ${part.left} 条`;
    phone.dataset.follows = part.follows ? "yes" : "no";
    $("[data-refuse]", phone).setAttribute("aria-pressed", part.refuses);
    const menu = $("[data-menu]", phone);
    if (menu.source !== part.menu) { menu.source = part.menu; menu.innerHTML = part.menu; }
  };
  const refreshBar = async () => {
    const bar = await (await fetch("/phones/bar")).json();
    offset = bar.offset;
    const open = $(".alerts")?.open;
    const atEnd = visible().filter(isAtEnd);
    $("[data-alert-slot]").innerHTML = bar.alerts;
    if (open && $(".alerts")) $(".alerts").open = true;
    // A bar that grows takes the room from the chats.
    atEnd.forEach(toEnd);
    $("[data-connected]").innerHTML = bar.connection;
    const known = $$(".phone").map((phone) => phone.dataset.slug).join();
    if (bar.phones.join() !== known && !leaving) location.reload();
    tick();
  };
  const events = new EventSource("/phones/events");
  const refreshAll = () => { refreshBar(); $$(".phone").forEach(refresh); };
  events.addEventListener("hello", refreshAll);
  events.addEventListener("change", (event) => {
    const changed = JSON.parse(event.data).phones;
    const before = offset;
    refreshBar().then(() => { if (before !== offset) $$(".phone").forEach(refresh); });
    for (const phone of $$(".phone")) {
      if (changed.includes(phone.dataset.slug) || !changed.length) refresh(phone);
    }
  });

  // The browser inside a phone: under its own host name, so that its cookies are its own.
  const browse = (phone, url) => {
    const target = new URL(url, location.href);
    const box = $("[data-browser]", phone);
    const frame = $("[data-page]", phone);
    fetch(`/phones/${phone.dataset.slug}/address?url=${encodeURIComponent(target.href)}`)
      .then((response) => response.json())
      .then((answer) => {
        frame.src = answer.url;
        $("[data-address]", phone).textContent = target.host;
        box.hidden = false;
        $("[data-close-browser]", phone).focus();
      });
  };
  const closeBrowser = (phone) => {
    $("[data-browser]", phone).hidden = true;
    $("[data-page]", phone).src = "about:blank";
  };

  const scanner = async (phone) => {
    const sheet = $("[data-scanner]", phone);
    const list = $("[data-tickets]", phone);
    const { tickets } = await (await fetch("/control/tickets")).json();
    list.replaceChildren(...tickets.slice(0, 8).map((ticket) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "code";
      button.dataset.ticket = ticket.ticket;
      const picture = document.createElement("img");
      picture.src = `/cgi-bin/showqrcode?ticket=${encodeURIComponent(ticket.ticket)}`;
      picture.alt = "";
      button.append(picture, ticket.scene);
      return button;
    }));
    if (!tickets.length) {
      const none = document.createElement("p");
      none.className = "none";
      none.textContent = "公众号还没有生成二维码。";
      list.append(none);
    }
    sheet.hidden = false;
    $("input", sheet).focus();
  };
  const scan = (phone, scene) => tried(phone, async () => {
    await act(phone, "scan", { scene });
    $("[data-scanner]", phone).hidden = true;
  });

  phones.addEventListener("click", (event) => {
    const phone = event.target.closest(".phone");
    if (!phone) return;
    const on = (selector) => event.target.closest(selector);
    for (const open of $$("details.more[open]", phones)) if (!open.contains(event.target) || on(".panel button")) open.open = false;
    let hit;
    if ((hit = on("[data-open]"))) {
      event.preventDefault();
      if (hit.getAttribute("href")) browse(phone, hit.getAttribute("href"));
    } else if ((hit = on("[data-choice]"))) {
      event.preventDefault();
      const { choice, in: message } = hit.dataset;
      tried(phone, () => act(phone, "tap", { choice, message: Number(message) }));
    } else if ((hit = on("[data-menu-open]"))) {
      const sub = hit.previousElementSibling;
      const opening = sub.hidden;
      for (const other of $$(".sub", phone)) other.hidden = true;
      sub.hidden = !opening;
      hit.setAttribute("aria-expanded", opening);
      return;
    } else if ((hit = on("[data-menu-key]"))) {
      tried(phone, () => act(phone, "tap", { key: hit.dataset.menuKey }));
    } else if (on("[data-follow]")) tried(phone, () => act(phone, "follow"));
    else if (on("[data-unfollow]")) {
      if (confirm(`「${phone.dataset.phone}」取消关注后，将收不到公众号的任何消息。取消关注吗？`)) tried(phone, () => act(phone, "unfollow"));
    } else if ((hit = on("[data-refuse]"))) tried(phone, () => act(phone, "refuse", { refuses: hit.getAttribute("aria-pressed") !== "true" })).then(() => refresh(phone));
    else if (on("[data-scan]")) scanner(phone);
    else if ((hit = on("[data-ticket]"))) scan(phone, hit.dataset.ticket);
    else if (on("[data-close]")) $("[data-scanner]", phone).hidden = true;
    else if (on("[data-close-browser]")) closeBrowser(phone);
    else if (on("[data-reload]")) { const frame = $("[data-page]", phone); frame.src = frame.src; }
    for (const sub of $$(".sub", phone)) sub.hidden = true;
  });

  const grow = (input) => {
    input.style.height = "40px";
    input.style.height = `${Math.min(input.scrollHeight, 120)}px`;
  };
  const send = (phone) => {
    const input = $("[data-input]", phone);
    const text = input.value.trim();
    if (!text) return;
    input.value = "";
    grow(input);
    tried(phone, () => act(phone, "say", { text }));
  };
  phones.addEventListener("submit", (event) => {
    event.preventDefault();
    const phone = event.target.closest(".phone");
    if (event.target.matches("[data-compose]")) send(phone);
    else if (event.target.matches("[data-scan-form]")) scan(phone, event.target.scene.value.trim());
  });
  phones.addEventListener("input", (event) => { if (event.target.matches("[data-input]")) grow(event.target); });
  phones.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.matches("[data-input]")) {
      event.preventDefault();
      send(event.target.closest(".phone"));
    }
    if (event.key === "Escape") {
      const phone = event.target.closest(".phone");
      $("[data-scanner]", phone).hidden = true;
      if (!$("[data-browser]", phone).hidden) closeBrowser(phone);
    }
  });
  phones.addEventListener("change", (event) => {
    const action = event.target.matches("[data-photo]") ? "photo" : event.target.matches("[data-voice]") ? "voice" : "";
    const file = action && event.target.files[0];
    if (!file) return;
    const form = new FormData();
    form.append("file", file);
    event.target.value = "";
    const phone = event.target.closest(".phone");
    tried(phone, () => act(phone, action, null, form));
  });

  for (const button of $$("[data-show]")) {
    button.addEventListener("click", () => {
      const slug = button.dataset.show;
      const slugs = visible().map((phone) => phone.dataset.slug);
      if (one.matches) show([slug]);
      else show(slugs.includes(slug) ? slugs.filter((each) => each !== slug) : [...slugs, slug]);
      remember();
    });
  }
  $("[data-add]").addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = event.target.elements.name.value.trim();
    leaving = true;
    try {
      await post("/control/phones", { name, role: event.target.elements.role.value });
      const names = one.matches ? [] : visible().map((phone) => phone.dataset.phone);
      location.search = `?show=${[...names, name].map(encodeURIComponent).join(",")}`;
    } catch (error) {
      leaving = false;
      event.target.elements.name.setCustomValidity(error.message);
      event.target.elements.name.reportValidity();
    }
  });
  $("[data-add] [name=name]").addEventListener("input", (event) => event.target.setCustomValidity(""));

  // The clock.
  const shanghai = new Intl.DateTimeFormat("sv-SE", { timeZone: "Asia/Shanghai", dateStyle: "short", timeStyle: "medium" });
  const moved = (seconds) => {
    const days = Math.floor(Math.abs(seconds) / 86400);
    const hours = Math.floor((Math.abs(seconds) % 86400) / 3600);
    const minutes = Math.floor((Math.abs(seconds) % 3600) / 60);
    const words = [days && `${days}天`, hours && `${hours}小时`, minutes && `${minutes}分钟`].filter(Boolean).join("");
    return words ? `${seconds > 0 ? "拨快了" : "拨慢了"}${words}` : "";
  };
  const tick = () => {
    $("[data-now]").textContent = shanghai.format(new Date(Date.now() + offset * 1000));
    const words = moved(offset);
    $("[data-moved]").textContent = words;
    $("[data-moved]").hidden = !words;
  };
  const turn = async (body) => { $(".turn").open = false; await post("/control/clock", body); };
  for (const button of $$("[data-advance]")) {
    button.addEventListener("click", () => turn({ advance_seconds: Number(button.dataset.advance) }));
  }
  $("[data-clock-reset]").addEventListener("click", () => turn({ reset: true }));
  $("[data-goto]").addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = new Date(`${event.target.at.value}:00+08:00`).getTime();
    turn({ advance_seconds: Math.round((wanted - (Date.now() + offset * 1000)) / 1000) });
  });
  $(".turn").addEventListener("toggle", () => {
    $("[data-goto]").at.value = shanghai.format(new Date(Date.now() + offset * 1000)).slice(0, 16).replace(" ", "T");
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".turn")) $(".turn").open = false;
    for (const sub of $$(".tab .sub")) if (!sub.parentElement.contains(event.target)) sub.hidden = true;
    for (const more of $$("details.more[open]")) if (!more.contains(event.target)) more.open = false;
  });

  one.addEventListener("change", narrow);
  narrow();
  visible().forEach(toEnd);
  for (const menu of $$("[data-menu]")) menu.source = null;
  tick();
  setInterval(tick, 1000);
})();
