/**
 * Where a token is kept between requests. What a token is kept under names server, organization and user.
 *
 * @typedef {object} Entry A token and what is known of it. Times in milliseconds since 1970, of this machine's clock.
 * @property {string} token
 * @property {number} obtained
 * @property {number | null} expires null: never
 *
 * @typedef {object} Cache
 * @property {(key: string) => Promise<Entry | null> | Entry | null} read
 * @property {(key: string, entry: Entry | null) => Promise<void> | void} write null removes
 * @property {<T>(key: string, work: () => Promise<T>) => Promise<T>} exclusive
 *   Does the work while nobody else who shares the cache does any under this key.
 */

/**
 * In this process's memory.
 *
 * @implements {Cache}
 */
export class MemoryCache {
  /** @type {Map<string, Entry>} */
  #entries = new Map();
  /** @type {Map<string, Promise<unknown>>} */
  #last = new Map();

  /** @param {string} key */
  read(key) {
    return this.#entries.get(key) ?? null;
  }

  /**
   * @param {string} key
   * @param {Entry | null} entry
   */
  write(key, entry) {
    if (entry === null) this.#entries.delete(key);
    else this.#entries.set(key, entry);
  }

  /**
   * @template T
   * @param {string} key
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  exclusive(key, work) {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(work);
    this.#last.set(key, turn.catch(() => {}));
    return turn;
  }
}

/**
 * In a browser's IndexedDB: all tabs of the page's origin share one token, and it outlives them.
 *
 * Not in `localStorage`, which a tab may read before it holds what another one has written.
 * Every script of the page's origin can read what is there: prefer a short-lived token.
 *
 * @implements {Cache}
 */
export class BrowserCache {
  /** @type {Promise<IDBDatabase> | null} */
  #opened = null;

  /**
   * @param {string} key
   * @returns {Promise<Entry | null>}
   */
  async read(key) {
    return entryFrom(await this.#do("readonly", (store) => store.get(key)));
  }

  /**
   * @param {string} key
   * @param {Entry | null} entry
   */
  async write(key, entry) {
    await this.#do("readwrite", (store) => (entry === null ? store.delete(key) : store.put(JSON.stringify(entry), key)));
  }

  /**
   * @template T
   * @param {string} key
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async exclusive(key, work) {
    return await navigator.locks.request(key, work);
  }

  /**
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => IDBRequest} work
   * @returns {Promise<any>}
   */
  async #do(mode, work) {
    this.#opened ??= opened();
    const transaction = (await this.#opened).transaction("tokens", mode);
    const request = work(transaction.objectStore("tokens"));
    return await new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

/** @returns {Promise<IDBDatabase>} */
function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("nightlatch-client", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("tokens");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * What a stored text says; null if it is none of ours.
 *
 * @param {string | null | undefined} text
 * @returns {Entry | null}
 */
export function entryFrom(text) {
  try {
    const entry = JSON.parse(text ?? "null");
    const known =
      typeof entry?.token === "string" &&
      typeof entry.obtained === "number" &&
      (entry.expires === null || typeof entry.expires === "number");
    return known ? entry : null;
  } catch {
    return null;
  }
}
