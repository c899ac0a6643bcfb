// What this package does with servers that are slow, full, throttling or wrong.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { inspect } from "node:util";
import {
  BodyNotRepeatable,
  LoginRefused,
  OriginNotAllowed,
  Throttled,
  TokenAuth,
  TokenLimitReached,
  Unavailable,
  WrongSetting,
} from "../src/index.js";
import { ManualClock, scripted } from "./server.js";

const LOGIN = "/api/auth/login/";
const LOGOUT = "/api/auth/logout/";
const PASSWORD = "canary password";
let open = [];

afterEach(async () => {
  await Promise.all(open.map((server) => server.close()));
  open = [];
});

async function serverThat(answer, options) {
  const server = await scripted(answer, options);
  open.push(server);
  return server;
}

function tokens(lifetimeSeconds = 3600, clock = { milliseconds: Date.now() }) {
  let made = 0;
  const live = new Set();
  return {
    live,
    login() {
      const token = `token-${(made += 1)}`;
      live.add(token);
      const expiry = new Date(clock.milliseconds + lifetimeSeconds * 1000);
      return {
        headers: { Date: new Date(clock.milliseconds).toUTCString() },
        body: { token, expiry: expiry.toISOString() },
      };
    },
    answer(seen) {
      const token = (seen.headers.authorization ?? "").replace("Token ", "");
      if (seen.path === LOGIN) return this.login();
      if (seen.path === LOGOUT) return { status: live.delete(token) ? 204 : 401 };
      return live.has(token) ? { body: { token } } : { status: 401, body: { detail: "Invalid token." } };
    },
  };
}

function auth(server, options = {}) {
  return new TokenAuth({
    server: server.url,
    username: "hari@example.com",
    password: PASSWORD,
    organizationId: "auhf2k",
    ...options,
  });
}

test("many requests at once make one login", async () => {
  const made = tokens();
  const server = await serverThat((seen) => made.answer(seen));
  const one = auth(server);
  const answers = await Promise.all(Array.from({ length: 50 }, () => one.fetch(`${server.url}/x`)));
  assert.deepEqual(new Set(answers.map((answer) => answer.status)), new Set([200]));
  assert.equal(server.of(LOGIN).length, 1);
  assert.deepEqual(JSON.parse(server.of(LOGIN)[0].body), {
    username: "hari@example.com",
    password: PASSWORD,
    organization_id: "auhf2k",
  });
});

test("a token that has ended is replaced by one login, and no request fails", async () => {
  const made = tokens();
  const server = await serverThat((seen) => made.answer(seen));
  const one = auth(server);
  await one.fetch(`${server.url}/x`);
  made.live.clear();
  const bodies = ["text", new Uint8Array([1, 2]), new URLSearchParams({ a: "b" })];
  const answers = await Promise.all(
    bodies.map((body) => one.fetch(new Request(`${server.url}/x`, { method: "POST", body }))),
  );
  assert.deepEqual(answers.map((answer) => answer.status), [200, 200, 200]);
  assert.equal(server.of(LOGIN).length, 2);
  assert.equal(server.requests.at(-1).body.length > 0, true);
});

test("a stream cannot be sent again: the error says so, and the next request has the new token", async () => {
  const made = tokens();
  const server = await serverThat((seen) => made.answer(seen));
  const one = auth(server);
  await one.fetch(`${server.url}/x`);
  made.live.clear();
  const body = new Blob(["x"]).stream();
  await assert.rejects(one.fetch(`${server.url}/x`, { method: "POST", body, duplex: "half" }), BodyNotRepeatable);
  assert.equal((await one.fetch(`${server.url}/x`)).status, 200);
  assert.equal(server.of(LOGIN).length, 2);
});

