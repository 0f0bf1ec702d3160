// What helps shoppers who stay, and words that few of them need. The waiting page loads it with its first look at the line, and the
// browser keeps it. Before it stands `words`, in the language of the page.
const $ = id => document.getElementById(id);
const page = $("weir"), data = page.dataset, key = "weir.notify." + data.room;
Object.assign(data, words.notes, { paused: words.paused[+data.stage || 0] });

const say = text => { const e = $("say"); if (e) e.textContent = text; };
const make = (tag, set) => Object.assign(document.createElement(tag), set);
const store = (key, text) => { try { sessionStorage[key] = text; } catch {} };
const stored = key => { try { return sessionStorage[key]; } catch {} };

// A screen reader hears of the wait a few times, not of every number; and all see that others move.
let heard, first;
const moved = make("p", { className: "asof", id: "moved" });
$("wait")?.after(moved);
page.addEventListener("weir:line", ({ detail: [status, high] }) => {
  if ([600, 300, 60, 30].some(mark => high <= mark && mark < heard))
    say(["place", "position", "expected", "wait"].map(id => $(id)?.textContent).join(" "));
  if (high >= 0) heard = Math.min(high, heard ?? high);
  if (first?.segment !== status.segment) first = status;
  const called = status.serving - first.serving;
  if (called > 0) moved.textContent = words.moved.replace("{n}", called.toLocaleString("en").replaceAll(",", data.thousands ?? ","));
});

// At their turn: a title, a heading and a word for screen readers; with a sound and a notification for those who asked for that. No
// browser plays a sound on a page that was not touched.
const button = make("button", { type: "button", className: "go", id: "notify", textContent: words.notify });
const told = make("p", { id: "notified" });
const asking = make("p", {});
asking.append(button);
told.setAttribute("role", "status");
$("answers")?.before(asking, told);
let sound, on = false, ringing = false;
const turn = wanted => {
  on = wanted;
  button.setAttribute("aria-pressed", on);
  told.textContent = on ? words.notifyOn : "";
};
turn(stored(key) === "on");
button.onclick = () => {
  turn(!on);
  store(key, on ? "on" : "");
  if (!on) return;
  try { sound ??= new AudioContext(); sound.resume(); } catch {}
  try { Notification.requestPermission(); } catch {}
};
const ring = () => {
  try {
    sound ??= new AudioContext();
    for (const at of [0, .3, .6]) {
      const tone = sound.createOscillator(), quiet = sound.createGain();
      quiet.gain.value = .2;
      tone.frequency.value = 880;
      tone.connect(quiet).connect(sound.destination);
      tone.start(sound.currentTime + at);
      tone.stop(sound.currentTime + at + .2);
    }
  } catch {}
  try {
    const shown = Notification.permission === "granted" && new Notification(words.entering, { tag: key });
    shown.onclick = () => focus();
  } catch {}
};
page.addEventListener("weir:turn", event => {
  if (data.state !== "entering") say(words.entering);
  data.state = "entering";
  document.title = page.querySelector("h1").textContent = words.entering;
  // It rings: what looks at the line meanwhile, such as a tab that is looked at, does not enter a second time.
  if (ringing) return event.preventDefault();
  // A called shopper for whom no seat is free looks again and again.
  const me = data.line + "." + data.ticket;
  if (!on || stored(key + ".rung") === me) return;
  store(key + ".rung", me);
  ringing = true;
  event.preventDefault();
  ring();
  setTimeout(event.detail, 1000);
});

// Answers are shown where they are asked for, so that the page goes on.
const answers = $("answers");
answers?.addEventListener("click", async event => {
  const link = event.target.closest("a");
  if (!link) return;
  event.preventDefault();
  try {
    const answer = await (await fetch(link.href, { headers: { Accept: "text/html" } })).text();
    const found = new DOMParser().parseFromString(answer, "text/html").getElementById("answers");
    answers.replaceChildren(...found.childNodes);
    (answers.querySelector("[aria-current]") || answers.querySelector("a")).focus();
  } catch {
    open(link.href);
  }
});
