// Node's fetch. It has no cookie jar, so a program of more than one request keeps the cookie itself.
import { createInterface } from "node:readline";

let cookie;
for await (const url of createInterface({ input: process.stdin })) {
  const answer = await fetch(url, cookie && { headers: { cookie } });
  for (const set of answer.headers.getSetCookie()) cookie = set.split(";")[0];
  console.log(answer.status, (await answer.text()).split("\n")[0]);
}