test("a token is renewed ahead of its end, nobody waits, and the old one is logged out", async () => {
  const clock = new ManualClock();
  const made = tokens(3600, clock);
  let hold = null;
  const server = await serverThat(async (seen) => {
    if (seen.path === LOGIN) await hold;
    return made.answer(seen);
  });
  const one = auth(server, { surroundings: clock.surroundings() });
  await one.fetch(`${server.url}/x`);
  clock.milliseconds += 3600_000 * 0.95;
  let release;
  hold = new Promise((resolve) => (release = resolve));
  const answer = await one.fetch(`${server.url}/x`);
  assert.deepEqual(await answer.json(), { token: "token-1" });
  release();
  while (made.live.has("token-1")) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(await (await one.fetch(`${server.url}/x`)).json(), { token: "token-2" });
  assert.equal(server.of(LOGIN).length, 2);
});

test("a clock that is wrong by a day does not matter", async () => {
  const clock = new ManualClock();
  const made = tokens(3600);
  const server = await serverThat((seen) => made.answer(seen));
  clock.milliseconds += 24 * 3600_000;
  const one = auth(server, { surroundings: clock.surroundings() });
  await one.fetch(`${server.url}/x`);
  await one.fetch(`${server.url}/x`);
  assert.equal(server.of(LOGIN).length, 1);
});

test("an API that refuses every token is not answered with a login for each request", async () => {
  const clock = new ManualClock();
  const made = tokens();
  const server = await serverThat((seen) => (seen.path === "/x" ? { status: 401 } : made.answer(seen)));
  const one = auth(server, { surroundings: clock.surroundings() });
  for (let count = 0; count < 20; count += 1) assert.equal((await one.fetch(`${server.url}/x`)).status, 401);
  assert.equal(server.of(LOGIN).length, 2);
  clock.milliseconds += 1_001;
  for (let count = 0; count < 20; count += 1) await one.fetch(`${server.url}/x`);
  assert.equal(server.of(LOGIN).length, 3);
});

test("at the limit the error has the sentence and the tokens that are in the way", async () => {
  const server = await serverThat((seen) => {
    if (seen.path === LOGIN) return { status: 403, body: { code: "token_limit_reached", detail: "Too many." } };
    return { body: { results: [{ id: "abc", name: "cron" }] } };
  });
  const error = await auth(server).token().catch((thrown) => thrown);
  assert.equal(error instanceof TokenLimitReached, true);
  assert.equal(error.message, "Too many.");
  assert.deepEqual(error.tokens, [{ id: "abc", name: "cron" }]);
});

test("wrong credentials are tried once", async () => {
  const sentence = "Unable to log in with provided credentials.";
  const server = await serverThat(() => ({ status: 400, body: { non_field_errors: [sentence] } }));
  const error = await auth(server).token().catch((thrown) => thrown);
  assert.equal(error instanceof LoginRefused, true);
  assert.match(error.message, /Unable to log in/);
  assert.equal(server.requests.length, 1);
});

test("a throttled login is not tried again, and the error says how long to wait", async () => {
  const server = await serverThat(() => ({ status: 429, headers: { "Retry-After": "42" }, body: { detail: "…" } }));
  const error = await auth(server).token().catch((thrown) => thrown);
  assert.equal(error instanceof Throttled, true);
  assert.equal(error.retryAfter, 42);
  assert.equal(server.requests.length, 1);
});

test("an overloaded server, and one whose answer was lost, are asked again after a pause", async () => {
  const clock = new ManualClock();
  const made = tokens();
  const failures = [{ status: 503, headers: { "Retry-After": "3" } }, null];
  const server = await serverThat((seen) => (failures.length > 0 ? failures.shift() : made.answer(seen)));
  assert.equal(await auth(server, { surroundings: clock.surroundings() }).token(), "token-1");
  assert.equal(clock.slept.length, 2);
  assert.equal(clock.slept[0] >= 3000, true);
});

test("a server that stays away is given up after a few tries", async () => {
  const clock = new ManualClock();
  const server = await serverThat(() => null);
  await assert.rejects(auth(server, { surroundings: clock.surroundings() }).token(), Unavailable);
  assert.equal(server.requests.length <= 8, true);
  assert.equal(clock.slept.length, 3);
});

