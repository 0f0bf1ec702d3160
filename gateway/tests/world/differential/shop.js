// A shop on Node: its router resolves the target as Node's documentation recommends. It says where a request came
// to, and what its target was.
const server = require("node:http").createServer((request, response) => {
  let path = "?";
  try { path = new URL(request.url, "http://shop.example").pathname; } catch { /* outside */ }
  try { path = decodeURIComponent(path); } catch { /* as it stands */ }
  const inside = /^\/launch(\/|$)/i.test(path);
  response.end(`${inside ? "inside" : "outside"} ${JSON.stringify(request.url)}`);
});
server.keepAliveTimeout = 600_000;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
