// Counts down to the start, by the store's clock. The number is silent; a screen reader hears of it a few times.
let due, left, ticks;
const tick = words => {
  const all = Math.max(0, Math.ceil((due - performance.now()) / 1000)), two = n => String(n).padStart(2, "0");
  const h = Math.floor(all / 3600), m = Math.floor(all / 60) % 60;
  show("countdown", (h ? h + ":" + two(m) : m) + ":" + two(all % 60));
  const mark = words && [600, 300, 60, 30].find(mark => all <= mark && mark < left);
  if (mark) show("say", $("left")?.textContent + ": " + words(mark, mark));
  left = all;
};
// `starts`: milliseconds until then; none: it has started, or is put off. `words`: a time in words, once the page has them.
countDown = (starts, words) => {
  clearInterval(ticks);
  const block = $("before");
  if (block) block.hidden = !starts;
  if (!starts) return due = 0;
  // What is late on its way tells a start that is too late: the earliest is right, unless the start was moved.
  const then = performance.now() + starts;
  due = Math.abs(then - due) < 5000 ? Math.min(then, due) : then;
  tick(words);
  ticks = setInterval(tick, 1000, words);
};
countDown(+$("weir").dataset.starts);
for (const start of document.querySelectorAll("#starts")) start.textContent = new Date(start.dateTime).toLocaleString(latin);
