import { list, record, text } from "../read";

/** Why the server did not do it. `away`: no answer, or a broken one; `refused`: it says why. */
export type Cause = "away" | "signed-out" | "refused";

/** What the server said instead of doing it. */
export class Problem extends Error {
  readonly kind: Cause;
  /** Of which fields of a form it complains, and how. */
  readonly fields: ReadonlyMap<string, string>;

  constructor(kind: Cause, message: string, fields: ReadonlyMap<string, string> = new Map()) {
    super(message);
    this.kind = kind;
    this.fields = fields;
  }
}

const AWAY = "The API server does not answer. Try again.";
const SIGNED_OUT = "You are signed out. Load the page again to sign in.";

/** The address of a route below /orrery/v1/access. */
export function addressOf(path: string): URL {
  return new URL(`orrery/v1/access${path}`, document.baseURI);
}

/**
 * Calls a route, with the browser's cookie. Writes need no header of their own: browsers say from where a request
 * comes, and the server refuses what comes from other sites.
 *
 * @throws Problem
 */
export async function call(method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await fetch(addressOf(path), {
    method,
    cache: "no-store",
    headers: { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }).catch(() => undefined);
  if (answer === undefined) throw new Problem("away", AWAY);
  if (answer.status === 204) return undefined;
  const value: unknown = await answer.json().catch(() => undefined);
  if (answer.ok && value !== undefined) return value;
  throw problemOf(answer.status, value);
}

function problemOf(status: number, value: unknown): Problem {
  if (status === 401) return new Problem("signed-out", SIGNED_OUT);
  const detail = record(value)["detail"];
  const said = text(detail);
  if (said !== undefined) return new Problem("refused", said);
  const fields = new Map<string, string>();
  for (const each of list(detail)) {
    const { loc, msg } = record(each);
    const name = list(loc).filter((part) => typeof part === "string").at(-1);
    const words = text(msg);
    if (typeof name === "string" && words !== undefined) fields.set(name, words);
  }
  if (fields.size === 0) return new Problem("away", AWAY);
  return new Problem("refused", [...fields].map(([name, words]) => `${name}: ${words}`).join("; "), fields);
}

/** What a caught thing tells people. */
export function wordsOf(caught: unknown): string {
  return caught instanceof Problem ? caught.message : "This did not work. Load the page again.";
}
