// Runs the page behind an invitation's link as a browser would, as far as the page needs one: what it fetches really goes to rosterd.
//   node invite_page.cjs http://127.0.0.1:PORT '#rsi_…' '{"who": "new", "password": "…"}'
// Prints, as JSON, what a person would see, and the address bar.
"use strict";
const [base, hash, filled] = process.argv.slice(2);

(async () => {
  const html = await (await fetch(base + "/invite")).text();
  const script = html.match(/<script nonce="[0-9a-f]{32}">([\s\S]*)<\/script>/)[1];
  const form = {hidden: true, listeners: {}, elements: {}};
  for (const name of ["who", "first_name", "last_name", "email", "password"]) form.elements[name] = {value: ""};
  form.elements.who.value = "new";
  form.addEventListener = (event, listener) => { form.listeners[event] = listener; };
  const button = {disabled: false};
  form.querySelector = () => button;
  const elements = {accept: form, said: {textContent: ""}};
  for (const [, id] of html.matchAll(/ id="([a-z]+)"/g)) elements[id] ??= {hidden: false};
  const location = {hash, pathname: "/invite"};
  const history = {replaceState: (state, title, path) => { location.hash = ""; location.pathname = path; }};
  const requests = [];
  const fetched = (path, options) => {
    requests.push(path);
    return fetch(new URL(path, base + "/invite"), options);
  };
  new Function("document", "location", "history", "fetch", script)({getElementById: id => elements[id]}, location, history, fetched);
  const shown = !form.hidden;
  if (shown) {
    for (const [name, value] of Object.entries(JSON.parse(filled))) form.elements[name].value = value;
    form.listeners.change();
    await form.listeners.submit({preventDefault() {}});
  }
  const out = {shown, done: shown && form.hidden, said: elements.said.textContent, address: location.pathname + location.hash, requests,
               password: form.elements.password.value};
  console.log(JSON.stringify(out));
})();
