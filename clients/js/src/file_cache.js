/** A cache in a folder of the user's own (Node): all processes of the user on this machine share one token. */

import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { entryFrom } from "./caches.js";
import { Unavailable, WrongSetting } from "./errors.js";

/** @typedef {import("./caches.js").Cache} Cache */
/** @typedef {import("./caches.js").Entry} Entry */

/** A lock that nobody has touched for so long is its dead holder's. */
const ABANDONED_MILLISECONDS = 10_000;
const TOUCHED_EVERY_MILLISECONDS = 2_000;
const ASKED_EVERY_MILLISECONDS = 20;
/** Longer than the tries of one login take. */
const WAITED_MILLISECONDS_MAX = 180_000;

/** @implements {Cache} */
export class FileCache {
  #folder;

  /** @param {string} [folder] `nightlatch-client-js` in the user's cache folder, if not given */
  constructor(folder) {
    this.#folder =
      folder ?? join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "nightlatch-client-js");
  }

  /**
   * @param {string} key
   * @returns {Promise<Entry | null>}
   */
  async read(key) {
    try {
      const file = await open(this.#path(key));
      try {
        const { mode, uid } = await file.stat();
        const me = process.getuid?.();
        if (me !== undefined && (mode & 0o077 || uid !== me)) {
          throw new WrongSetting("The cached token's file belongs to another user, or others can read it: remove it.");
        }
        return entryFrom(await file.readFile("utf8"));
      } finally {
        await file.close();
      }
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  /**
   * @param {string} key
   * @param {Entry | null} entry
   */
  async write(key, entry) {
    const path = this.#path(key);
    if (entry === null) {
      await rm(path, { force: true });
      return;
    }
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const beside = `${path}.${randomUUID()}`;
    const file = await open(beside, "wx", 0o600);
    try {
      await file.writeFile(JSON.stringify(entry));
    } finally {
      await file.close();
    }
    await rename(beside, path);
  }

  /**
   * @template T
   * @param {string} key
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async exclusive(key, work) {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const path = `${this.#path(key)}.lock`;
    const mark = randomUUID();
    const until = performance.now() + WAITED_MILLISECONDS_MAX;
    while (!(await taken(path, mark))) {
      if (performance.now() > until) throw new Unavailable("another process does not end its login.", 0);
      await sleep(ASKED_EVERY_MILLISECONDS);
    }
    // Whoever waits sees by the time of the file that its holder lives.
    const touching = setInterval(() => {
      utimes(path, new Date(), new Date()).catch(() => {});
    }, TOUCHED_EVERY_MILLISECONDS);
    touching.unref();
    try {
      return await work();
    } finally {
      clearInterval(touching);
      if ((await readFile(path, "utf8").catch(() => "")) === mark) await rm(path, { force: true });
    }
  }

  /** @param {string} key */
  #path(key) {
    return join(this.#folder, `${createHash("sha256").update(key).digest("hex")}.json`);
  }
}

/**
 * Whether the lock is ours now.
 *
 * @param {string} path
 * @param {string} mark
 */
async function taken(path, mark) {
  try {
    const file = await open(path, "wx", 0o600);
    await file.writeFile(mark);
    await file.close();
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
  }
  try {
    const { mtimeMs, ino } = await stat(path);
    if (Math.abs(Date.now() - mtimeMs) > ABANDONED_MILLISECONDS) {
      // Moved away first, so that of two who find it only one removes it, and not the next holder's.
      const away = `${path}.${mark}`;
      await rename(path, away);
      if ((await stat(away)).ino !== ino) await rename(away, path);
      else await rm(away, { force: true });
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return false;
}

/** @param {unknown} error */
function isMissing(error) {
  return /** @type {NodeJS.ErrnoException} */ (error)?.code === "ENOENT";
}
