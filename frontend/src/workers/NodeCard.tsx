import type { ReactElement } from "react";

import { bytes, clock, cores, counted, duration } from "./amounts";
import type { Node } from "./fleet";
import { Meter } from "./Meter";

const STATES: Record<string, string> = {
  ready: "takes tasks",
  cordoned: "takes no new tasks",
  draining: "stops when its tasks have ended",
  unreachable: "has not been heard of lately",
};

export function NodeCard({ node, now }: { readonly node: Node; readonly now: number }): ReactElement {
  const { capacity, requested } = node;
  const state = node.staleSince === undefined ? node.state : "stale";
  return (
    <li className="ow-card" data-state={state}>
      <div className="ow-card-head">
        <h3 title={node.host}>
          <bdi dir="ltr">{node.name}</bdi>
        </h3>
        <span className="ow-state">
          <bdi dir="ltr">{state === "stale" ? "not heard of" : node.state}</bdi>
        </span>
      </div>
      <Meter
        label={`CPU of node ${node.name}`}
        used={node.usedMillicores}
        requested={requested.cpuMillicores}
        whole={capacity.cpuMillicores}
        limit={capacity.cpuMillicores}
        words={`CPU: ${used(node.usedMillicores, cores)}, ${cores(requested.cpuMillicores)} requested, of ${cores(capacity.cpuMillicores)}`}
      />
      <Meter
        label={`Memory of node ${node.name}`}
        used={node.usedBytes}
        requested={requested.memoryBytes}
        whole={capacity.memoryBytes}
        limit={capacity.memoryBytes}
        words={`Memory: ${used(node.usedBytes, bytes)}, ${bytes(requested.memoryBytes)} requested, of ${bytes(capacity.memoryBytes)}`}
      />
      <dl className="ow-facts">
        <Fact name="Tasks">{`${node.running} running${starting(node)}`}</Fact>
        {capacity.gpus > 0 && <Fact name="GPUs">{`${requested.gpus} of ${capacity.gpus} requested`}</Fact>}
        {capacity.diskBytes > 0 && requested.diskBytes > 0 && (
          <Fact name="Disk">{`${bytes(requested.diskBytes)} requested, of ${bytes(capacity.diskBytes)}`}</Fact>
        )}
        {node.queues.length > 0 && <Fact name={counted(node.queues.length, "Queue").slice(2)}>{node.queues.join(", ")}</Fact>}
        {node.isolation !== undefined && <Fact name="Isolation">{node.isolation}</Fact>}
        {node.startedAt !== undefined && state !== "stale" && <Fact name="Up">{duration(now - node.startedAt)}</Fact>}
      </dl>
      <ul className="ow-notes">
        {node.staleSince !== undefined && (
          <li>
            <bdi dir="ltr">
              not heard of since {clock(node.staleSince)}, {duration(now - node.staleSince)} ago
            </bdi>
          </li>
        )}
        {node.staleSince === undefined && node.state !== "ready" && (
          <li>
            <bdi dir="ltr">{STATES[node.state] ?? node.state}</bdi>
          </li>
        )}
        {node.notes.map((note) => (
          <li key={note}>
            <bdi dir="ltr">{note}</bdi>
          </li>
        ))}
      </ul>
    </li>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: string }): ReactElement {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <bdi dir="ltr">{children}</bdi>
      </dd>
    </div>
  );
}

function starting(node: Node): string {
  return node.starting > 0 ? `, ${node.starting} of them starting (at most ${node.maxStarting})` : "";
}

function used(amount: number | undefined, inWords: (amount: number) => string): string {
  return amount === undefined ? "use not measured" : `${inWords(amount)} used`;
}
