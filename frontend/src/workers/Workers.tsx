import type { ReactElement } from "react";

import { Guard } from "../Guard";
import { useFleet } from "./useFleet";
import { Failed, WorkersPage } from "./WorkersPage";

/** What Airflow mounts. */
export function Workers(): ReactElement {
  return (
    <Guard name="the page 'Workers'" fallback={<Failed />}>
      <LiveWorkers />
    </Guard>
  );
}

function LiveWorkers(): ReactElement {
  return <WorkersPage view={useFleet()} />;
}
