// For pages of the shop: says when the shopper's pass ends, renews it while a form is being filled in, and tells the page.
//   <script src="/.weir/pass.js" data-room="launch" async></script>
// Events on `document`: weir:pass-expiring, weir:pass-renewed, weir:pass-expired; preventDefault() leaves the bar out.
"use strict";
{
  const { room, warn: written } = document.currentScript?.dataset ?? {}, warn = written >= 0 ? written : 60;
  const second = 1000;
  // Milliseconds of this browser's clock: when the pass ends, from when on a request renews it, and when that was asked.
  let end = 0, half = 0, asked = 0, pause = 10 * second, typed = false, warned = false, pass, timer, ticking, bar;
  const left = () => Math.max(0, Math.ceil((end - Date.now()) / second));

  const fire = (what, detail) =>
    document.dispatchEvent(new CustomEvent("weir:pass-" + what, { cancelable: true, detail: { seconds: left(), ...detail } }));

  const hide = () => { clearInterval(ticking); bar?.remove(); bar = null; };
  const make = (tag, style, text = "") => {
    const e = document.createElement(tag);
    e.style.cssText = style;
    e.textContent = text;
    return e;
  };
  const button = (text, act) => {
    const e = make("button", "font:inherit;font-weight:600;min-height:44px;padding:4px 16px;border:1.5px solid;border-radius:10px;background:none;color:inherit;cursor:pointer", text);
    e.type = "button";
    e.onclick = act;
    return e;
  };
  // In a shadow of its own, so that the shop's style and this one do not meet. It takes no focus.
  const show = (text, counts, ...buttons) => {
    hide();
    bar = make("div", "all:initial;position:fixed;z-index:2147483647;inset:auto 0 0");
    bar.id = "weir-pass";
    bar.lang = pass.lang;
    const row = make("div", "display:flex;flex-wrap:wrap;gap:8px 16px;align-items:center;justify-content:center;padding:10px 16px;background:#fff3d6;color:#5b4100;font:16px/1.5 system-ui,sans-serif;word-break:keep-all;box-shadow:0 -2px 12px #0003");
    const said = make("span", ""), clock = make("b", "font-variant-numeric:tabular-nums");
    said.setAttribute("role", "status");
    clock.setAttribute("role", "timer");
    row.append(said, ...counts ? [clock] : [], ...buttons, button(pass.text.close, hide));
    bar.attachShadow({ mode: "open" }).append(row);
    document.body.append(bar);
    // A screen reader tells what changes in a status that is there.
    setTimeout(() => { said.textContent = text; }, 100);
    const tick = () => { clock.textContent = Math.floor(left() / 60) + ":" + String(left() % 60).padStart(2, "0"); };
    if (counts) { tick(); ticking = setInterval(tick, second); }
  };

  const warning = () => Math.max(end - warn * second, half < Infinity ? half : 0);
  const expire = () => {
    end = 0;
    clearTimeout(timer);
    if (fire("expired")) show(pass.text.ended, false); else hide();
  };
  const update = told => {
    const before = end;
    pass = told;
    end = told.seconds && asked + told.seconds * second;
    half = told.renew === null ? Infinity : asked + told.renew * second;
    pause = Math.min(10, Math.max(1, told.seconds / 4)) * second;
    if (!end) return before && expire();
    // What is left is told in whole seconds, rounded up, and each answer takes its time: less is no renewal, which moves the end by
    // half a session at least.
    if (end > before + 2 * second) {
      warned = false;
      hide();
      if (before) fire("renewed");
    }
    if (!warned && Date.now() >= warning()) {
      warned = true;
      const renewable = half < Infinity, renew = () => ask("POST");
      const stay = renewable ? [button(told.text.stay, renew)] : [];
      if (fire("expiring", { renewable, renew })) show(renewable ? told.text.ending : told.text.last, true, ...stay);
    }
    plan();
  };
  const ask = async method => {
    clearTimeout(timer);
    asked = Date.now();
    const before = typed;
    if (method === "POST") typed = false;
    try {
      const answer = await fetch("/.weir/pass/" + room, { method, signal: AbortSignal.timeout(10 * second) });
      if (answer.status === 404) return;
      if (!answer.ok) throw answer.status;
      update(await answer.json());
    } catch {
      typed ||= before;
      if (Date.now() < end) plan(); else if (end) expire();
    }
  };
  // A request at what comes first: the warning, the end, and a renewal if something was typed since the last one. An idle page
  // renews nothing.
  const plan = () => {
    const next = Math.min(end, warned ? Infinity : warning(), typed ? half : Infinity);
    clearTimeout(timer);
    const due = Math.max(next, asked + pause) - Date.now();
    timer = setTimeout(() => ask(typed && Date.now() >= half ? "POST" : "GET"), Math.min(due, 3600 * second));
  };

  document.addEventListener("input", event => {
    if (!event.isTrusted || typed || !end) return;
    typed = true;
    plan();
  }, true);
  const back = () => { if (!document.hidden && Date.now() - asked > pause) ask("GET"); };
  document.addEventListener("visibilitychange", back);
  addEventListener("pageshow", back);
  if (room) ask("GET");
}
