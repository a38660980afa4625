// node-casbin, found in the folder of packages that scripts/bench made (ROSTERD_PEERS).
const { createRequire } = require('node:module');

const packages = createRequire(`${process.env.ROSTERD_PEERS}/package.json`);
const { newEnforcer, newModelFromString, StringAdapter } = packages('casbin');

exports.version = packages('casbin/package.json').version;

/** An enforcer with this model and these rules, ["p", "admin", "data", "read"]. */
exports.enforcer = async (model, rules) => {
  const lines = rules.map((rule) => rule.join(', ')).join('\n');
  return newEnforcer(newModelFromString(model), new StringAdapter(lines));
};
