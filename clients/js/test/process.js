// One of many processes that share a token by its file: `node process.js SETTINGS`. Prints how many requests succeeded.

import { FileCache } from "../src/file_cache.js";
import { TokenAuth } from "../src/index.js";

const { requests, folder, url, ...settings } = JSON.parse(process.argv[2]);
const auth = new TokenAuth({ ...settings, cache: new FileCache(folder) });
let succeeded = 0;
for (let count = 0; count < requests; count += 1) {
  const response = await auth.fetch(url);
  await response.arrayBuffer();
  succeeded += response.status === 200;
}
console.log(succeeded);
