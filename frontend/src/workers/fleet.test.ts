import { describe, expect, it } from "vitest";

import { parseFleet } from "./fleet";

const TASK = { ti_id: "1", dag_id: "etl", task_id: "load", run_id: "r", resources: { memory_bytes: 7 } };

describe("parseFleet", () => {
  it("reads what the server answers", () => {
    const fleet = parseFleet({
      executor: "PackingExecutor",
      message: null,
      now: "2026-11-23T12:00:00Z",
      taken_at: "2026-11-23T11:59:59Z",
      is_stale: false,
      nodes: [
        {
          name: "a",
          state: "ready",
          stale_since: null,
          queues: ["default"],
          notes: [],
          allocatable: { cpu_millicores: 2000, memory_bytes: 9, gpus: 0, disk_bytes: 0 },
          requested: { cpu_millicores: 200, memory_bytes: 3, gpus: 0, disk_bytes: 0 },
          cpu_millicores: 20,
          memory_bytes: null,
          running: 1,
        },
      ],
      running: [{ ...TASK, node: "a", map_index: 3, memory_bytes: 5, memory_peak_bytes: 6 }],
      running_total: 4,
      waiting: [{ ...TASK, ti_id: "2", reason: "waits for 2 CPU" }],
      waiting_total: 9,
      hidden_tasks: 3,
      advice: [{ dag_id: "etl", task_id: "load", text: "ask 512 MiB", unused_memory_bytes: 8 }],
    });

    expect(fleet.now - fleet.takenAt!).toBe(1000);
    expect(fleet.nodes[0]).toMatchObject({ name: "a", usedMillicores: 20, usedBytes: undefined, staleSince: undefined });
    expect(fleet.nodes[0]?.capacity.cpuMillicores).toBe(2000);
    expect(fleet.running[0]).toMatchObject({ key: "1", mapIndex: 3, usedBytes: 5, peakBytes: 6, node: "a" });
    expect(fleet.running[0]?.requested.memoryBytes).toBe(7);
    expect(fleet.waiting[0]?.reason).toBe("waits for 2 CPU");
    expect([fleet.runningTotal, fleet.waitingTotal, fleet.hiddenTasks]).toEqual([4, 9, 3]);
    expect(fleet.advice).toEqual([{ dagId: "etl", taskId: "load", text: "ask 512 MiB", unusedBytes: 8 }]);
  });

  it.each([undefined, null, 17, "text", [], {}, { nodes: {}, running: "x", waiting: [null, 7, {}], advice: [[]] }])(
    "finds nothing in %j",
    (answer) => {
      const fleet = parseFleet(answer);
      expect([fleet.nodes, fleet.running, fleet.waiting, fleet.advice]).toEqual([[], [], [], []]);
      expect(fleet.message).toBeUndefined();
    },
  );

  it("keeps what is right beside what is wrong", () => {
    const fleet = parseFleet({
      nodes: [{ name: "a", cpu_millicores: -3, memory_bytes: "much", notes: [1, "two"], allocatable: 7 }, { state: "ready" }],
      running: [{ ...TASK, started_at: "soon", map_index: -1 }],
    });

    expect(fleet.nodes).toHaveLength(1);
    expect(fleet.nodes[0]).toMatchObject({ state: "unknown", usedMillicores: undefined, usedBytes: undefined, notes: ["two"] });
    expect(fleet.running[0]).toMatchObject({ startedAt: undefined, mapIndex: -1, usedBytes: undefined });
  });
});
