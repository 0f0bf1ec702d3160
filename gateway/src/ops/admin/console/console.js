// Takes the part of the page that moves from a stream. What did not change is left alone, so the keyboard stays where it is.
const live = document.getElementById("live"), lost = document.getElementById("lost");
const fit = (old, now) => {
  for (const { name } of [...old.attributes]) if (!now.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  fill(old, now);
};
const fill = (old, now) => {
  const kept = [...old.childNodes], wanted = [...now.childNodes];
  wanted.forEach((node, at) => {
    const there = kept[at];
    if (!there) old.append(node);
    else if (there.nodeName !== node.nodeName) there.replaceWith(node);
    else if (node.nodeType === 1) fit(there, node);
    else if (there.data !== node.data) there.data = node.data;
  });
  kept.slice(wanted.length).forEach((node) => node.remove());
};
if (live) {
  const stream = new EventSource(live.dataset.stream);
  stream.onmessage = (event) => {
    lost.hidden = true;
    const page = document.createElement("template");
    page.innerHTML = event.data;
    fill(live, page.content);
  };
  stream.onerror = () => { lost.hidden = false; };
}
