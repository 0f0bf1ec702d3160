// Every way in which a shop on Node may come to the path of a request: one JSON string a line, a list of paths back.
const { parse } = require("node:url");
const { normalize } = require("node:path").posix;
const base = "http://shop.example";
const ways = [
  (target) => new URL(target, base).pathname,
  (target) => new URL(base + target).pathname,
  (target) => parse(target).pathname,
  (target) => parse(target, false, true).pathname,
  (target) => target.split("?")[0],
];
const attempt = (way) => (text) => { try { return [way(text)]; } catch { return []; } };
const readings = (target) => {
  const paths = ways.flatMap((way) => attempt(way)(target)).filter((path) => typeof path === "string");
  const decoded = [...paths, ...paths.flatMap(attempt(decodeURIComponent))];
  return [...new Set([...decoded, ...decoded.map((path) => normalize(path))])];
};
const lines = require("node:fs").readFileSync(0, "utf8").split("\n").filter(Boolean);
process.stdout.write(lines.map((line) => JSON.stringify(readings(JSON.parse(line)))).join("\n") + "\n");
