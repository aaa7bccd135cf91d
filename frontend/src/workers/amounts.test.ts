import { describe, expect, it } from "vitest";

import { bytes, cores, counted, duration } from "./amounts";

const MIB = 1024 ** 2;

describe("amounts in words", () => {
  it.each([
    [0, "0 MiB"],
    [310 * MIB, "310 MiB"],
    [1024 * MIB, "1 GiB"],
    [1.25 * 1024 * MIB, "1.25 GiB"],
    [23.94 * 1024 * MIB, "23.9 GiB"],
    [2 * 1024 ** 4, "2 TiB"],
  ])("says %d bytes as %s", (amount, words) => expect(bytes(amount)).toBe(words));

  it.each([
    [0, "0"],
    [200, "0.2"],
    [3170, "3.17"],
    [15_840, "15.8"],
  ])("says %d millicores as %s", (amount, words) => expect(cores(amount)).toBe(words));

  it.each([
    [-5, "0 s"],
    [59_999, "59 s"],
    [60_000, "1 min"],
    [7_500_000, "2 h 5 min"],
    [7_200_000, "2 h"],
    [180_000_000, "2 d 2 h"],
  ])("says %d ms as %s", (amount, words) => expect(duration(amount)).toBe(words));

  it("counts one and many", () => {
    expect([counted(1, "task"), counted(0, "task")]).toEqual(["1 task", "0 tasks"]);
  });
});
