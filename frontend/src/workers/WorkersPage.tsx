import type { ReactElement, ReactNode } from "react";

import { bytes, clock, cores, counted, duration } from "./amounts";
import type { Advice, Fleet, Resources, RunningTask, WaitingTask } from "./fleet";
import { Meter } from "./Meter";
import { NodeCard } from "./NodeCard";
import { type Row, Table } from "./Table";
import { Anchor, TaskLink } from "./TaskLink";
import type { Problem, View } from "./useFleet";
import css from "./workers.css?inline";

const PROBLEMS: Record<Problem, string> = {
  away: "The API server does not answer. This page goes on asking.",
  denied: "You may not see this page: it needs the permission to read jobs. Ask whoever gives you your role.",
  "signed-out": "You are signed out. Load the page again to sign in.",
};

/** Whoever uses more of the memory that it asked for is near its end. */
const NEARLY_ALL = 0.9;

/** All of the page. Its words are English in every language; the layout turns round with the page's direction. */
export function WorkersPage({ view: { fleet, problem } }: { readonly view: View }): ReactElement {
  return (
    <article className="ow-page" lang="en" aria-busy={fleet === undefined && problem === undefined}>
      <style>{css}</style>
      <header className="ow-head">
        <h1>Workers</h1>
        <Freshness fleet={fleet} problem={problem} />
      </header>
      {problem !== undefined && <Banner severity={problem === "away" ? "warning" : "error"}>{PROBLEMS[problem]}</Banner>}
      {fleet === undefined ? problem === undefined && <Loading /> : <Everything fleet={fleet} />}
    </article>
  );
}

/** What stands there when a fault of ours has hidden the page. */
export function Failed(): ReactElement {
  return (
    <article className="ow-page" lang="en">
      <style>{css}</style>
      <h1>Workers</h1>
      <Banner severity="error">This page failed. The command `orrery workers` shows the same.</Banner>
    </article>
  );
}

function Freshness({ fleet, problem }: View): ReactElement {
  const isLive = fleet !== undefined && problem === undefined && !fleet.isStale && fleet.takenAt !== undefined;
  const words =
    fleet?.takenAt === undefined
      ? problem === undefined && fleet === undefined
        ? "Loading"
        : "No data"
      : isLive
        ? "Live"
        : `As of ${clock(fleet.takenAt)}`;
  return (
    <p className="ow-fresh" data-live={isLive}>
      <bdi dir="ltr">{words}</bdi>
    </p>
  );
}

function Everything({ fleet }: { readonly fleet: Fleet }): ReactElement {
  const stale = new Set(fleet.nodes.filter((node) => node.staleSince !== undefined).map((node) => node.name));
  if (fleet.message !== undefined && fleet.nodes.length === 0 && fleet.waiting.length === 0) {
    return <Banner severity="info">{fleet.message}</Banner>;
  }
  return (
    <>
      {fleet.isStale && (
        <Banner severity="warning">
          {`No scheduler has reported for ${duration(fleet.now - (fleet.takenAt ?? fleet.now))}. This is what was known last.`}
        </Banner>
      )}
      <Section title="Nodes" count={fleet.nodes.length} aside={<Legend />}>
        {fleet.nodes.length === 0 ? (
          <Quiet>No node has joined yet.</Quiet>
        ) : (
          <ul className="ow-cards">
            {fleet.nodes.map((node) => (
              <NodeCard key={node.name} node={node} now={fleet.now} />
            ))}
          </ul>
        )}
      </Section>
      <Section title="Waiting" count={fleet.waitingTotal}>
        {fleet.waiting.length === 0 ? (
          <Quiet>{fleet.waitingTotal > 0 ? "None that you may see." : "No task waits for a worker."}</Quiet>
        ) : (
          <Table
            label="Waiting tasks"
            headings={["Task", "Asks", "Waits", "Why"]}
            rows={fleet.waiting.map((task) => waitingRow(task, fleet.now))}
          />
        )}
        {fleet.waiting.length > 0 && fleet.waiting.length < fleet.waitingTotal && (
          <Quiet>{`The first ${fleet.waiting.length} of ${fleet.waitingTotal}.`}</Quiet>
        )}
      </Section>
      <Section title="Running" count={fleet.runningTotal}>
        {fleet.running.length === 0 ? (
          <Quiet>{fleet.runningTotal > 0 ? "None that you may see." : "No task runs."}</Quiet>
        ) : (
          <Table
            label="Running tasks"
            headings={["Task", "Node", "Memory", "CPU", "Runs"]}
            rows={fleet.running.map((task) => runningRow(task, fleet.now, stale.has(task.node)))}
          />
        )}
      </Section>
      {fleet.hiddenTasks > 0 && (
        <Quiet>{`Not shown: ${counted(fleet.hiddenTasks, "task")} of Dags that you may not read.`}</Quiet>
      )}
      <Section title="Advice" count={fleet.advice.length}>
        {fleet.advice.length === 0 ? (
          <Quiet>None: no task here is known to ask much more, or less, than it uses.</Quiet>
        ) : (
          <Table label="Advice" headings={["Task", "What to ask", "Never used"]} rows={fleet.advice.map(adviceRow)} />
        )}
      </Section>
    </>
  );
}

