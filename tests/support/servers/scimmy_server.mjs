// A SCIM 2.0 server for tests; tests/support/scimmy_server.hpp says what it offers.
import crypto from "node:crypto";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";
import { origin, serve, settings } from "./harness.mjs";

const { User, Group } = SCIMMY.Resources;
const now = () => new Date().toISOString();

// ---- the store: id -> resource, in the order of creation

const store = { User: new Map(), Group: new Map() };
let memberships = new Map(); // user's id -> groups, made when first asked for after a change
let memberships_fresh = false;

const put = (type, resource) => {
  const old = store[type].get(resource.id);
  const created = old?.meta.created ?? now();
  const kept = { ...resource, meta: { created, lastModified: now() } };
  delete kept.groups;
  delete kept.schemas;
  store[type].set(kept.id, kept);
  if (type === "Group") memberships_fresh = false;
  return kept;
};

const groups_of = (id) => {
  if (!memberships_fresh) {
    memberships = new Map();
    for (const group of store.Group.values())
      for (const { value } of group.members ?? []) memberships.set(value, [...(memberships.get(value) ?? []), { value: group.id, display: group.displayName, type: "direct" }]);
    memberships_fresh = true;
  }
  return memberships.get(id);
};

const load = ({ users = [], groups = [] }) => {
  store.User.clear();
  store.Group.clear();
  for (const user of users) put("User", user);
  for (const group of groups) put("Group", group);
};

const padded = (number, width) => String(number).padStart(width, "0");
const generated = ({ users, groups, members, big_group, nested }) => {
  const user_id = (number) => `u-${padded(number, 6)}`;
  const user = (number) => ({
    id: user_id(number),
    externalId: `x-${padded(number, 6)}`,
    userName: `user${padded(number, 6)}`,
    name: { givenName: "User", familyName: `Number ${number}` },
    displayName: `User Number ${number}`,
    emails: [{ value: `user${padded(number, 6)}@example.test`, type: "work", primary: true }],
    active: number % 50 !== 0,
  });
  const group = (number) => {
    const size = number === 1 && big_group > 0 ? big_group : members;
    const first = number === 1 ? 0 : (number * members) % Math.max(users, 1);
    const inside = Array.from({ length: Math.min(size, users) }, (_, i) => ({ value: user_id(((first + i) % users) + 1), type: "User" }));
    if (nested && number % 10 === 0 && number < groups) inside.push({ value: `g-${padded(number + 1, 4)}`, type: "Group" });
    return { id: `g-${padded(number, 4)}`, displayName: `Group ${padded(number, 4)}`, members: inside };
  };
  return {
    users: Array.from({ length: users }, (_, i) => user(i + 1)),
    groups: Array.from({ length: groups }, (_, i) => group(i + 1)),
  };
};
load(generated(settings));

// ---- scimmy's handlers

const whole = (type, resource) => (type === "User" ? { ...resource, groups: groups_of(resource.id) } : resource);

const compare = (path) => (a, b) => {
  const at = (value) => path.split(".").reduce((one, name) => one?.[name], value);
  return String(at(a) ?? "") < String(at(b) ?? "") ? -1 : 1;
};

const handlers = (Resource, type) => ({
  egress: (resource, request) => {
    if (resource.id) {
      const found = store[type].get(resource.id);
      if (!found) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
      return whole(type, found);
    }
    // Only the page that is asked for goes through scimmy's schema checks: twenty thousand for each page would take seconds.
    let found = [...store[type].values()];
    if (resource.filter) found = resource.filter.match(found.map((one) => whole(type, one)));
    const { sortBy, sortOrder, startIndex = 1, count = 100 } = resource.constraints ?? {};
    if (sortBy) found.sort(compare(sortBy));
    if (sortBy && sortOrder === "descending") found.reverse();
    const first = Math.max(startIndex, 1) - 1;
    const page = found.slice(first, first + Math.min(Math.max(count, 0), settings.max_results)).map((one) => whole(type, one));
    // scimmy would cut the list a second time: it is told of one page that begins at 1, and page_start() writes the true start.
    request.page_start = first + 1;
    resource.constraints = { startIndex: 1, itemsPerPage: page.length, totalResults: found.length };
    return page;
  },
  ingress: (resource, instance) => {
    const id = resource.id ?? crypto.randomUUID();
    if (resource.id && !store[type].has(id)) throw new SCIMMY.Types.Error(404, null, `Resource ${id} not found`);
    const name = type === "User" ? "userName" : "displayName";
    for (const other of store[type].values())
      if (other.id !== id && other[name]?.toLowerCase() === instance[name]?.toLowerCase())
        throw new SCIMMY.Types.Error(409, "uniqueness", `${name} '${instance[name]}' is taken`);
    return whole(type, put(type, { ...JSON.parse(JSON.stringify(instance)), id }));
  },
  degress: (resource) => {
    if (!store[type].delete(resource.id)) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
    if (type === "Group") memberships_fresh = false;
  },
});

// ---- who may ask

let keys = [];
const verified = async (token) => {
  const [head, claims, signature] = token.split(".");
  const header = JSON.parse(Buffer.from(head, "base64url"));
  if (!keys.some((key) => key.kid === header.kid)) keys = (await (await fetch(settings.jwks_url)).json()).keys;
  const key = keys.find((one) => one.kid === header.kid && one.alg === header.alg);
  if (!key) throw new Error("the token's key is unknown");
  const right = crypto.verify(
    "sha256",
    Buffer.from(`${head}.${claims}`),
    { key: crypto.createPublicKey({ key, format: "jwk" }), dsaEncoding: "ieee-p1363" },
    Buffer.from(signature, "base64url"),
  );
  const { iss, aud, exp, sub } = JSON.parse(Buffer.from(claims, "base64url"));
  if (!right) throw new Error("the token's signature is wrong");
  if (iss !== settings.issuer || ![aud].flat().includes(settings.audience)) throw new Error("the token is for somebody else");
  if (exp * 1000 < Date.now()) throw new Error("the token has expired");
  return sub;
};

const authenticate = async (request) => {
  const token = /^Bearer (.+)$/i.exec(request.header("authorization") ?? "")?.[1];
  if (!token) throw new Error("no bearer token");
  if (settings.token && token === settings.token) return "static";
  if (settings.jwks_url && token.split(".").length === 3) return verified(token);
  throw new Error("the token is not known");
};

SCIMMY.Config.set({ filter: { supported: true, maxResults: settings.max_results }, etag: true, bulk: false });
const page_start = (request, response, next) => {
  const send = response.send.bind(response);
  response.send = (body) => {
    if (request.page_start && body?.Resources) body.startIndex = request.page_start;
    return send(body);
  };
  next();
};
const app = express();
app.set("etag", false);
app.use(page_start);
for (const [Resource, type] of [[User, "User"], [Group, "Group"]]) SCIMMY.Resources.declare(Resource, handlers(Resource, type));
app.use("/scim/v2", new SCIMMYRouters({ type: "bearer", handler: authenticate, baseUri: () => origin, context: (request) => request }));

serve((request, response) => app(request, response), {
  "POST /__test/load": load,
  "POST /__test/put": ({ type, resource }) => void put(type, resource),
  "POST /__test/remove": ({ type, id }) => {
    store[type].delete(id);
    memberships_fresh = false;
  },
});
