/** The rule of reuse: one token for as long as it lives, a new one only when it has ended or is about to. */

import { MemoryCache } from "./caches.js";
import { BodyNotRepeatable, NightlatchError, OriginNotAllowed, Unavailable, WrongSetting } from "./errors.js";
import { logIn, logOut } from "./login.js";

/** @typedef {import("./caches.js").Cache} Cache */
/** @typedef {import("./caches.js").Entry} Entry */
/** @typedef {import("./login.js").Credentials} Credentials */
/** @typedef {import("./login.js").Surroundings} Surroundings */

/** A token is renewed in the last tenth of its life, and in its last hour at the earliest. */
const RENEWED_IN_LAST = 0.1;
const RENEWED_MILLISECONDS_MAX = 3_600_000;
/** When even a new token was refused: how long no further one is made, doubled each time. */
const REFUSED_MILLISECONDS_MIN = 1_000;
const REFUSED_MILLISECONDS_MAX = 60_000;
/** How long after a renewal was begun the next is, should it have failed. */
const RENEWAL_PAUSE_MILLISECONDS = 60_000;
/** How long a refused login (wrong credentials, no place left) is not repeated. */
const REFUSAL_SECONDS = 10;

/**
 * @typedef {object} Options
 * @property {string} server The authentication server, as `https://auth.example.com`.
 * @property {string} username
 * @property {string} password
 * @property {string} organizationId
 * @property {string[]} [origins] Where the token may be sent; the server's own origin, if not given.
 * @property {Cache} [cache] A `MemoryCache`, if not given.
 * @property {boolean} [allowPlainHttp] Also to hosts other than this one. Whoever listens gets the password.
 * @property {Partial<Surroundings>} [surroundings] Another fetch, clock (milliseconds) or sleep: for tests.
 */

/** Sends requests with a token that it makes, keeps, renews and replaces. */
export class TokenAuth {
  /** @type {Credentials} */
  #credentials;
  /** @type {Set<string>} */
  #origins;
  /** @type {Cache} */
  #cache;
  /** @type {Surroundings} */
  #surroundings;
  #key;
  /** @type {Promise<Entry> | null} */
  #renewal = null;
  /** @type {{error: NightlatchError, until: number} | null} */
  #failure = null;
  #noneBefore = 0;
  #renewalNotBefore = 0;
  #refusedMilliseconds = 0;