function runningRow(task: RunningTask, now: number, isStale: boolean): Row {
  const { requested, startedAt } = task;
  return {
    key: task.key,
    isStale,
    cells: [
      <TaskLink task={task} />,
      <bdi dir="ltr">{task.node}</bdi>,
      <Meter
        label={`Memory of ${task.dagId} ${task.taskId}`}
        used={task.usedBytes}
        whole={requested.memoryBytes}
        requested={requested.memoryBytes}
        peak={task.peakBytes}
        limit={requested.memoryBytes * NEARLY_ALL}
        words={memoryWords(task)}
      />,
      <bdi dir="ltr">{cpuWords(task, now)}</bdi>,
      <bdi dir="ltr">{startedAt === undefined ? "starting" : duration(now - startedAt)}</bdi>,
    ],
  };
}

function memoryWords({ usedBytes, peakBytes, requested }: RunningTask): string {
  const whole = bytes(requested.memoryBytes);
  if (usedBytes === undefined) return `${whole} requested`;
  const most = peakBytes !== undefined && peakBytes > usedBytes ? `, at most ${bytes(peakBytes)}` : "";
  return `${bytes(usedBytes)} of ${whole}${most}${usedBytes > requested.memoryBytes * NEARLY_ALL ? ": nearly all" : ""}`;
}

/** Its average since it started, of what it asks for. */
function cpuWords({ cpuSeconds, startedAt, requested }: RunningTask, now: number): string {
  const ran = startedAt === undefined ? 0 : now - startedAt;
  const used = cpuSeconds === undefined || ran <= 0 ? "" : `${cores((cpuSeconds / ran) * 1_000_000)} of `;
  return `${used}${cores(requested.cpuMillicores)}${requested.gpus > 0 ? ` · ${requested.gpus} GPU` : ""}`;
}

function waitingRow(task: WaitingTask, now: number): Row {
  return {
    key: task.key,
    cells: [
      <TaskLink task={task} />,
      <bdi dir="ltr">{asked(task.requested)}</bdi>,
      <bdi dir="ltr">{task.queuedAt === undefined ? "" : duration(now - task.queuedAt)}</bdi>,
      <bdi dir="ltr">{task.reason}</bdi>,
    ],
  };
}

function adviceRow({ dagId, taskId, text, unusedBytes }: Advice): Row {
  return {
    key: `${dagId}/${taskId}`,
    cells: [
      <Anchor path={`/dags/${encodeURIComponent(dagId)}/tasks/${encodeURIComponent(taskId)}`}>
        <bdi dir="ltr">
          {dagId} · {taskId}
        </bdi>
      </Anchor>,
      <bdi dir="ltr">{text}</bdi>,
      <bdi dir="ltr">{unusedBytes > 0 ? bytes(unusedBytes) : "–"}</bdi>,
    ],
  };
}

function asked({ cpuMillicores, memoryBytes, gpus, diskBytes }: Resources): string {
  return [
    `${cores(cpuMillicores)} CPU`,
    bytes(memoryBytes),
    gpus > 0 ? `${gpus} GPU` : "",
    diskBytes > 0 ? `${bytes(diskBytes)} disk` : "",
  ]
    .filter((part) => part !== "")
    .join(", ");
}

function Section(props: {
  readonly title: string;
  readonly count: number;
  readonly aside?: ReactNode;
  readonly children: ReactNode;
}): ReactElement {
  const id = `orrery-workers-${props.title.toLowerCase()}`;
  return (
    <section className="ow-section" aria-labelledby={id}>
      <div className="ow-section-head">
        <h2 id={id}>
          {props.title} <span className="ow-count">{props.count}</span>
        </h2>
        {props.aside}
      </div>
      {props.children}
    </section>
  );
}

function Quiet({ children }: { readonly children: string }): ReactElement {
  return (
    <p className="ow-empty">
      <bdi dir="ltr">{children}</bdi>
    </p>
  );
}

function Legend(): ReactElement {
  return (
    <p className="ow-legend" aria-hidden="true">
      <span data-kind="used">used</span>
      <span data-kind="requested">requested</span>
      <span data-kind="free">free</span>
    </p>
  );
}

function Banner({ severity, children }: { readonly severity: "info" | "warning" | "error"; readonly children: string }): ReactElement {
  return (
    <p className="ow-banner" role={severity === "error" ? "alert" : "status"} data-severity={severity}>
      <bdi dir="ltr">{children}</bdi>
    </p>
  );
}

/** Boxes as large as what will stand there, so that nothing jumps. */
function Loading(): ReactElement {
  return (
    <div className="ow-loading" aria-hidden="true">
      <div className="ow-cards">
        <div className="ow-card" />
        <div className="ow-card" />
      </div>
    </div>
  );
}
