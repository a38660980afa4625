// An OpenID provider for tests; tests/support/oidc_provider.hpp says what it offers.
import "./node18.mjs";
import crypto from "node:crypto";
import { promisify } from "node:util";
import { origin, serve, settings } from "./harness.mjs";

const { Provider, errors } = await import("oidc-provider");

const accounts = new Map(settings.accounts.map((one) => [one.sub, one.claims]));
const generate = promisify(crypto.generateKeyPair);

// ---- keys

let generation = 0;
const new_keys = async () => {
  ++generation;
  const [rsa, ec] = await Promise.all([generate("rsa", { modulusLength: 2048 }), generate("ec", { namedCurve: "P-256" })]);
  const as_jwk = (pair, alg) => ({ ...pair.privateKey.export({ format: "jwk" }), use: "sig", alg, kid: `${alg.toLowerCase()}-${generation}` });
  return [as_jwk(rsa, "RS256"), as_jwk(ec, "ES256")];
};
let current = await new_keys();
let retired = [];
const key_for = (alg) => current.find((key) => key.alg === alg);

const encode = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const sign = (claims, header, alg) => {
  const key = key_for(alg);
  const head = { alg, kid: key.kid, ...header };
  const input = `${encode(head)}.${encode(claims)}`;
  const signature = crypto.sign("sha256", Buffer.from(input), { key: crypto.createPrivateKey({ key, format: "jwk" }), dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
};

// ---- the provider

const client_metadata = (client) => {
  const coded = client.redirect_uris.length > 0;
  const grants = client.method === "none" ? [] : ["client_credentials"];
  if (coded) grants.push("authorization_code", "refresh_token");
  const metadata = {
    client_id: client.id,
    grant_types: grants,
    response_types: coded ? ["code"] : [],
    redirect_uris: client.redirect_uris,
    token_endpoint_auth_method: client.method,
    id_token_signed_response_alg: settings.algorithm,
  };
  if (client.method.startsWith("client_secret")) metadata.client_secret = client.secret;
  if (client.method === "private_key_jwt") {
    const key = crypto.createPublicKey(client.public_key).export({ format: "jwk" });
    metadata.jwks = { keys: [{ ...key, kid: "client-key", use: "sig", alg: client.algorithm }] };
    metadata.token_endpoint_auth_signing_alg = client.algorithm;
  }
  if (client.method === "tls_client_auth") metadata.tls_client_auth_subject_dn = client.subject_dn;
  return metadata;
};

const claims_of = (sub) => ({ ...accounts.get(sub), sub });
const claim_names = () => [...new Set([...accounts.values()].flatMap((claims) => Object.keys(claims)))].filter((name) => name !== "sub");

const make_provider = () => {
  const provider = new Provider(origin, {
    clients: settings.clients.map(client_metadata),
    jwks: { keys: [...current, ...retired] },
    clientAuthMethods: ["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "none"],
    findAccount: (_, sub) => (accounts.has(sub) ? { accountId: sub, claims: () => claims_of(sub) } : undefined),
    claims: { openid: ["sub", ...claim_names()], email: ["email", "email_verified"], profile: ["name", "preferred_username"] },
    conformIdTokenClaims: false,
    scopes: ["openid", "offline_access", "email", "profile", ...settings.scope.split(" ")],
    cookies: { keys: ["rosterd-tests"] },
    pkce: { required: () => true },
    ttl: {
      AccessToken: settings.access_token_seconds,
      ClientCredentials: settings.access_token_seconds,
      IdToken: settings.id_token_seconds,
      AuthorizationCode: 60,
      Interaction: 600,
      Session: 3600,
      Grant: 3600,
      RefreshToken: 3600,
    },
    extraParams: ["account", "deny"],
    extraTokenClaims: (_, token) => (token.accountId ? accounts.get(token.accountId) : undefined),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      mTLS: {
        enabled: true,
        tlsClientAuth: true,
        getCertificate: (ctx) => {
          const shown = ctx.socket.getPeerX509Certificate?.();
          return shown ? shown.toString() : undefined;
        },
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === "tls_client_auth_subject_dn" && ctx.socket.getPeerX509Certificate?.()?.subject === expected,
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => settings.audience,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => {
          if (resource !== settings.audience) throw new errors.InvalidTarget();
          return {
            scope: settings.scope,
            audience: settings.audience,
            accessTokenFormat: "jwt",
            accessTokenTTL: settings.access_token_seconds,
            jwt: { sign: { alg: settings.algorithm } },
          };
        },
      },
    },
    interactions: { url: (_, interaction) => `/__sign-in/${interaction.uid}` },
    // Consent is given by having signed in.
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope([...ctx.oidc.requestParamScopes].join(" ") || "openid");
      grant.addOIDCClaims(claim_names());
      grant.addResourceScope(settings.audience, settings.scope);
      await grant.save();
      return grant;
    },
  });
  provider.on("server_error", (_, error) => console.error(error));
  return provider;
};
let provider = make_provider();
let handle = provider.callback();

const sign_in = async (request, response) => {
  const { params } = await provider.interactionDetails(request, response);
  const sub = params.account ?? params.login_hint;
  const result = params.deny
    ? { error: "access_denied", error_description: "the account owner said no" }
    : accounts.has(sub)
      ? { login: { accountId: sub } }
      : { error: "access_denied", error_description: `no account is called '${sub}': name one by login_hint or account` };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
};

const token_of = ({ sub, client }) => {
  const now = Math.floor(Date.now() / 1000);
  const common = { iss: origin, aud: settings.audience, iat: now, exp: now + settings.access_token_seconds, jti: crypto.randomUUID(), client_id: client, scope: settings.scope };
  const claims = sub ? { ...accounts.get(sub), ...common, sub } : { ...common, sub: client };
  return { token: sign(claims, { typ: "at+jwt" }, settings.algorithm) };
};

serve((request, response) => (request.url.startsWith("/__sign-in/") ? sign_in(request, response) : handle(request, response)), {
  // A provider keeps what its adapter holds (sessions, codes) in memory; a new set of keys begins with nobody signed in.
  "POST /__test/rotate": async ({ keep_old }) => {
    retired = keep_old ? [...current, ...retired] : [];
    current = await new_keys();
    provider = make_provider();
    handle = provider.callback();
    return { kids: current.map((key) => key.kid) };
  },
  "POST /__test/sign": ({ claims, header, algorithm }) => ({ token: sign(claims, header ?? {}, algorithm || settings.algorithm) }),
  "POST /__test/token": token_of,
  "POST /__test/account": ({ sub, claims }) => void accounts.set(sub, claims),
});
