// A real authorization server (oidc-provider) for the tests of grants: refresh tokens are replaced at each use, and one that was used
// before ends the grant. Arguments: certificate file, key file. The OAuth client's secret comes in the variable CLIENT_SECRET.
// On the side: /test/refresh makes a first refresh token, /test/revoke ends its grant, /test/down and /test/up, /test/seen tells what was issued.
import { createServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { Provider } from 'oidc-provider';

const [certificate, key] = process.argv.slice(2).map((file) => readFileSync(file));
const seen = { requests: 0, issued: [], refused: 0 };
let down = false;
let lifetime = 3600;
let grant;

const provider = new Provider('https://127.0.0.1', {
  clients: [{
    client_id: 'app', client_secret: process.env.CLIENT_SECRET, redirect_uris: ['https://localhost/callback'],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'], response_types: ['code'],
  }],
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  rotateRefreshToken: true,
  ttl: { AccessToken: () => lifetime, ClientCredentials: () => lifetime, RefreshToken: 86400, Grant: 86400 },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  cookies: { keys: ['test'] },
});
provider.on('server_error', (_, error) => console.error(error));

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

const tests = {
  '/test/refresh': firstRefreshToken,
  '/test/revoke': async () => { await provider.RefreshToken.adapter.revokeByGrantId(grant.jti); await grant.destroy(); },
  '/test/down': async () => { down = true; },
  '/test/up': async () => { down = false; },
  '/test/short': async () => { lifetime = 1; },
  '/test/seen': async () => seen,
};

const answer = provider.callback();
const server = createServer({ cert: certificate, key }, async (request, response) => {
  const test = tests[request.url];
  if (test) {
    const value = await test();
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(value ?? null));
    return;
  }
  if (request.url === '/token') {
    seen.requests += 1;
    if (down) {
      response.writeHead(503, { 'retry-after': '1' }).end('busy');
      return;
    }
    const end = response.end.bind(response);
    response.end = (body, ...rest) => {
      try {
        const { access_token, refresh_token } = JSON.parse(body);
        if (access_token) seen.issued.push(access_token); else seen.refused += 1;
        if (refresh_token) seen.issued.push(refresh_token);
      } catch { seen.refused += 1; }
      return end(body, ...rest);
    };
  }
  answer(request, response);
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
