// A certified authorization server on a free loopback port; it runs until stdin is closed.
//
// One JSON argument configures it; one JSON line on stdout contains the issuer. In addition to the provider's own
// endpoints it has `GET /_events` (what happened, without any tokens), and `POST /_faults` (which requests to the token
// endpoint to refuse, and which responses to drop after the request was processed).
import { createHash, generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';

import Provider, { errors } from 'oidc-provider';

const DEFAULTS = {
  port: 0,
  client_id: 'freshkey-tests',
  redirect_uris: ['http://127.0.0.1/callback', 'http://localhost/callback'],
  scopes: ['openid', 'offline_access', 'profile', 'email'],
  resources: ['https://api.example.test/'],
  access_token_seconds: 3,
  id_token_seconds: 3600,
  id_token_algorithm: 'RS256',
  refresh_token_seconds: 3600,
  device_code_seconds: 60,
  rotate: true,
  pushed: 'allowed',
  clients: [],
  machines: [],
};

const KEYS = {
  RS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};

const EVENTS = [
  'authorization.success', 'authorization.error', 'authorization.accepted',
  'device_authorization.success', 'device_authorization.error',
  'grant.success', 'grant.error', 'grant.revoked',
  'access_token.saved', 'access_token.destroyed',
  'refresh_token.saved', 'refresh_token.consumed', 'refresh_token.destroyed',
  'authorization_code.consumed', 'device_code.consumed',
  'revocation.error', 'introspection.error', 'userinfo.error', 'server_error',
];

// Opaque tokens are their own identifiers, so an event contains only a short digest.
function digest(value) {
  return value && createHash('sha256').update(value).digest('hex').slice(0, 12);
}

function describe(kind, args) {
  const [first, second] = args;
  const error = args.find((value) => value instanceof Error);
  const entities = first?.oidc?.entities;
  const grantId = (typeof second === 'string' ? second : undefined)
    ?? first?.grantId ?? entities?.Grant?.jti ?? entities?.AccessToken?.grantId;
  return {
    kind,
    time: Date.now() / 1000,
    grant: digest(grantId),
    token: digest(first?.jti),
    grant_type: first?.oidc?.params?.grant_type,
    error: error && (error.error ?? error.name),
    reason: error && (error.error_detail ?? error.error_description ?? error.message),
  };
}

// The metadata of all clients (OpenID Connect Dynamic Client Registration 1.0, section 2).
function clients(options) {
  const forUsers = ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'];
  const native = { application_type: 'native', response_types: ['code'], redirect_uris: options.redirect_uris };
  return [
    { ...native, client_id: options.client_id, token_endpoint_auth_method: 'none', grant_types: forUsers },
    ...options.clients.map((client) => ({ ...native, grant_types: [...forUsers, 'client_credentials'], ...client })),
    ...options.machines.map((machine) => ({
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      ...machine,
    })),
  ];
}

// A new key for ID tokens; the provider's own keys are the same everywhere.
function signingKeys(algorithm) {
  const { privateKey } = generateKeyPairSync(...KEYS[algorithm]);
  return { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: algorithm }] };
}

function resourceIndicators(options, lifetime) {
  return {
    enabled: true,
    defaultResource: () => undefined,
    useGrantedResource: () => true,
    getResourceServerInfo: (ctx, resource) => {
      if (!options.resources.includes(resource)) throw new errors.InvalidTarget();
      return { scope: 'read write', audience: resource, accessTokenTTL: lifetime(), accessTokenFormat: 'opaque' };
    },
  };
}

function configuration(options) {
  const lifetime = () => options.access_token_seconds;
  return {
    clients: clients(options),
    clientDefaults: { id_token_signed_response_alg: options.id_token_algorithm },
    enabledJWA: { idTokenSigningAlgValues: [options.id_token_algorithm] },
    jwks: signingKeys(options.id_token_algorithm),
    scopes: options.scopes,
    claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, name: id, email: `${id}@example.test` }) }),
    clockTolerance: 0,
    pkce: { required: () => true },
    rotateRefreshToken: options.rotate,
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: () => false,
    ttl: {
      AccessToken: (ctx, token) => token.resourceServer?.accessTokenTTL ?? lifetime(),
      ClientCredentials: lifetime,
      DeviceCode: options.device_code_seconds,
      Grant: 86400,
      IdToken: options.id_token_seconds,
      Interaction: 600,
      RefreshToken: options.refresh_token_seconds,
      Session: 86400,
    },
    cookies: { keys: ['a key that only signs the cookies of tests'] },
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      userinfo: { enabled: true },
      pushedAuthorizationRequests: {
        enabled: options.pushed !== 'off',
        requirePushedAuthorizationRequests: options.pushed === 'required',
      },
      resourceIndicators: resourceIndicators(options, lifetime),
    },
  };
}

function answerJson(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function readJson(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return JSON.parse(text);
}

// A lost response: the provider processes the request and believes that it responded, but the connection is closed.
function loseAnswer(response) {
  response.writeHead = () => response;
  response.write = () => true;
  response.end = () => {
    response.socket?.destroy();
    return response;
  };
}

function listener(provider, events) {
  const handle = provider.callback();
  const faults = { refuse: 0, status: 503, lose: 0 };
  return async (request, response) => {
    if (request.url === '/_events') return answerJson(response, 200, events);
    if (request.url === '/_faults') {
      Object.assign(faults, await readJson(request));
      return answerJson(response, 200, faults);
    }
    if (request.url === '/token' && faults.refuse > 0) {
      faults.refuse -= 1;
      return response.writeHead(faults.status).end();
    }
    if (request.url === '/token' && faults.lose > 0) {
      faults.lose -= 1;
      loseAnswer(response);
    }
    return handle(request, response);
  };
}

const options = { ...DEFAULTS, ...JSON.parse(process.argv[2] ?? '{}') };
const events = [];
const server = createServer();
process.stdin.resume().on('close', () => process.exit(0));
server.listen(options.port, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration(options));
  for (const kind of EVENTS) provider.on(kind, (...args) => events.push(describe(kind, args)));
  server.on('request', listener(provider, events));
  process.stdout.write(`${JSON.stringify({ issuer, client_id: options.client_id })}\n`);
});
