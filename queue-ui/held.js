// What waiting pages have in common: elements by id, a note, and what is done at the shopper's turn.
const element = id => document.getElementById(id);
const show = (id, text) => { const e = element(id); if (e && e.textContent !== text) e.textContent = text; };
const note = text => { show("note", text || ""); const e = element("note"); if (e) e.hidden = !text; };
const jitter = () => .85 + Math.random() * .3;
// At their turn the same is asked for again: the page, or the form that it holds, which is sent by itself once and never twice.
// Something was left out of it: they decide.
const held = element("held");
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
show("how", element("how")?.dataset.script);
