// What every server here has: settings from a file, one port of 127.0.0.1 with or without TLS, counters of requests, faults on command.
import fs from "node:fs";
import http from "node:http";
import https from "node:https";

export const settings = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
export const origin = `${settings.tls ? "https" : "http"}://127.0.0.1:${settings.port}`;

export const body_of = async (request) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString("utf8");
};

export const send = (response, status, value, headers = {}) => {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(value === undefined ? "" : JSON.stringify(value));
};

const later = (ms) => new Promise((done) => setTimeout(done, ms));
let counted = { total: 0, paths: {} };
let faults = [];

const harness_call = async (request, response, path) => {
  if (path === "/__test/requests") {
    if (request.method === "DELETE") counted = { total: 0, paths: {} };
    return send(response, 200, counted);
  }
  if (request.method === "DELETE") faults = [];
  else faults.push(JSON.parse(await body_of(request)));
  send(response, 200, faults);
};

// `own`: {"POST /__test/…": async (body, request) => answer}; everything else goes to `handler`.
export const serve = (handler, own = {}) => {
  const answer = async (request, response) => {
    const path = request.url.split("?")[0];
    const command = own[`${request.method} ${path}`];
    if (command) {
      const text = await body_of(request);
      return send(response, 200, (await command(text ? JSON.parse(text) : {}, request)) ?? {});
    }
    if (path === "/__test/requests" || path === "/__test/faults") return harness_call(request, response, path);
    if (path === "/__test/ready") return send(response, 200, { ready: true });
    ++counted.total;
    const name = `${request.method} ${path}`;
    counted.paths[name] = (counted.paths[name] ?? 0) + 1;
    const fault = faults.find((one) => one.times !== 0 && new RegExp(one.path).test(request.url));
    if (fault) {
      if (fault.times > 0) --fault.times;
      if (fault.delay_ms) await later(fault.delay_ms);
      if (fault.drop) return request.socket.destroy();
      if (fault.status) {
        response.writeHead(fault.status, { "content-type": "application/json", ...fault.headers });
        return response.end(fault.body ?? "");
      }
    }
    return handler(request, response);
  };
  const guarded = (request, response) =>
    answer(request, response).catch((error) => {
      console.error(error);
      if (!response.headersSent) send(response, 500, { error: String(error?.message ?? error) });
    });
  const { tls } = settings;
  const read = (file) => fs.readFileSync(file);
  const server = tls
    ? https.createServer(
        { cert: read(tls.cert), key: read(tls.key), ca: tls.ca ? read(tls.ca) : undefined, requestCert: Boolean(tls.ca), rejectUnauthorized: false },
        guarded,
      )
    : http.createServer(guarded);
  server.keepAliveTimeout = 60_000;
  server.listen(settings.port, "127.0.0.1");
  process.on("SIGTERM", () => process.exit(0));
};
