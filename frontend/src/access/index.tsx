import type { ReactElement } from "react";

import { Guard } from "../Guard";
import { AccessPage } from "./AccessPage";
import { MyAccessPage } from "./MyAccessPage";

function Failed(): ReactElement {
  return <p role="alert">This page failed. `orrery auth` on the command line does the same.</p>;
}

/** What Airflow mounts. */
function Access(): ReactElement {
  return (
    <Guard name="the page 'Access'" fallback={<Failed />}>
      <AccessPage />
    </Guard>
  );
}

function MyAccess(): ReactElement {
  return (
    <Guard name="the page 'My access'" fallback={<Failed />}>
      <MyAccessPage />
    </Guard>
  );
}

// Airflow looks for a component under the name of its menu entry (ui/bundle.py).
Object.assign(globalThis, { Access, "My access": MyAccess });