  /**
   * @param {Options} options
   * @throws {WrongSetting}
   */
  constructor(options) {
    for (const name of /** @type {const} */ (["server", "username", "password", "organizationId"])) {
      if (typeof options?.[name] !== "string" || options[name] === "") {
        throw new WrongSetting(`\`${name}\` is missing.`);
      }
    }
    const { server, username, password, organizationId, origins = [server] } = options;
    const plain = options.allowPlainHttp ?? false;
    this.#credentials = { server: address(server, plain).href.replace(/\/+$/, ""), username, password, organizationId };
    this.#origins = new Set(origins.map((origin) => address(origin, plain).origin));
    this.#cache = options.cache ?? new MemoryCache();
    this.#surroundings = {
      fetch: (...request) => globalThis.fetch(...request),
      now: Date.now,
      sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
      ...options.surroundings,
    };
    this.#key = `nightlatch ${JSON.stringify([this.#credentials.server, organizationId, username])}`;
  }

  /**
   * `fetch`, with the token. A 401 has the token replaced and the request sent once more.
   *
   * @param {RequestInfo | URL} input
   * @param {RequestInit} [init]
   * @returns {Promise<Response>}
   * @throws {import("./errors.js").NightlatchError} and whatever fetch throws
   */
  async fetch(input, init) {
    const request = new Request(input, init);
    const { origin } = new URL(request.url);
    if (!this.#origins.has(origin)) throw new OriginNotAllowed(origin);
    const again = isStream(init?.body) ? null : request.clone();
    const entry = await this.#entry();
    const response = await this.#surroundings.fetch(withToken(request, entry));
    // After a redirect, what was asked first has been done: it must not be done twice.
    const done = response.redirected && !["GET", "HEAD"].includes(request.method);
    if (response.status !== 401 || done) return response;
    const other = await this.#entryAfterRefusal(entry);
    if (other === null) return response;
    await response.body?.cancel();
    if (again === null) throw new BodyNotRepeatable();
    const second = await this.#surroundings.fetch(withToken(again, other));
    this.#note(second.status === 401);
    return second;
  }

  /**
   * The current token; a new one if there is none.
   *
   * @returns {Promise<string>}
   */
  async token() {
    return (await this.#entry()).token;
  }

  /** End the token, for everybody who shares the cache. The next request makes another. */
  async logOut() {
    await this.#cache.exclusive(this.#key, async () => {
      const entry = await this.#cache.read(this.#key);
      if (entry === null) return;
      if (!(await logOut(this.#credentials.server, entry.token, this.#surroundings.fetch))) {
        throw new Unavailable("it did not confirm that the token has ended.", 0);
      }
      await this.#cache.write(this.#key, null);
    });
  }

  async #entry() {
    const entry = await this.#cache.read(this.#key);
    if (entry === null || this.#remaining(entry) <= 0) return await this.#replaced(entry);
    if (this.#isDue(entry) && this.#surroundings.now() >= this.#renewalNotBefore) {
      this.#renewalNotBefore = this.#surroundings.now() + RENEWAL_PAUSE_MILLISECONDS;
      // Nobody waits for it, and the old token is good if it fails.
      this.#replaced(entry).catch(() => {});
    }
    return entry;
  }

  /**
   * Another token than the one that was refused; null while there is reason to think that it would be, too.
   *
   * @param {Entry} refused
   */
  async #entryAfterRefusal(refused) {
    const current = await this.#cache.read(this.#key);
    if (current !== null && current.token !== refused.token) return current;
    return this.#surroundings.now() < this.#noneBefore ? null : await this.#replaced(refused);
  }

  /** @param {boolean} refused whether even a new token was refused */
  #note(refused) {
    this.#refusedMilliseconds = refused
      ? Math.min(REFUSED_MILLISECONDS_MAX, Math.max(REFUSED_MILLISECONDS_MIN, 2 * this.#refusedMilliseconds))
      : 0;
    this.#noneBefore = refused ? this.#surroundings.now() + this.#refusedMilliseconds : 0;
  }

  /**
   * A token in place of the one given, made by whoever of those who share the cache comes first.
   *
   * @param {Entry | null} old
   * @returns {Promise<Entry>}
   */
  #replaced(old) {
    this.#renewal ??= this.#cache
      .exclusive(this.#key, async () => {
        const current = await this.#cache.read(this.#key);
        if (current !== null && current.token !== old?.token && this.#remaining(current) > 0) return current;
        if (this.#failure !== null && this.#surroundings.now() < this.#failure.until) throw this.#failure.error;
        const entry = await this.#loggedIn();
        try {
          await this.#cache.write(this.#key, entry);
        } catch (error) {
          // Nobody would find it, and it would take a place.
          logOut(this.#credentials.server, entry.token, this.#surroundings.fetch).catch(() => {});
          throw error;
        }
        if (current !== null) {
          // Only now that everybody finds the new one. If it fails, the old one ends by itself.
          logOut(this.#credentials.server, current.token, this.#surroundings.fetch).catch(() => {});
        }
        return entry;
      })
      .finally(() => {
        this.#renewal = null;
      });
    return this.#renewal;
  }

  /** A login; one that was refused is not tried again before there is reason to think that it would succeed. */
  async #loggedIn() {
    try {
      this.#failure = null;
      return await logIn(this.#credentials, this.#surroundings);
    } catch (error) {
      if (error instanceof NightlatchError) {
        const seconds = "retryAfter" in error ? Number(error.retryAfter) : REFUSAL_SECONDS;
        this.#failure = { error, until: this.#surroundings.now() + 1000 * seconds };
      }
      throw error;
    }
  }

  /** @param {Entry} entry */
  #remaining({ expires }) {
    return expires === null ? Infinity : expires - this.#surroundings.now();
  }

  /** @param {Entry} entry */
  #isDue(entry) {
    const life = (entry.expires ?? Infinity) - entry.obtained;
    return this.#remaining(entry) < Math.min(RENEWED_IN_LAST * life, RENEWED_MILLISECONDS_MAX);
  }
}

/**
 * @param {string} text
 * @param {boolean} plain
 */
function address(text, plain) {
  if (!URL.canParse(text)) throw new WrongSetting(`${JSON.stringify(text)} is no address: https://auth.example.com is.`);
  const url = new URL(text);
  const here = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  if (url.username || url.password || url.search || url.hash) {
    throw new WrongSetting("An address is given without user, password, query and fragment.");
  }
  if (url.protocol !== "https:" && !(url.protocol === "http:" && (here || plain))) {
    throw new WrongSetting(`${url.origin} is not https, and whoever listens would get the password.`);
  }
  return url;
}

/** @param {BodyInit | null | undefined} body */
function isStream(body) {
  return body instanceof ReadableStream || (typeof body === "object" && body !== null && Symbol.asyncIterator in body);
}

/**
 * @param {Request} request
 * @param {Entry} entry
 */
function withToken(request, { token }) {
  request.headers.set("Authorization", `Token ${token}`);
  return request;
}
