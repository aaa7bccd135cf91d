/** What /orrery/v1/workers answers, read without trusting it: whatever is missing or odd is left out. */
import { amount, list, record, text, time } from "../read";

export interface Resources {
  readonly cpuMillicores: number;
  readonly memoryBytes: number;
  readonly gpus: number;
  readonly diskBytes: number;
}

export interface Node {
  readonly name: string;
  readonly state: string;
  /** Set when nothing has been heard of it lately. */
  readonly staleSince: number | undefined;
  readonly host: string | undefined;
  readonly version: string | undefined;
  readonly isolation: string | undefined;
  readonly notes: readonly string[];
  readonly queues: readonly string[];
  readonly capacity: Resources;
  readonly requested: Resources;
  /** What is used is undefined where it cannot be measured. */
  readonly usedMillicores: number | undefined;
  readonly usedBytes: number | undefined;
  readonly running: number;
  readonly starting: number;
  readonly maxStarting: number;
  readonly startedAt: number | undefined;
}

export interface Task {
  readonly key: string;
  readonly dagId: string;
  readonly taskId: string;
  readonly runId: string;
  readonly mapIndex: number;
  readonly tryNumber: number;
  readonly queue: string | undefined;
  readonly requested: Resources;
  readonly queuedAt: number | undefined;
}

export interface RunningTask extends Task {
  readonly node: string;
  readonly startedAt: number | undefined;
  /** What is used is undefined until it is measured. */
  readonly usedBytes: number | undefined;
  readonly peakBytes: number | undefined;
  readonly cpuSeconds: number | undefined;
}

export interface WaitingTask extends Task {
  readonly reason: string;
}

export interface Advice {
  readonly dagId: string;
  readonly taskId: string;
  readonly text: string;
  /** Memory that it asked for and no run has used. */
  readonly unusedBytes: number;
}

export interface Fleet {
  readonly executor: string;
  /** Why there is nothing to see. */
  readonly message: string | undefined;
  /** The server's clock: ages are told by it. */
  readonly now: number;
  /** Whether the newest news is old: no scheduler has reported lately. */
  readonly isStale: boolean;
  readonly takenAt: number | undefined;
  readonly nodes: readonly Node[];
  readonly running: readonly RunningTask[];
  readonly runningTotal: number;
  readonly waiting: readonly WaitingTask[];
  readonly waitingTotal: number;
  readonly hiddenTasks: number;
  readonly advice: readonly Advice[];
}

/** Never throws. */
export function parseFleet(answer: unknown): Fleet {
  const facts = record(answer);
  const running = list(facts["running"]).flatMap(runningTask);
  const waiting = list(facts["waiting"]).flatMap(waitingTask);
  return {
    executor: text(facts["executor"]) ?? "the executor",
    message: text(facts["message"]),
    now: time(facts["now"]) ?? Date.now(),
    isStale: facts["is_stale"] === true,
    takenAt: time(facts["taken_at"]),
    nodes: list(facts["nodes"]).flatMap(node),
    running,
    runningTotal: amount(facts["running_total"]) ?? running.length,
    waiting,
    waitingTotal: amount(facts["waiting_total"]) ?? waiting.length,
    hiddenTasks: amount(facts["hidden_tasks"]) ?? 0,
    advice: list(facts["advice"]).flatMap(advice),
  };
}

function resources(value: unknown): Resources {
  const amounts = record(value);
  return {
    cpuMillicores: amount(amounts["cpu_millicores"]) ?? 0,
    memoryBytes: amount(amounts["memory_bytes"]) ?? 0,
    gpus: amount(amounts["gpus"]) ?? 0,
    diskBytes: amount(amounts["disk_bytes"]) ?? 0,
  };
}

function node(value: unknown): Node[] {
  const facts = record(value);
  const name = text(facts["name"]);
  if (name === undefined) return [];
  return [
    {
      name,
      state: text(facts["state"]) ?? "unknown",
      staleSince: time(facts["stale_since"]),
      host: text(facts["host"]),
      version: text(facts["version"]),
      isolation: text(facts["isolation"]),
      notes: texts(facts["notes"]),
      queues: texts(facts["queues"]),
      capacity: resources(facts["allocatable"]),
      requested: resources(facts["requested"]),
      usedMillicores: amount(facts["cpu_millicores"]),
      usedBytes: amount(facts["memory_bytes"]),
      running: amount(facts["running"]) ?? 0,
      starting: amount(facts["starting"]) ?? 0,
      maxStarting: amount(facts["max_starting"]) ?? 0,
      startedAt: time(facts["started_at"]),
    },
  ];
}

function task(facts: Record<string, unknown>): Task | undefined {
  const [dagId, taskId, runId] = [text(facts["dag_id"]), text(facts["task_id"]), text(facts["run_id"])];
  if (dagId === undefined || taskId === undefined || runId === undefined) return undefined;
  const mapIndex = amount(facts["map_index"]) ?? -1;
  const tryNumber = amount(facts["try_number"]) ?? 1;
  return {
    key: text(facts["ti_id"]) ?? [dagId, taskId, runId, mapIndex, tryNumber].join("/"),
    dagId,
    taskId,
    runId,
    mapIndex,
    tryNumber,
    queue: text(facts["queue"]),
    requested: resources(facts["resources"]),
    queuedAt: time(facts["queued_at"]),
  };
}

function runningTask(value: unknown): RunningTask[] {
  const facts = record(value);
  const found = task(facts);
  if (found === undefined) return [];
  return [
    {
      ...found,
      node: text(facts["node"]) ?? "",
      startedAt: time(facts["started_at"]),
      usedBytes: amount(facts["memory_bytes"]),
      peakBytes: amount(facts["memory_peak_bytes"]),
      cpuSeconds: amount(facts["cpu_seconds"]),
    },
  ];
}

function waitingTask(value: unknown): WaitingTask[] {
  const facts = record(value);
  const found = task(facts);
  return found === undefined ? [] : [{ ...found, reason: text(facts["reason"]) ?? "not known yet" }];
}

function advice(value: unknown): Advice[] {
  const facts = record(value);
  const [dagId, taskId, words] = [text(facts["dag_id"]), text(facts["task_id"]), text(facts["text"])];
  if (dagId === undefined || taskId === undefined || words === undefined) return [];
  return [{ dagId, taskId, text: words, unusedBytes: amount(facts["unused_memory_bytes"]) ?? 0 }];
}

function texts(value: unknown): readonly string[] {
  return list(value).flatMap((each) => text(each) ?? []);
}
