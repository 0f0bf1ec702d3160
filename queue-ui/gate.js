// Waits at the gate of the page's own path: each question is held there until the turn has come, or for some seconds.
const data = $("weir").dataset;
let timer, asked = false, failures = 0;
const check = async () => {
  if (asked) return;
  asked = true;
  try {
    const answer = await fetch("/.weir/gate/" + data.room + location.pathname, { cache: "no-store", signal: AbortSignal.timeout(15000) });
    if (!answer.ok) throw answer.status;
    const { go, ahead, pollAfterSeconds } = await answer.json();
    failures = 0;
    note("");
    if (go) return again();
    show("position", grouped(ahead, data.thousands));
    plan(pollAfterSeconds);
  } catch {
    note(data.kept);
    plan(Math.min(30, 2 ** ++failures));
  } finally {
    asked = false;
  }
};
const plan = seconds => { clearTimeout(timer); timer = setTimeout(check, seconds * jitter() * 1000); };
const now = () => { if (!document.hidden && !sent) { clearTimeout(timer); check(); } };
document.addEventListener("visibilitychange", now);
addEventListener("online", now);
plan(+data.poll);
