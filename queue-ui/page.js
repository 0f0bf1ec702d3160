// Keeps the page true without loading it again: reads the status document, which is the same for
// everybody, works out this shopper's place and wait from it, and reloads the page at their turn.
{
  const { ceil, floor, max, min } = Math;
  const page = $("weir"), data = page.dataset, title = document.title, heading = page.querySelector("h1");
  const ticket = +data.ticket, line = +data.line, told = +data.poll;
  let timer, newer, more, tried = Date.now(), fails = 0;

  // The position never grows, not even across reloads or gateways that know less.
  const key = "weir." + data.room, me = data.line + "." + data.ticket;
  let first = 0, least = Infinity;
  try { const [who, ...places] = localStorage[key].split(" "); if (who === me) [first, least] = places.map(Number); } catch {}
  const place = position => {
    least = min(least, max(1, position));  // called while nobody is let in: next
    first = max(first, least);
    try { localStorage[key] = me + " " + first + " " + least; } catch {}
    const bar = $("progress");
    if (bar) { bar.hidden = false; bar.value = first ? max(2, 100 - 100 * least / first) : 0; }
    const text = grouped(least, data.thousands);
    show("position", text);
    document.title = text + " · " + title;
  };

  // The same words as the page was rendered with: rounded outwards, so that the range stays honest.
  const counted = (unit, number) => {
    const forms = data[unit].split("|"), kind = data.plurals?.split("|").indexOf(new Intl.PluralRules(lang).select(number));
    return (forms[kind] || forms.pop()).replace("{n}", number);
  };
  const span = (unit, low, high) => {
    const [range, upTo, about] = data.span.split("|");
    return (low < 1 ? upTo : low < high ? range : about).replace("{a}", low).replace("{b}", counted(unit, high));
  };
  const words = (low, high) =>
    high < 120 ? span("seconds", floor(low / 5) * 5, ceil(high / 5) * 5) :
    low < 7200 ? span("minutes", floor(low / 60), ceil(high / 60)) :
    span("hours", floor(low / 3600), ceil(high / 3600));

  // Tells `queue.js`. False: it does the rest.
  const fire = (what, detail) => page.dispatchEvent(new CustomEvent("weir:" + what, { detail, cancelable: true }));
  // That script has the words of states that are rare, and what helps those who stay. It comes with the first look at the line, so a crowd
  // that came together does not ask for it together.
  const load = () => more ||= new Promise(done => {
    const script = document.createElement("script");
    script.onload = done;
    script.onerror = () => done(more = 0);
    script.src = data.more;
    document.head.append(script);
  });

  const segments = status => [...status.before || [], [status.segment, status.serving, status.next]];
  // Numbers that are called until this one is, itself included; the place is behind those who are `entering` too; 0: it is called, or the gateway must look at it.
  const ahead = status => {
    let sum = 0;
    for (const [segment, serving, next] of segments(status)) {
      if (segment === line) return ticket <= serving ? 0 : sum + ticket - serving;
      if (segment < line) sum += max(0, next - serving);
    }
    return line > status.segment ? sum + ticket : 0;
  };

  // The page has another text by now: it is loaded again, spread over the line, and at most once a minute: a gateway that has
  // not heard of the new text yet takes that back.
  const renew = status => {
    if (held || !data.page || !status.page || status.page === data.page) return newer = clearTimeout(newer);
    if (newer) return;
    const waiting = segments(status).reduce((sum, [, serving, next]) => sum + max(0, next - serving), 0);
    let pause = 60000;
    try { pause -= Date.now() - (sessionStorage[key + ".page"] || 0); } catch {}
    newer = setTimeout(() => {
      try { sessionStorage[key + ".page"] = Date.now(); } catch {}
      again();
    }, max(2000, pause) + Math.random() * min(600000, max(4000, 2 * waiting)));
  };

  const tell = clock => clock.textContent = new Date(clock.dateTime).toLocaleTimeString(latin);
  const ask = kind => fetch("/.weir/" + kind + data.room, { credentials: "omit", signal: AbortSignal.timeout(10000) });

  // What operators tell stands in a document of its own: it is asked for when it has another id.
  const listen = async (id = "") => {
    if (id === data.message) return;
    const { id: told, texts } = await (await ask("message/")).json();
    data.message = told;
    show("message", texts[lang] || texts.en || texts[Object.keys(texts).sort()[0]] || "");
  };

  const update = status => {
    const { away, open, resting, unsure, starts, entering, reason, poll } = status;
    const [stock = "available", left, units] = status.stock || [], stands = stock !== "available", gone = stock === "sold_out";
    const placed = ticket > 0, moving = open && !away && !resting && !stands;
    const position = placed && ahead(status);
    // Before a start and after an end the page is another one; polls are spread, and so is this.
    if (!held && !away && !unsure && (starts ? 1 : status.ended ? 2 : 0) != (data.stage || 0)) return again();
    countDown?.(starts, words);
    if (placed && moving && !position) return fire("turn", again) && again();
    if (!placed && !away && status.round != line) return again();
    if (position && !unsure) {
      if (!data.position) return again();
      place(position + (entering || 0));
    }
    const range = moving && placed && status.wait;
    const [low, high] = range ? [max(0, floor(range[0] + range[1] * position)), ceil(range[2] + range[3] * position)] : [];
    show("wait", range ? words(low, high) : data.unknown);
    renew(status);
    listen(status.message).catch(() => {});
    note(away ? data.kept : !open ? data.paused : gone ? data.goneNote : stands ? data.lastItems : resting ? data.resting : "");
    show("reason", moving && data[reason] || "");
    show("stock", moving && left < least * units ? data.mayEnd : "");
    // In the state "called" there is no such part.
    for (const e of [$("expected"), $("wait")]) if (e) e.hidden = gone;
    if ($("position")) {
      heading.textContent = gone ? data.gone : data.title;
      page.querySelector(".lead").hidden = gone;
    }
    const clock = $("updated");
    if (clock) { clock.dateTime = new Date(status.now).toISOString(); tell(clock); }
    const interval = placed ? min(poll.max, max(poll.min, position / poll.pace * poll.share)) : 10;
    fire("line", [status, high]);
    plan(interval * poll.stretch * (document.hidden ? 2 : 1));
  };
  const check = async () => {
    tried = Date.now();
    try {
      const answer = await ask("status/");
      if (answer.status === 404) return again();
      if (!answer.ok) throw answer.status;
      const status = await answer.json();
      if (data.more) await load();
      fails = 0;
      update(status);
    } catch {
      note(data.kept);
      plan(max(told, min(60, 3 * 2 ** fails++)));
    }
  };
  const plan = seconds => { clearTimeout(timer); timer = setTimeout(check, seconds * jitter() * 1000); };
  const now = () => { if (!document.hidden && Date.now() - tried > 1000) { clearTimeout(timer); check(); } };

  data.title ||= heading.textContent;
  document.querySelectorAll("time").forEach(tell);
  if (ticket > 0 && +data.position) place(+data.position);
  document.addEventListener("visibilitychange", now);
  addEventListener("online", () => { tried = 0; now(); });
  addEventListener("pageshow", now);
  addEventListener("offline", () => note(data.kept));
  // No place yet: it is given to whoever comes back with the cookie that came with this page, and that is done at once. Where
  // no cookie is kept that would go on for ever, so a second time is left to the answer's Refresh.
  if (data.state !== "arriving") plan(told);
  else try { const last = +sessionStorage[key] || 0; if ((sessionStorage[key] = Date.now()) - last > 10000) again(); } catch {}
}
