// @vitest-environment node
import { build, type Rollup } from "vite";
import { beforeAll, describe, expect, it, vi } from "vitest";

const BUNDLES = [
  { name: "OrreryFooter", file: "footer.js", mode: "production", most: 10_000, says: "Orrery" },
  { name: "Workers", file: "workers.js", mode: "workers", most: 30_000, says: "Workers" },
  { name: "Access", file: "access.js", mode: "access", most: 60_000, says: "Access" },
  { name: "My access", file: "access.js", mode: "access", most: 60_000, says: "My access" },
];

async function bundle(mode: string, file: string): Promise<string> {
  const [built] = (await build({ mode, logLevel: "silent", build: { write: false } })) as Rollup.RollupOutput[];
  expect(built!.output.map((each) => each.fileName)).toEqual([file]);
  return built!.output[0].code;
}

describe.each(BUNDLES)("the built file $file", ({ name, file, mode, most, says }) => {
  let code: string;

  /** Runs the file as Airflow does, on globals of our choice, and returns what it registered. */
  function registered(globals: Record<string, unknown>): unknown {
    new Function("globalThis", code)(globals);
    return globals[name];
  }

  beforeAll(async () => {
    code = await bundle(mode, file);
  });

  it("is the same each time", async () => {
    expect(await bundle(mode, file)).toBe(code);
  });

  it("is small, stands alone and brings no React of its own", () => {
    expect(code.length).toBeLessThan(most);
    expect(code).not.toMatch(/\b(import|require)\s*\(|^import /m);
  });

  it("registers a component built with Airflow's React", async () => {
    const React = await import("react");
    const ReactJSXRuntime = await import("react/jsx-runtime");
    const { renderToString } = await import("react-dom/server");

    const Component = registered({ React, ReactJSXRuntime }) as () => React.ReactElement;

    expect(renderToString(ReactJSXRuntime.jsx(Component, {}))).toContain(says);
  });

  it("shows nothing, and breaks nothing, in an Airflow that shares no React", () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});

    const Component = registered({}) as () => unknown;

    expect(Component()).toBeNull();
    expect(warn).toHaveBeenCalledOnce();
    warn.mockRestore();
  });
});
