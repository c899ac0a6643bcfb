/** Logging in and out: the only requests that this package makes of its own. */

import { LoginRefused, Throttled, TokenLimitReached, Unavailable } from "./errors.js";

/** @typedef {import("./caches.js").Entry} Entry */
/** @typedef {import("./errors.js").ListedToken} ListedToken */
/** @typedef {{server: string, username: string, password: string, organizationId: string}} Credentials */
/** @typedef {{fetch: typeof fetch, now: () => number, sleep: (milliseconds: number) => Promise<unknown>}} Surroundings */

const ANSWER_MILLISECONDS_MAX = 30_000;
/** Of a login whose answer was lost a token may be left, so that there are few further ones. */
const TRIES_MAX = 4;
const RETRY_SECONDS_MAX = 30;

/**
 * A new token. Tries again, with backoff and jitter, while the server cannot answer.
 *
 * @param {Credentials} credentials
 * @param {Surroundings} surroundings
 * @returns {Promise<Entry>}
 * @throws {LoginRefused | TokenLimitReached | Throttled | Unavailable}
 */
export async function logIn(credentials, surroundings) {
  for (let tried = 1; ; tried += 1) {
    try {
      return await logInOnce(credentials, surroundings);
    } catch (error) {
      if (!(error instanceof Unavailable) || tried >= TRIES_MAX || error.retryAfter > RETRY_SECONDS_MAX) throw error;
      const backoff = 0.25 * 2 ** tried * (0.5 + Math.random() / 2);
      await surroundings.sleep(1000 * Math.max(backoff, error.retryAfter * (1 + Math.random() / 10)));
    }
  }
}

/**
 * @param {Credentials} credentials
 * @param {Surroundings} surroundings
 * @returns {Promise<Entry>}
 */
async function logInOnce(credentials, { fetch, now }) {
  const { server, username, password, organizationId } = credentials;
  const response = await asked(fetch, `${server}/api/auth/login/`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ username, password, organization_id: organizationId }),
  });
  const answer = await response.json().catch(() => null);
  if (response.ok) {
    if (typeof answer?.token !== "string" || !/^[!-~]+$/.test(answer.token)) {
      throw new LoginRefused(response.status, "The answer holds no token.");
    }
    return { token: answer.token, obtained: now(), expires: expires(answer.expiry, response, now()) };
  }
  if (response.status === 403 && answer?.code === "token_limit_reached") {
    throw new TokenLimitReached(sentence(answer), await listed(credentials, fetch));
  }
  if (response.status === 429) throw new Throttled(retryAfter(response, 60));
  if (response.status >= 500) throw new Unavailable(`it answered ${response.status}`, retryAfter(response, 0));
  throw new LoginRefused(response.status, sentence(answer).replaceAll(password, "…"));
}

/**
 * End a token; true when the server has said that it has ended, or that it knew none.
 *
 * @param {string} server
 * @param {string} token
 * @param {typeof globalThis.fetch} fetch
 */
export async function logOut(server, token, fetch) {
  const response = await asked(fetch, `${server}/api/auth/logout/`, {
    method: "POST",
    headers: { Authorization: `Token ${token}` },
  });
  return response.ok || response.status === 401;
}

/**
 * The organization's tokens, where the server lists them to whoever has a password.
 *
 * @param {Credentials} credentials
 * @param {typeof fetch} fetch
 * @returns {Promise<ListedToken[]>}
 */
async function listed({ server, username, password, organizationId }, fetch) {
  const basic = btoa(String.fromCharCode(...new TextEncoder().encode(`${username}:${password}`)));
  const query = new URLSearchParams({ organization_id: organizationId, limit: "100" });
  try {
    const response = await asked(fetch, `${server}/api/auth/tokens/?${query}`, {
      headers: { Authorization: `Basic ${basic}` },
    });
    const answer = response.ok ? await response.json() : null;
    return Array.isArray(answer?.results) ? answer.results : [];
  } catch {
    return [];
  }
}

/**
 * @param {typeof fetch} fetch
 * @param {string} url
 * @param {RequestInit} init
 */
async function asked(fetch, url, init) {
  try {
    return await fetch(url, {
      ...init,
      credentials: "omit",
      redirect: "error", // what a redirect names is not the server that was given
      signal: AbortSignal.timeout(ANSWER_MILLISECONDS_MAX),
    });
  } catch (error) {
    throw new Unavailable(error instanceof Error ? error.name : "no answer", 0);
  }
}

/**
 * When the token expires by this machine's clock, which may be wrong: the server's own tells how long it lives.
 *
 * @param {unknown} expiry
 * @param {Response} response
 * @param {number} now
 */
function expires(expiry, response, now) {
  const instant = typeof expiry === "string" ? Date.parse(expiry) : NaN;
  if (Number.isNaN(instant)) return null;
  const server = Date.parse(response.headers.get("Date") ?? "");
  if (!Number.isNaN(server)) return now + instant - server;
  // One of the clocks is wrong if it has expired already: the server will say when it has.
  return instant > now ? instant : null;
}

/**
 * @param {Response} response
 * @param {number} otherwise
 */
function retryAfter(response, otherwise) {
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : otherwise;
}

/**
 * What the server's answer says, in one sentence.
 *
 * @param {any} answer
 */
function sentence(answer) {
  if (typeof answer?.detail === "string") return answer.detail;
  const fields = Object.entries(answer ?? {}).map(([field, said]) =>
    field === "non_field_errors" ? [said].flat().join(" ") : `${field}: ${[said].flat().join(" ")}`,
  );
  return fields.join(" ") || "no reason was given.";
}
