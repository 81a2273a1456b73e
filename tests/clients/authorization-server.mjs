// A real authorization server (oidc-provider) for the tests of grants and logins: refresh tokens are replaced at each use, and one that
// was used before ends the grant. Arguments: certificate file, key file. Variables: CLIENT_SECRET of the OAuth client "app"; REDIRECTS,
// the redirect URIs of all OAuth clients; CLIENT_JWK, the public key of the OAuth client "keyed"; DEVICE_TTL, the
// seconds that a device code is good; DPOP, where proofs are wanted.
// Everybody is ann, who logs in and agrees at once. On the side: /test/refresh makes a first refresh token, /test/revoke ends its grant,
// /test/down and /test/up, /test/deny lets ann say no, /test/seen tells what was issued. /test/person/NAME: everybody is somebody else;
// /test/groups/A,B: who is in these; /test/console/PORT: the single sign-on of a console there; /test/forge/HOW: ID tokens that are wrong.
import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { Provider, errors } from 'oidc-provider';

const [certificate, key] = process.argv.slice(2).map((file) => readFileSync(file));
const seen = { requests: 0, issued: [], refused: 0, revoked: 0, form: '' };
let redirects = (process.env.REDIRECTS ?? 'https://localhost/callback').split(' ');
const [own, other] = [1, 2].map(() => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
let person = 'ann';
let groups;
let forgery;
let down = false;
let denies = false;
let lifetime = 3600;
let grant;
let answer;
let provider;

function open(issuer) {
  const basic = {
    redirect_uris: redirects, response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
  };
  const clients = [
    { ...basic, client_id: 'app', client_secret: process.env.CLIENT_SECRET, grant_types: [...basic.grant_types, 'client_credentials'] },
    { ...basic, client_id: 'posting', client_secret: process.env.CLIENT_SECRET, token_endpoint_auth_method: 'client_secret_post' },
    { ...basic, client_id: 'public', token_endpoint_auth_method: 'none', application_type: 'native', redirect_uris: ['http://127.0.0.1/callback'] },
  ];
  if (process.env.CLIENT_JWK) {
    clients.push({
      ...basic, client_id: 'keyed', token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256',
      grant_types: [...basic.grant_types, 'client_credentials'], jwks: { keys: [JSON.parse(process.env.CLIENT_JWK)] },
    });
  }
  const made = new Provider(issuer, {
    clients,
    jwks: { keys: [{ ...own.export({ format: 'jwk' }), kid: 'own', use: 'sig' }] },
    claims: { openid: ['sub'], groups: ['groups'] },
    conformIdTokenClaims: false,
    features: {
      clientCredentials: { enabled: true }, deviceFlow: { enabled: true }, revocation: { enabled: true },
      devInteractions: { enabled: false }, userinfo: { enabled: false },
      dPoP: { enabled: Boolean(process.env.DPOP), nonceSecret: Buffer.alloc(32, 7), requireNonce: () => process.env.DPOP === 'nonce' },
      resourceIndicators: {
        enabled: true, defaultResource: () => undefined, useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => {
          if (!resource.startsWith('https://api.')) throw new errors.InvalidTarget();
          return { scope: 'api', audience: resource, accessTokenFormat: 'opaque' };
        },
      },
    },
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    rotateRefreshToken: true,
    ttl: {
      AccessToken: () => lifetime, ClientCredentials: () => lifetime, RefreshToken: 86400, Grant: 86400, DeviceCode: Number(process.env.DEVICE_TTL ?? 600),
      Session: 86400, Interaction: 600, IdToken: 3600,
    },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, groups }) }),
    cookies: { keys: ['test'] },
  });
  made.on('server_error', (_, error) => console.error(error));
  made.on('refresh_token.destroyed', () => { seen.revoked += 1; });
  return made;
}

async function firstRefreshToken() {
  grant = new provider.Grant({ accountId: 'ann', clientId: 'app' });
  grant.addOIDCScope('offline_access api');
  const grantId = await grant.save();
  const client = await provider.Client.find('app');
  const token = new provider.RefreshToken({
    accountId: 'ann', client, grantId, scope: 'offline_access api', gty: 'authorization_code', authTime: 1, expiresWithSession: false,
  });
  return token.save();
}

