import type { ReactElement } from "react";

import { Footer } from "./Footer";
import { Guard } from "./Guard";
import { useRuntime } from "./useRuntime";

/** What Airflow mounts. It passes the current Dag, run and task, which the footer does not need. */
export function OrreryFooter(): ReactElement {
  return (
    <Guard name="the footer">
      <LiveFooter />
    </Guard>
  );
}

function LiveFooter(): ReactElement {
  return <Footer runtime={useRuntime()} />;
}
