import type { ElementType, ReactElement, ReactNode } from "react";

import type { Task } from "./fleet";

/** The page of a task instance. Airflow shares its router; without it the browser loads the page anew. */
export function TaskLink({ task }: { readonly task: Task }): ReactElement {
  const mapped = task.mapIndex >= 0;
  return (
    <div className="ow-task">
      <Anchor path={pathOf(task)}>
        <bdi dir="ltr">
          {task.dagId} · {task.taskId}
          {mapped && ` [${task.mapIndex}]`}
        </bdi>
      </Anchor>
      <span className="ow-run">
        <bdi dir="ltr">
          {task.runId}
          {task.tryNumber > 1 && ` · try ${task.tryNumber}`}
        </bdi>
      </span>
    </div>
  );
}

export function Anchor({ path, children }: { readonly path: string; readonly children: ReactNode }): ReactElement {
  const shared = (globalThis as { ReactRouterDOM?: { Link?: ElementType } }).ReactRouterDOM;
  const Link = shared?.Link;
  return Link === undefined ? (
    <a href={new URL(path.slice(1), document.baseURI).href}>{children}</a>
  ) : (
    <Link to={path}>{children}</Link>
  );
}

function pathOf({ dagId, runId, taskId, mapIndex }: Task): string {
  const [dag, run, task] = [dagId, runId, taskId].map(encodeURIComponent);
  return `/dags/${dag}/runs/${run}/tasks/${task}${mapIndex >= 0 ? `/mapped/${mapIndex}` : ""}`;
}
