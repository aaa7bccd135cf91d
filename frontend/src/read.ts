/** Reading a server's answer without trusting it: whatever is missing or odd becomes `undefined` or empty. */

export function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function text(value: unknown): string | undefined {
  return typeof value === "string" && value.trim() !== "" ? value : undefined;
}

/** An amount or a count: finite, not below zero. */
export function amount(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}

/** An ISO time as milliseconds since the epoch. */
export function time(value: unknown): number | undefined {
  const parsed = Date.parse(text(value) ?? "");
  return Number.isNaN(parsed) ? undefined : parsed;
}
