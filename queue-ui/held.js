// What waiting pages have in common: elements by id, a note, and what is done at the shopper's turn.
const $ = id => document.getElementById(id);
const show = (id, text) => { const e = $(id); if (e && e.textContent !== text) e.textContent = text; };
const note = text => { const e = $("note"); if (e) e.hidden = !text; show("note", text || ""); };
// As the page was rendered with, in every browser.
const grouped = (number, sign = ",") => number.toLocaleString("en").replaceAll(",", sign);
const lang = document.documentElement.lang, latin = lang + "-u-nu-latn";
const jitter = () => .85 + Math.random() * .3;
// At their turn the same is asked for again: the page, or the form that it holds, which is sent by itself once and never twice.
// Something was left out of it: they decide.
const held = $("held");
let sent = false;
// Of a page before a start.
let countDown;
const again = () => {
  if (!held) return location.reload();
  if (held.dataset.turn) {
    note(held.dataset.turn);
    show("how", "");
  } else if (!sent) {
    sent = true;
    HTMLFormElement.prototype.submit.call(held);
  }
};
show("how", $("how")?.dataset.script);
