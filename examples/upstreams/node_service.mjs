// A Node service behind Tenantry: it serves only requests that carry a valid Tenantry-Identity. Nothing to install:
// node:crypto reads the published keys and verifies Ed25519. (With `jose`: jwtVerify(token, createRemoteJWKSet(url),
// {issuer, audience, typ: TYPE, algorithms: ["Ed25519"]}) does the same.)
//
//   TENANTRY_JWKS_URL=https://api.example.com/.well-known/jwks.json TENANTRY_ISSUER=https://api.example.com \
//   UPSTREAM_NAME=orders PORT=9002 node node_service.mjs

import { createPublicKey, verify } from "node:crypto";
import { createServer } from "node:http";

const TYPE = "tenantry-identity+jwt";
const LEEWAY = 5; // seconds by which the clocks of gateway and service may differ
const REFRESH = 30_000; // milliseconds: how often an unknown key may make the service ask for the keys again

const { TENANTRY_JWKS_URL, TENANTRY_ISSUER, UPSTREAM_NAME = "orders", PORT = "9002" } = process.env;

let keys = new Map();
let asked = -Infinity;

async function keyOf(kid) {
  if (!keys.has(kid) && performance.now() - asked >= REFRESH) {
    asked = performance.now();
    const answer = await fetch(TENANTRY_JWKS_URL);
    if (!answer.ok) throw new Error(`the keys answered ${answer.status}`);
    const document = await answer.json();
    keys = new Map(document.keys.map((jwk) => [jwk.kid, createPublicKey({ key: jwk, format: "jwk" })]));
  }
  return keys.get(kid);
}

const read = (part) => JSON.parse(Buffer.from(part, "base64url").toString("utf8"));

async function verified(token) {
  const [header, claims, signature, ...more] = (token ?? "").split(".");
  if (!signature || more.length) return null;
  const { alg, typ, kid } = read(header);
  if (alg !== "Ed25519" || typ !== TYPE) return null;
  const key = await keyOf(kid);
  if (!key || key.asymmetricKeyType !== "ed25519") return null;
  if (!verify(null, Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, "base64url"))) return null;
  const caller = read(claims);
  const now = Date.now() / 1000;
  const current = Number.isFinite(caller.exp) && caller.exp > now - LEEWAY;
  return caller.iss === TENANTRY_ISSUER && caller.aud === UPSTREAM_NAME && current ? caller : null;
}

const server = createServer(async (request, response) => {
  const caller = await verified(request.headers["tenantry-identity"]).catch(() => null);
  response.setHeader("content-type", "application/json");
  if (!caller) {
    response.writeHead(403).end(JSON.stringify({ detail: "This service is reached through the gateway only." }));
    return;
  }
  // The tenant is in the token: no field of the request is trusted for it.
  const { tenant_slug, sub, kind, roles, plan } = caller;
  response.end(JSON.stringify({ tenant_slug, sub, kind, roles, plan }));
});

server.listen(Number(PORT), "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
