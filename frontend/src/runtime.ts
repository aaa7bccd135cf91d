/** What /orrery/v1/runtime answers, read without trusting it: whatever is missing or odd is left out. */
import { record, text } from "./read";

export interface Link {
  readonly label: string;
  readonly href: string;
}

export interface Notice {
  readonly severity: "info" | "warning" | "error";
  readonly text: string;
}

export interface Runtime {
  readonly version: string | undefined;
  readonly airflowVersion: string | undefined;
  readonly imageTag: string | undefined;
  readonly notice: Notice | undefined;
  readonly links: readonly Link[];
}

const LINKS = [
  ["documentation", "Documentation"],
  ["release_notes", "Release notes"],
  ["support", "Support"],
] as const;

export const UNKNOWN: Runtime = {
  version: undefined,
  airflowVersion: undefined,
  imageTag: undefined,
  notice: undefined,
  links: [],
};

/** Never throws. Relative addresses are resolved against `base`; only http and https are kept. */
export function parseRuntime(answer: unknown, base: string): Runtime {
  const facts = record(answer);
  const addresses = record(facts["links"]);
  return {
    version: text(facts["version"]),
    airflowVersion: text(facts["airflow_version"]),
    imageTag: text(facts["image_tag"]),
    notice: notice(facts["notice"]),
    links: LINKS.flatMap(([key, label]) => {
      const href = address(addresses[key], base);
      return href === undefined ? [] : [{ label, href }];
    }),
  };
}

function notice(value: unknown): Notice | undefined {
  const { severity, text: words } = record(value);
  const said = text(words);
  if (said === undefined) return undefined;
  return { severity: severity === "error" || severity === "warning" ? severity : "info", text: said };
}

function address(value: unknown, base: string): string | undefined {
  const given = text(value);
  if (given === undefined) return undefined;
  try {
    const url = new URL(given, base);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : undefined;
  } catch {
    return undefined;
  }
}
