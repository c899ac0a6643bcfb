// A server that answers what a test says, on a port of its own.

import { createServer } from "node:http";

export async function scripted(answer, { date = true } = {}) {
  const requests = [];
  const server = createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", async () => {
      const seen = {
        method: request.method,
        path: request.url,
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      };
      requests.push(seen);
      const said = await answer(seen, requests);
      if (said === null) return request.socket.destroy();
      response.sendDate = date;
      response.writeHead(said.status ?? 200, { "Content-Type": "application/json", ...said.headers });
      response.end(said.body === undefined ? undefined : JSON.stringify(said.body));
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  return {
    url,
    requests,
    of: (path) => requests.filter((seen) => seen.path === path),
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}

/** A clock that stands until it is moved, and on which sleeping takes no time. */
export class ManualClock {
  constructor() {
    this.milliseconds = Date.now();
    this.slept = [];
  }

  surroundings() {
    return {
      now: () => this.milliseconds,
      sleep: async (milliseconds) => {
        this.slept.push(milliseconds);
        this.milliseconds += milliseconds;
      },
    };
  }
}
