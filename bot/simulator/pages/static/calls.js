"use strict";
(() => {
  const calls = document.querySelector("[data-calls]");
  const total = document.querySelector("[data-total]");
  let busy = false;
  let again = false;
  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    do {
      again = false;
      const query = new URLSearchParams(location.search);
      query.set("after", calls.dataset.last);
      const answer = await (await fetch(`/calls/rows?${query}`)).json();
      if (answer.total < Number(total.textContent)) { location.reload(); return; }
      if (answer.last > Number(calls.dataset.last)) {
        calls.insertAdjacentHTML("afterbegin", answer.rows);
        calls.dataset.last = answer.last;
        if (answer.rows.trim()) document.querySelector("[data-empty]")?.remove();
      }
      total.textContent = answer.total;
    } while (again);
    busy = false;
  };
  const events = new EventSource("/phones/events");
  events.addEventListener("hello", refresh);
  events.addEventListener("change", refresh);
})();
