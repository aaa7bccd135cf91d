/** Amounts in words for people, as the server's own texts write them. */

const MIB = 1024 ** 2;
const UNITS = [
  ["TiB", 1024 ** 4],
  ["GiB", 1024 ** 3],
  ["MiB", MIB],
] as const;

/** `0.5` of 500 thousandths. */
export function cores(millicores: number): string {
  return trimmed(millicores / 1000, millicores < 10_000 ? 2 : 1);
}

/** `1.2 GiB`, `310 MiB`. */
export function bytes(value: number): string {
  const [unit, size] = UNITS.find(([, least]) => value >= least) ?? UNITS[2];
  const number = value / size;
  return `${trimmed(number, number < 10 && unit !== "MiB" ? 2 : number < 100 && unit !== "MiB" ? 1 : 0)} ${unit}`;
}

/** `7 s`, `3 min`, `2 h 5 min`, `4 d 2 h`; never below zero. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [minutes, hours, days] = [60, 3600, 86_400].map((size) => Math.floor(seconds / size)) as [number, number, number];
  if (days > 0) return joined(`${days} d`, hours % 24, "h");
  if (hours > 0) return joined(`${hours} h`, minutes % 60, "min");
  return minutes > 0 ? `${minutes} min` : `${seconds} s`;
}

/** The time of day, on the reader's own clock. */
export function clock(milliseconds: number): string {
  return new Date(milliseconds).toLocaleTimeString(undefined, { hour12: false });
}

/** `1 node`, `2 nodes`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function trimmed(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}

function joined(whole: string, rest: number, unit: string): string {
  return rest > 0 ? `${whole} ${rest} ${unit}` : whole;
}