test("a login that is redirected sends the password nowhere else", async () => {
  const elsewhere = await serverThat(() => ({}));
  const clock = new ManualClock();
  const server = await serverThat(() => ({ status: 307, headers: { Location: `${elsewhere.url}${LOGIN}` } }));
  await assert.rejects(auth(server, { surroundings: clock.surroundings() }).token(), Unavailable);
  assert.equal(elsewhere.requests.length, 0);
});

test("the token goes to no origin that was not named", async () => {
  const made = tokens();
  const server = await serverThat((seen) => made.answer(seen));
  const other = await serverThat(() => ({}));
  await assert.rejects(auth(server).fetch(`${other.url}/x`), OriginNotAllowed);
  assert.equal(other.requests.length, 0);
  const named = auth(server, { origins: [other.url] });
  assert.equal((await named.fetch(`${other.url}/x`)).status, 200);
  assert.equal(other.requests[0].headers.authorization, "Token token-1");
});

test("an API that redirects to another origin does not hand the token on", async () => {
  const made = tokens();
  const other = await serverThat(() => ({}));
  const server = await serverThat((seen) =>
    seen.path === "/moved" ? { status: 302, headers: { Location: `${other.url}/x` } } : made.answer(seen),
  );
  await auth(server).fetch(`${server.url}/moved`);
  assert.equal(other.requests.length, 1);
  assert.equal(other.requests[0].headers.authorization, undefined);
});

test("logging out ends the token, and the next request makes another", async () => {
  const made = tokens();
  const server = await serverThat((seen) => made.answer(seen));
  const one = auth(server);
  await one.fetch(`${server.url}/x`);
  await one.logOut();
  assert.equal(made.live.size, 0);
  assert.deepEqual(await (await one.fetch(`${server.url}/x`)).json(), { token: "token-2" });
});

test("no password goes over plain http to another host", () => {
  const settings = { username: "a", password: "b", organizationId: "c" };
  assert.throws(() => new TokenAuth({ ...settings, server: "http://auth.example.com" }), WrongSetting);
  assert.throws(
    () => new TokenAuth({ ...settings, server: "https://auth.example.com", origins: ["http://api.example.com"] }),
    WrongSetting,
  );
  new TokenAuth({ ...settings, server: "http://auth.example.com", allowPlainHttp: true });
  new TokenAuth({ ...settings, server: "http://[::1]:8000" });
});

test("a missing or malformed setting is named", () => {
  const settings = { server: "https://auth.example.com", username: "a", password: "b", organizationId: "c" };
  for (const name of Object.keys(settings)) {
    assert.throws(() => new TokenAuth({ ...settings, [name]: undefined }), new RegExp(name));
  }
  assert.throws(() => new TokenAuth({ ...settings, server: "auth.example.com" }), WrongSetting);
  assert.throws(() => new TokenAuth({ ...settings, server: "https://a:b@auth.example.com" }), WrongSetting);
});

test("neither password nor token shows in what is printed", async () => {
  const made = tokens();
  const server = await serverThat((seen) => made.answer(seen));
  const one = auth(server);
  await one.fetch(`${server.url}/x`);
  const errors = [];
  for (const said of [{ status: 400 }, { status: 403, body: { code: "token_limit_reached" } }, { status: 200 }]) {
    const bad = await serverThat((seen) => (seen.path === LOGIN ? said : { status: 500 }));
    errors.push(await auth(bad).token().catch((thrown) => thrown));
  }
  const shown = inspect([one, errors], { depth: 9, showHidden: true }) + JSON.stringify([one, errors]);
  assert.equal(shown.includes(PASSWORD), false);
  assert.equal(shown.includes("token-1"), false);
});

test("what was asked before a redirect is not asked twice", async () => {
  const made = tokens();
  const server = await serverThat((seen) => {
    if (seen.path === "/create") return { status: 303, headers: { Location: "/done" } };
    return seen.path === "/done" ? { status: 401 } : made.answer(seen);
  });
  const answer = await auth(server).fetch(`${server.url}/create`, { method: "POST", body: "x" });
  assert.equal(answer.status, 401);
  assert.equal(server.of("/create").length, 1);
});

