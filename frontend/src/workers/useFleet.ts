import { useEffect, useState } from "react";

import { type Fleet, parseFleet } from "./fleet";

const REFRESH_MS = 2_000;
const LONGEST_RETRY_MS = 16_000;

/** Why the server did not tell. `away`: no answer, or a broken one. */
export type Problem = "away" | "denied" | "signed-out";

export interface View {
  /** The last answer; undefined until there is one. */
  readonly fleet: Fleet | undefined;
  readonly problem: Problem | undefined;
}

/** The last answer, asked for again every two seconds while the page can be seen; ever less often while it fails. */
export function useFleet(): View {
  const [view, setView] = useState<View>({ fleet: undefined, problem: undefined });

  useEffect(() => {
    const gone = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isAsking = false;
    let retryMs = REFRESH_MS;

    const refresh = async (): Promise<void> => {
      if (isAsking || document.hidden) return;
      isAsking = true;
      clearTimeout(timer);
      const answer = await ask(gone.signal);
      isAsking = false;
      if (gone.signal.aborted) return;
      setView((last) => (typeof answer === "string" ? { ...last, problem: answer } : { fleet: answer, problem: undefined }));
      retryMs = typeof answer === "string" ? Math.min(retryMs * 2, LONGEST_RETRY_MS) : REFRESH_MS;
      timer = setTimeout(() => void refresh(), retryMs);
    };

    const seen = (): void => void refresh();
    document.addEventListener("visibilitychange", seen);
    void refresh();
    return () => {
      document.removeEventListener("visibilitychange", seen);
      gone.abort();
      clearTimeout(timer);
    };
  }, []);

  return view;
}

async function ask(signal: AbortSignal): Promise<Fleet | Problem> {
  try {
    const answer = await fetch(new URL("orrery/v1/workers", document.baseURI), {
      signal,
      cache: "no-store",
      headers: { Accept: "application/json" },
    });
    if (answer.status === 401) return "signed-out";
    if (answer.status === 403) return "denied";
    return answer.ok ? parseFleet(await answer.json()) : "away";
  } catch {
    return "away";
  }
}