// Ann's browser is sent here, and goes on at once.
async function interact(request, response) {
  const { params } = await provider.interactionDetails(request, response);
  if (denies) {
    await provider.interactionFinished(request, response, { error: 'access_denied' }, { mergeWithLastSubmission: false });
    return;
  }
  grant = new provider.Grant({ accountId: person, clientId: params.client_id });
  if (params.scope) grant.addOIDCScope(params.scope);
  for (const resource of [params.resource ?? []].flat()) grant.addResourceScope(resource, 'api');
  const consent = { grantId: await grant.save() };
  await provider.interactionFinished(request, response, { login: { accountId: person }, consent }, { mergeWithLastSubmission: false });
}

// What somebody between the provider and its clients would like an ID token to be.
const forgeries = {
  nonce: (claims) => token({ alg: 'RS256', kid: 'own' }, { ...claims, nonce: 'another' }, own),
  aud: (claims) => token({ alg: 'RS256', kid: 'own' }, { ...claims, aud: 'other' }, own),
  iss: (claims) => token({ alg: 'RS256', kid: 'own' }, { ...claims, iss: 'https://other.example' }, own),
  exp: (claims) => token({ alg: 'RS256', kid: 'own' }, { ...claims, exp: claims.iat - 3600 }, own),
  key: (claims) => token({ alg: 'RS256', kid: 'own' }, { ...claims, sub: 'eve' }, other),
  none: (claims) => token({ alg: 'none' }, claims),
  hs256: (claims) => token({ alg: 'HS256', kid: 'own' }, claims, createPublicKey(own).export({ format: 'pem', type: 'spki' })),
  absent: () => undefined,
};

function token(header, claims, key) {
  const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  if (!key) return `${text}.`;
  const made = header.alg === 'HS256' ? createHmac('sha256', key).update(text).digest() : sign('RSA-SHA256', Buffer.from(text), key);
  return `${text}.${made.toString('base64url')}`;
}

function forged(given) {
  const claims = JSON.parse(Buffer.from(given.id_token.split('.')[1], 'base64url').toString());
  return JSON.stringify({ ...given, id_token: forgeries[forgery](claims) });
}

const settings = {
  person: (name) => { person = name; },
  groups: (list) => { groups = list.split(','); },
  forge: (how) => { forgery = how === 'nothing' ? undefined : how; },
  console: (port) => {
    redirects = [`http://localhost:${port}/sign-on/callback`];
    provider = open(provider.issuer);
    answer = provider.callback();
  },
};

const tests = {
  '/test/refresh': firstRefreshToken,
  '/test/revoke': async () => { await provider.RefreshToken.adapter.revokeByGrantId(grant.jti); await grant.destroy(); },
  '/test/down': async () => { down = true; },
  '/test/up': async () => { down = false; },
  '/test/short': async () => { lifetime = 1; },
  '/test/long': async () => { lifetime = 3600; },
  '/test/deny': async () => { denies = true; },
  '/test/seen': async () => seen,
};

// What the token endpoint gives out, for the hunt.
function watch(request, response) {
  const parts = [];
  request.on('data', (part) => { parts.push(part); });
  request.on('end', () => { seen.form = Buffer.concat(parts).toString(); });
  const end = response.end.bind(response);
  response.end = (body, ...rest) => {
    let said = body;
    try {
      const given = JSON.parse(body);
      const { access_token, refresh_token, id_token } = given;
      if (access_token) seen.issued.push(access_token); else seen.refused += 1;
      if (refresh_token) seen.issued.push(refresh_token);
      if (forgery && id_token) {
        said = forged(given);
        response.setHeader('content-length', Buffer.byteLength(said));
      }
    } catch { seen.refused += 1; }
    return end(said, ...rest);
  };
}

const server = createServer({ cert: certificate, key }, async (request, response) => {
  const test = tests[request.url];
  if (test) {
    const value = await test();
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(value ?? null));
    return;
  }
  const [, word, setting, value] = request.url.split('/');
  if (word === 'test' && settings[setting]) {
    settings[setting](value);
    response.setHeader('content-type', 'application/json');
    response.end('null');
    return;
  }
  if (request.url.startsWith('/interaction/')) {
    await interact(request, response);
    return;
  }
  if (down && request.url.startsWith('/token')) {
    if (request.url === '/token') seen.requests += 1;
    response.writeHead(503, { 'retry-after': '1' }).end('busy');
    return;
  }
  if (request.url === '/token') {
    seen.requests += 1;
    watch(request, response);
  }
  answer(request, response);
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  provider = open(`https://127.0.0.1:${port}`);
  answer = provider.callback();
  console.log(JSON.stringify({ port }));
});
