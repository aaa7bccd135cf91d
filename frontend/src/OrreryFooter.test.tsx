import { act, type ReactElement } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Guard } from "./Guard";

let root: Root;
let page: HTMLElement;

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  vi.useFakeTimers();
  vi.resetModules(); // the last known facts are kept in a module
  page = document.body.appendChild(document.createElement("main"));
  root = createRoot(page, { onCaughtError: () => {} });
});

afterEach(async () => {
  await act(async () => root.unmount());
  page.remove();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

async function show(element: ReactElement): Promise<void> {
  await act(async () => root.render(element));
  await act(async () => vi.advanceTimersByTimeAsync(0));
}

async function showFooter(): Promise<void> {
  const { OrreryFooter } = await import("./OrreryFooter");
  await show(<OrreryFooter />);
}

function answering(...answers: (() => Promise<Response>)[]): ReturnType<typeof vi.fn> {
  const fetch = vi.fn(() => (answers.length > 1 ? answers.shift()! : answers[0]!)());
  vi.stubGlobal("fetch", fetch);
  return fetch;
}

const json = (value: unknown) => async () => new Response(JSON.stringify(value));
const facts = () => page.querySelector(".orrery-facts")?.textContent;

describe("the footer", () => {
  it("shows versions, tag, notice and links", async () => {
    answering(
      json({
        version: "17.0.0",
        airflow_version: "3.3.2",
        image_tag: "local",
        notice: { severity: "error", text: "Runtime 17.0.0 was withdrawn: it loses logs" },
        links: { documentation: "https://a.example/", release_notes: "https://b.example/" },
      }),
    );

    await showFooter();

    expect(facts()).toBe("Orrery Runtime 17.0.0Airflow 3.3.2local");
    expect(page.querySelector("[role=status]")?.textContent).toBe("Runtime 17.0.0 was withdrawn: it loses logs");
    expect([...page.querySelectorAll("a")].map((link) => [link.textContent, link.href])).toEqual([
      ["Documentation", "https://a.example/"],
      ["Release notes", "https://b.example/"],
    ]);
  });

  it("is a landmark with a name, and so is its list of links", async () => {
    answering(json({ links: { support: "https://a.example/" } }));

    await showFooter();

    expect(page.querySelector("[role=contentinfo]")?.getAttribute("aria-label")).toBe("Orrery Runtime");
    expect(page.querySelector("nav")?.getAttribute("aria-label")).toBe("Orrery Runtime");
  });

  it.each([
    ["the server is away", () => Promise.reject(new TypeError("Failed to fetch"))],
    ["the user is signed out", async () => new Response("", { status: 401 })],
    ["the answer is no JSON", async () => new Response("<!doctype html>")],
    ["the answer is null", json(null)],
  ])("stands there with its name alone when %s", async (_, answer) => {
    answering(answer);

    await showFooter();

    expect(facts()).toBe("Orrery Runtime ");
    expect(page.querySelector("a")).toBeNull();
  });

  it("asks again after a failure, and then shows the facts", async () => {
    const fetch = answering(() => Promise.reject(new TypeError("Failed to fetch")), json({ version: "17.0.0" }));
    await showFooter();

    await act(async () => vi.advanceTimersByTimeAsync(5_000));

    expect(fetch).toHaveBeenCalledTimes(2);
    expect(facts()).toBe("Orrery Runtime 17.0.0");
  });

  it("keeps the last known facts while the server is away", async () => {
    answering(json({ version: "17.0.0" }), () => Promise.reject(new TypeError("Failed to fetch")));
    await showFooter();

    await act(async () => vi.advanceTimersByTimeAsync(20 * 60_000));

    expect(facts()).toBe("Orrery Runtime 17.0.0");
  });

  it("stops asking when it is taken off the page", async () => {
    const fetch = answering(json({}));
    await showFooter();

    await show(<p />);
    await act(async () => vi.advanceTimersByTimeAsync(60 * 60_000));

    expect(fetch).toHaveBeenCalledTimes(1);
  });
});

describe("the guard", () => {
  it("hides what throws, and the page round it stays", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const Broken = (): never => {
      throw new Error("broken");
    };

    await show(
      <>
        <h1>Dags</h1>
        <Guard name="the footer">
          <Broken />
        </Guard>
      </>,
    );

    expect(page.innerHTML).toBe("<h1>Dags</h1>");
    expect(warn).toHaveBeenCalledOnce();
  });
});
