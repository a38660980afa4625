// node-casbin in the process with the shapes that Casbin publishes, and with bench_check's own questions about them (FOLDER/casbin-*.json).
//   node casbin_sizes.cjs FOLDER
const { readFileSync, readdirSync } = require('node:fs');
const casbin = require('./casbin.cjs');

const MODEL = `
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
`;
const LONGEST = 8; // seconds for each size

const middle = (sorted, part) => sorted[Math.floor((sorted.length - 1) * part)];

async function measure(size) {
  const rules = [];
  for (let role = 0; role < size.roles; ++role) rules.push(['p', `group${role}`, `data${role}`, 'READ']);
  for (let user = 0; user < size.roles * 10; ++user) rules.push(['g', `user${user}`, `group${Math.floor(user / 10)}`]);
  const enforcer = await casbin.enforcer(MODEL, rules);
  const took = [];
  const end = process.hrtime.bigint() + BigInt(LONGEST) * 1_000_000_000n;
  for (let i = 0; process.hrtime.bigint() < end; ++i) {
    const [user, data, allowed] = size.questions[i % size.questions.length];
    const begun = process.hrtime.bigint();
    const said = enforcer.enforceSync(user, data, 'READ');
    took.push(Number(process.hrtime.bigint() - begun) / 1000);
    if (said !== allowed) throw new Error(`casbin says ${said} of ${user} and ${data}`);
  }
  took.sort((a, b) => a - b);
  console.log(
    `node-casbin ${casbin.version}, ${rules.length} rules: p50 ${middle(took, 0.5).toFixed(1)} us, p99 ${middle(took, 0.99).toFixed(1)} us ` +
      `(${took.length} checks), ${(process.memoryUsage().rss / 1048576).toFixed(0)} MiB`,
  );
}

(async () => {
  const folder = process.argv[2];
  const sizes = readdirSync(folder)
    .filter((name) => /^casbin-\d+\.json$/.test(name))
    .map((name) => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')))
    .sort((a, b) => a.roles - b.roles);
  if (sizes.length === 0) throw new Error(`no questions in ${folder}; scripts/bench check writes them`);
  for (const size of sizes) await measure(size);
})().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
