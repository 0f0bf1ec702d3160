// Counts down to the start, by the store's clock. The number is silent; a screen reader hears of it a few times.
let due = 0, left = Infinity, ticks;
const tick = words => {
  const seconds = Math.max(0, Math.ceil((due - performance.now()) / 1000)), two = n => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  show("countdown", h ? h + ":" + two(m) + ":" + two(s) : m + ":" + two(s));
  const mark = [600, 300, 60, 30].findLast(mark => seconds <= mark && mark < left);
  if (mark && left < Infinity) show("say", element("left")?.textContent + ": " + words(mark, mark));
  left = seconds;
};
// `starts`: milliseconds until then; undefined: it has started, or is put off.
const countDown = (starts, words) => {
  clearInterval(ticks);
  const block = element("before");
  if (block) block.hidden = starts === undefined;
  if (starts === undefined) return;
  due = performance.now() + starts;
  tick(words);
  ticks = setInterval(tick, 1000, words);
};
