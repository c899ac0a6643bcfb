/**
 * What can go wrong, as types. None of them holds a password or a token.
 */

/** All errors of this package. `code` is stable, for programs to tell them apart. */
export class NightlatchError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = new.target.name;
    /** @readonly */
    this.code = code;
  }
}

/** A setting of this package is wrong; the message says which, and what would be right. */
export class WrongSetting extends NightlatchError {
  /** @param {string} message */
  constructor(message) {
    super("wrong_setting", message);
  }
}

/** A request to an origin that the token is not for. Nothing was sent. */
export class OriginNotAllowed extends NightlatchError {
  /** @param {string} origin */
  constructor(origin) {
    super("origin_not_allowed", `The token is not for ${origin}. Name it in \`origins\` if it is.`);
  }
}

/** The server did not accept the credentials, or something else of the login's request. */
export class LoginRefused extends NightlatchError {
  /**
   * @param {number} status
   * @param {string} sentence
   */
  constructor(status, sentence) {
    super("login_refused", `Login was refused (${status}): ${sentence}`);
    /** @readonly */
    this.status = status;
  }
}

/**
 * The organization has as many live tokens as it may have.
 *
 * @typedef {{id?: string, name?: string, user?: string, created?: string, last_used?: string | null}} ListedToken
 */
export class TokenLimitReached extends NightlatchError {
  /**
   * @param {string} sentence
   * @param {ListedToken[]} tokens
   */
  constructor(sentence, tokens) {
    super("token_limit_reached", sentence);
    /** The tokens that are in the way, as far as the server lists them. @readonly */
    this.tokens = tokens;
  }
}

/** Too many attempts. The server looks at none before `retryAfter` seconds have passed. */
export class Throttled extends NightlatchError {
  /** @param {number} retryAfter */
  constructor(retryAfter) {
    super("throttled", `Too many attempts to log in. Try again in ${retryAfter} seconds.`);
    /** Seconds. @readonly */
    this.retryAfter = retryAfter;
  }
}

/** The server could not be asked, or could not answer; tried again as often as makes sense. */
export class Unavailable extends NightlatchError {
  /**
   * @param {string} why
   * @param {number} retryAfter
   */
  constructor(why, retryAfter) {
    super("unavailable", `The authentication server is not available: ${why}`);
    /** Seconds. @readonly */
    this.retryAfter = retryAfter;
  }
}

/** The token had ended, there is a new one, but the request's body was a stream and cannot be sent again. */
export class BodyNotRepeatable extends NightlatchError {
  constructor() {
    super(
      "body_not_repeatable",
      "The token had ended. There is a new one now, but the body was a stream that is used up: send the request again.",
    );
  }
}
