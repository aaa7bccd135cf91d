// @vitest-environment node
import { build, type Rollup } from "vite";
import { beforeAll, describe, expect, it, vi } from "vitest";

const NAME = "OrreryFooter";

let code: string;

async function bundle(): Promise<string> {
  const [built] = (await build({ logLevel: "silent", build: { write: false } })) as Rollup.RollupOutput[];
  expect(built!.output.map((file) => file.fileName)).toEqual(["footer.js"]);
  return built!.output[0].code;
}

/** Runs the file as Airflow does, on globals of our choice, and returns what it registered. */
function registered(globals: Record<string, unknown>): unknown {
  new Function("globalThis", code)(globals);
  return globals[NAME];
}

beforeAll(async () => {
  code = await bundle();
});

describe("the built file", () => {
  it("is the same each time", async () => {
    expect(await bundle()).toBe(code);
  });

  it("is small, stands alone and brings no React of its own", () => {
    expect(code.length).toBeLessThan(10_000);
    expect(code).not.toMatch(/\b(import|require)\s*\(|^import /m);
  });

  it("registers a component built with Airflow's React", async () => {
    const React = await import("react");
    const ReactJSXRuntime = await import("react/jsx-runtime");
    const { renderToString } = await import("react-dom/server");

    const Footer = registered({ React, ReactJSXRuntime }) as () => React.ReactElement;

    expect(renderToString(ReactJSXRuntime.jsx(Footer, {}))).toContain("Orrery");
  });

  it("shows nothing, and breaks nothing, in an Airflow that shares no React", () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});

    const Footer = registered({}) as () => unknown;

    expect(Footer()).toBeNull();
    expect(warn).toHaveBeenCalledOnce();
  });
});
