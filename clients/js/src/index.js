/** A client that reuses its token. */

export { BrowserCache, MemoryCache } from "./caches.js";
export {
  BodyNotRepeatable,
  LoginRefused,
  NightlatchError,
  OriginNotAllowed,
  Throttled,
  TokenLimitReached,
  Unavailable,
  WrongSetting,
} from "./errors.js";
export { TokenAuth } from "./token_auth.js";