test("a logout that the server does not confirm is an error, and the token is kept", async () => {
  const made = tokens();
  let down = false;
  const server = await serverThat((seen) => (down && seen.path === LOGOUT ? { status: 503 } : made.answer(seen)));
  const one = auth(server);
  await one.fetch(`${server.url}/x`);
  down = true;
  await assert.rejects(one.logOut(), Unavailable);
  down = false;
  await one.logOut();
  assert.equal(made.live.size, 0);
  assert.equal(server.of(LOGIN).length, 1);
});

test("a renewal that is refused is not tried again with each request", async () => {
  const clock = new ManualClock();
  const made = tokens(3600, clock);
  let full = false;
  const server = await serverThat((seen) => {
    if (full && seen.path === LOGIN) return { status: 403, body: { code: "token_limit_reached", detail: "Too many." } };
    return made.answer(seen);
  });
  const one = auth(server, { surroundings: clock.surroundings() });
  await one.fetch(`${server.url}/x`);
  full = true;
  clock.milliseconds += 3600_000 * 0.95;
  for (let count = 0; count < 30; count += 1) assert.equal((await one.fetch(`${server.url}/x`)).status, 200);
  assert.equal(server.of(LOGIN).length, 2);
});

test("an API that refuses every token beside one that does not makes no login for each request", async () => {
  const clock = new ManualClock();
  const made = tokens();
  const server = await serverThat((seen) => (seen.path === "/never" ? { status: 401 } : made.answer(seen)));
  const one = auth(server, { surroundings: clock.surroundings() });
  for (let count = 0; count < 20; count += 1) {
    assert.equal((await one.fetch(`${server.url}/never`)).status, 401);
    assert.equal((await one.fetch(`${server.url}/x`)).status, 200);
  }
  assert.equal(server.of(LOGIN).length, 2);
});

test("what a throttling server says holds for all requests", async () => {
  const clock = new ManualClock();
  const server = await serverThat(() => ({ status: 429, headers: { "Retry-After": "600" } }));
  const one = auth(server, { surroundings: clock.surroundings() });
  for (let count = 0; count < 30; count += 1) await assert.rejects(one.token(), Throttled);
  assert.equal(server.of(LOGIN).length, 1);
  clock.milliseconds += 600_001;
  await assert.rejects(one.token(), Throttled);
  assert.equal(server.of(LOGIN).length, 2);
});

test("a clock that is ahead, and a server without one, do not make a login for each request", async () => {
  const clock = new ManualClock();
  const made = tokens(3600);
  const server = await serverThat((seen) => {
    const said = made.answer(seen);
    return seen.path === LOGIN ? { ...said, headers: { "X-No-Date": "1" } } : said;
  }, { date: false });
  clock.milliseconds += 2 * 3600_000;
  const one = auth(server, { surroundings: clock.surroundings() });
  for (let count = 0; count < 20; count += 1) assert.equal((await one.fetch(`${server.url}/x`)).status, 200);
  assert.equal(server.of(LOGIN).length, 1);
});

test("a token that cannot be kept is ended", async () => {
  const made = tokens();
  const server = await serverThat((seen) => made.answer(seen));
  const full = {
    read: () => null,
    write: () => {
      throw new Error("disk full");
    },
    exclusive: (_, work) => work(),
  };
  const one = auth(server, { cache: full });
  for (let count = 0; count < 5; count += 1) await assert.rejects(one.token(), /disk full/);
  while (made.live.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
});

test("an answer that repeats the password, or has a token that is none, is not shown", async () => {
  for (const said of [
    { status: 400, body: { password: [`${PASSWORD} is wrong`] } },
    { status: 200, body: { token: "bad\ntoken", expiry: null } },
  ]) {
    const server = await serverThat(() => said);
    const error = await auth(server).token().catch((thrown) => thrown);
    assert.equal(error instanceof LoginRefused, true);
    assert.equal(/canary|bad/.test(error.message), false);
  }
});
