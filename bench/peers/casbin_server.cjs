// node-casbin behind node's own HTTP server, with the tenant that bench_peers wrote down: POST /check {"subject","permission","action",
// "namespace"} -> {"allowed"}. A binding becomes one rule for everybody it reaches: casbin has no groups at places.
//   node casbin_server.cjs MODEL.json PORT
const { readFileSync } = require('node:fs');
const http = require('node:http');
const casbin = require('./casbin.cjs');

const MODEL = `
[request_definition]
r = sub, dom, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub, r.dom) && r.obj == p.obj && r.act == p.act
`;

function rulesOf(tenant) {
  const members = new Map();
  tenant.groups_of.forEach((groups, user) => {
    for (const group of groups) members.set(group, [...(members.get(group) ?? []), user]);
  });
  const rules = [];
  tenant.roles.forEach((role, number) => {
    for (const [permission, actions] of Object.entries(role))
      for (const action of new Set(actions)) rules.push(['p', `role${number}`, permission, action]);
  });
  const seen = new Set();
  for (const binding of tenant.bindings) {
    const holders = binding.group === undefined ? [binding.user] : (members.get(binding.group) ?? []);
    for (const user of holders) {
      const rule = ['g', `user${user}`, `role${binding.role}`, binding.namespace];
      const line = rule.join();
      if (!seen.has(line)) rules.push(rule);
      seen.add(line);
    }
  }
  return rules;
}

(async () => {
  const rules = rulesOf(JSON.parse(readFileSync(process.argv[2], 'utf8')));
  const enforcer = await casbin.enforcer(MODEL, rules);
  http
    .createServer((request, response) => {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', () => {
        const asked = JSON.parse(Buffer.concat(chunks).toString());
        const allowed = enforcer.enforceSync(asked.subject.slice(5), asked.namespace, asked.permission, asked.action);
        const body = JSON.stringify({ allowed });
        response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length });
        response.end(body);
      });
    })
    .listen(Number(process.argv[3]), '127.0.0.1', () => console.log(`ready: casbin ${casbin.version}, ${rules.length} rules`));
})();
