import { useEffect, useState } from "react";

import { parseRuntime, type Runtime, UNKNOWN } from "./runtime";

const REFRESH_MS = 15 * 60_000;
const FIRST_RETRY_MS = 5_000;

// Kept outside the component: Airflow mounts the footer anew on its error page.
let latest: Runtime = UNKNOWN;

/** The facts, asked for at once and then every quarter of an hour; a failed call is repeated, ever less often. */
export function useRuntime(): Runtime {
  const [runtime, setRuntime] = useState(latest);

  useEffect(() => {
    const gone = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let retryMs = FIRST_RETRY_MS;

    const refresh = async (): Promise<void> => {
      let waitMs = REFRESH_MS;
      try {
        latest = await fetchRuntime(gone.signal);
        retryMs = FIRST_RETRY_MS;
        if (!gone.signal.aborted) setRuntime(latest);
      } catch {
        // Signed out, or the server is restarting: the last known facts stay.
        waitMs = retryMs;
        retryMs = Math.min(retryMs * 2, REFRESH_MS);
      }
      if (!gone.signal.aborted) timer = setTimeout(() => void refresh(), waitMs);
    };

    void refresh();
    return () => {
      gone.abort();
      clearTimeout(timer);
    };
  }, []);

  return runtime;
}

async function fetchRuntime(signal: AbortSignal): Promise<Runtime> {
  const url = new URL("orrery/v1/runtime", document.baseURI);
  const answer = await fetch(url, { signal, headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${url.pathname} answered ${answer.status}`);
  return parseRuntime(await answer.json(), document.baseURI);
}
