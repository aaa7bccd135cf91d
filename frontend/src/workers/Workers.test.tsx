import { act } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Workers } from "./Workers";

const GIB = 1024 ** 3;
const NODE = {
  name: "a",
  state: "ready",
  allocatable: { cpu_millicores: 2000, memory_bytes: 8 * GIB },
  requested: { cpu_millicores: 1200, memory_bytes: 6 * GIB },
  cpu_millicores: 700,
  memory_bytes: 2 * GIB,
  running: 1,
};
const TASK = {
  ti_id: "1",
  dag_id: "etl",
  task_id: "load",
  run_id: "a b",
  map_index: -1,
  resources: { cpu_millicores: 500, memory_bytes: 2 * GIB },
};
const ANSWER = {
  executor: "PackingExecutor",
  now: "2026-11-23T12:00:00Z",
  taken_at: "2026-11-23T11:59:59Z",
  is_stale: false,
  nodes: [NODE],
  running: [
    { ...TASK, node: "a", started_at: "2026-11-23T11:58:20Z", memory_bytes: GIB, memory_peak_bytes: 1.5 * GIB, cpu_seconds: 25 },
  ],
  running_total: 1,
  waiting: [{ ...TASK, ti_id: "2", map_index: 7, queued_at: "2026-11-23T11:59:00Z", reason: "waits for 2 GiB" }],
  waiting_total: 1,
  hidden_tasks: 0,
  advice: [{ dag_id: "etl", task_id: "load", text: "asks 2 GiB: ask 512 MiB", unused_memory_bytes: GIB }],
};

let root: Root;
let page: HTMLElement;

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  vi.useFakeTimers();
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

type Answer = () => Promise<Response>;

const json =
  (value: unknown): Answer =>
  async () =>
    new Response(JSON.stringify(value));
const refused =
  (status: number): Answer =>
  async () =>
    new Response("", { status });

function answering(...answers: Answer[]): ReturnType<typeof vi.fn> {
  const fetch = vi.fn(() => (answers.length > 1 ? answers.shift()! : answers[0]!)());
  vi.stubGlobal("fetch", fetch);
  return fetch;
}

async function show(): Promise<void> {
  await act(async () => root.render(<Workers />));
  await pass(0);
}

async function pass(milliseconds: number): Promise<void> {
  await act(async () => vi.advanceTimersByTimeAsync(milliseconds));
}

function hide(isHidden: boolean): void {
  vi.spyOn(document, "hidden", "get").mockReturnValue(isHidden);
  document.dispatchEvent(new Event("visibilitychange"));
}

const words = (): string => page.querySelector(".ow-page")?.textContent ?? "";
const cells = (label: string): (string | null)[] =>
  [...page.querySelectorAll(`table[aria-label="${label}"] tbody td`)].map((cell) => cell.textContent);

describe("the page of the workers", () => {
  it("measures each node for eyes and for screen readers alike", async () => {
    answering(json(ANSWER));

    await show();

    const meters = [...page.querySelectorAll("li [role=meter]")].map((meter) => [
      meter.getAttribute("aria-label"),
      meter.getAttribute("aria-valuenow"),
      meter.getAttribute("aria-valuemax"),
      meter.getAttribute("aria-valuetext"),
      meter.parentElement?.querySelector(".ow-words")?.textContent,
    ]);
    const cpu = "CPU: 0.7 used, 1.2 requested, of 2";
    const memory = "Memory: 2 GiB used, 6 GiB requested, of 8 GiB";
    expect(meters).toEqual([
      ["CPU of node a", "700", "2000", cpu, cpu],
      ["Memory of node a", String(2 * GIB), String(8 * GIB), memory, memory],
    ]);
  });

  it("lists what runs with what it asked for, uses and has used", async () => {
    answering(json(ANSWER));

    await show();

    expect(cells("Running tasks")).toEqual(["etl · loada b", "a", "1 GiB of 2 GiB, at most 1.5 GiB", "0.25 of 0.5", "1 min"]);
  });

  it("lists what waits and why, and the advice", async () => {
    answering(json(ANSWER));

    await show();

    expect(cells("Waiting tasks")).toEqual(["etl · load [7]a b", "0.5 CPU, 2 GiB", "1 min", "waits for 2 GiB"]);
    expect(cells("Advice")).toEqual(["etl · load", "asks 2 GiB: ask 512 MiB", "1 GiB"]);
  });

  it("leads to the page of each task instance", async () => {
    answering(json(ANSWER));

    await show();

    const links = [...page.querySelectorAll(".ow-task a")].map((link) => link.getAttribute("href"));
    expect(links.map((link) => link?.replace(/^.*\/dags/, "/dags"))).toEqual([
      "/dags/etl/runs/a%20b/tasks/load/mapped/7",
      "/dags/etl/runs/a%20b/tasks/load",
    ]);
  });

  it("says in words that a task is near its limit", async () => {
    answering(json({ ...ANSWER, running: [{ ...ANSWER.running[0], memory_bytes: 1.9 * GIB, memory_peak_bytes: 1.9 * GIB }] }));

    await show();

    expect(cells("Running tasks")[2]).toBe("1.9 GiB of 2 GiB: nearly all");
    expect(page.querySelector("[data-over=true]")).not.toBeNull();
  });

  it("names every column, also where rows are laid out as cards", async () => {
    answering(json(ANSWER));

    await show();

    for (const table of page.querySelectorAll("table")) {
      const headings = [...table.querySelectorAll("[role=columnheader]")].map((heading) => heading.textContent);
      const labels = [...table.querySelectorAll("tbody tr")].map((row) =>
        [...row.querySelectorAll("[role=cell]")].map((cell) => cell.getAttribute("data-label")),
      );
      expect(labels).toEqual([headings]);
    }
  });

  it("counts what it may not show", async () => {
    answering(json({ ...ANSWER, running: [], running_total: 4, hidden_tasks: 4 }));

    await show();

    expect(words()).toContain("None that you may see.");
    expect(words()).toContain("Not shown: 4 tasks of Dags that you may not read.");
  });

  it("shows the first fifty rows, and all when asked", async () => {
    const waiting = Array.from({ length: 60 }, (_, index) => ({ ...TASK, ti_id: `w${index}`, reason: "waits" }));
    answering(json({ ...ANSWER, waiting, waiting_total: 600 }));
    await show();
    const rows = (): number => page.querySelectorAll('table[aria-label="Waiting tasks"] tbody tr').length;
    expect(rows()).toBe(50);

    await act(async () => page.querySelector<HTMLButtonElement>("button")!.click());

    expect(rows()).toBe(60);
    expect(words()).toContain("The first 60 of 600.");
  });

  it.each([
    ["nothing runs", { ...ANSWER, running: [], running_total: 0, waiting: [], waiting_total: 0, advice: [] }, "No task runs."],
    ["there is no node", { ...ANSWER, nodes: [], running: [], running_total: 0 }, "No node has joined yet."],
    [
      "another executor runs",
      { executor: "LocalExecutor", message: "This deployment runs LocalExecutor; set executor: packing in orrery.yaml." },
      "set executor: packing in orrery.yaml",
    ],
    ["no scheduler reports", { ...ANSWER, is_stale: true, taken_at: "2026-11-23T11:58:00Z" }, "No scheduler has reported for 2 min."],
    [
      "a node is silent",
      { ...ANSWER, nodes: [{ ...NODE, stale_since: "2026-11-23T11:56:00Z" }] },
      ", 4 min ago",
    ],
    ["the answer is odd", [], "No node has joined yet."],
  ])("says so when %s", async (_, answer, said) => {
    answering(json(answer));

    await show();

    expect(words()).toContain(said);
  });

  it.each([
    [401, "You are signed out."],
    [403, "You may not see this page"],
    [500, "The API server does not answer."],
  ])("says why there is nothing when the server answers %d", async (status, said) => {
    answering(refused(status));

    await show();

    expect(words()).toContain(said);
    expect(words()).not.toContain("Live");
  });

  it("holds the place of what is to come", async () => {
    answering(() => new Promise(() => {}));

    await show();

    expect(page.querySelector("[aria-busy=true]")).not.toBeNull();
    expect(page.querySelectorAll(".ow-loading .ow-card").length).toBeGreaterThan(0);
  });

  it("asks every two seconds and shows what is new", async () => {
    const fetch = answering(json(ANSWER), json({ ...ANSWER, nodes: [{ ...NODE, cpu_millicores: 900 }] }));
    await show();

    await pass(2_000);

    expect(fetch).toHaveBeenCalledTimes(2);
    expect(words()).toContain("CPU: 0.9 used");
  });

  it("does not ask while nobody looks, and asks at once when somebody does", async () => {
    const fetch = answering(json(ANSWER));
    await show();
    hide(true);
    await pass(60_000);
    expect(fetch).toHaveBeenCalledTimes(1);

    hide(false);
    await pass(0);

    expect(fetch).toHaveBeenCalledTimes(2);
    await pass(2_000);
    expect(fetch).toHaveBeenCalledTimes(3);
  });

  it("keeps what it knew while the server is away, asks ever less often, and recovers", async () => {
    const away = refused(502);
    const fetch = answering(json(ANSWER), away, away, away, json(ANSWER));
    await show();

    await pass(2_000);
    expect(words()).toContain("The API server does not answer.");
    expect(words()).toContain("CPU: 0.7 used");
    expect(page.querySelector("[data-live=true]")).toBeNull();
    await pass(4_000 + 8_000);
    expect(fetch).toHaveBeenCalledTimes(4);
    await pass(16_000);

    expect(words()).not.toContain("The API server does not answer.");
    expect(page.querySelector("[data-live=true]")).not.toBeNull();
  });

  it("stops asking when it is left", async () => {
    const fetch = answering(json(ANSWER));
    await show();

    await act(async () => root.render(<p />));
    await pass(60_000);

    expect(fetch).toHaveBeenCalledTimes(1);
  });

  it("shows a line instead of a broken page when a part of it fails", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const Link = (): never => {
      throw new Error("broken");
    };
    vi.stubGlobal("ReactRouterDOM", { Link });
    answering(json(ANSWER));

    await show();

    expect(words()).toContain("This page failed.");
  });
});
