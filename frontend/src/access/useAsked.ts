import { useCallback, useEffect, useState } from "react";

import { call, wordsOf } from "./api";

export interface Asked<T> {
  /** The last answer; undefined until there is one. */
  readonly value: T | undefined;
  /** Why there is none, or no newer one. */
  readonly problem: string | undefined;
  readonly reload: () => void;
}

/** What a route answers; asks again when the path changes, and on `reload`. Without a path nothing is asked. */
export function useAsked<T>(path: string | undefined, parse: (answer: unknown) => T): Asked<T> {
  const [state, setState] = useState<{ value?: T; problem?: string; of?: string }>({});
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (path === undefined) return undefined;
    let isGone = false;
    const ask = async (): Promise<void> => {
      try {
        const value = parse(await call("GET", path));
        if (!isGone) setState({ value, of: path });
      } catch (caught) {
        if (!isGone) setState((last) => ({ ...(last.of === path ? last : {}), problem: wordsOf(caught), of: path }));
      }
    };
    void ask();
    return () => {
      isGone = true;
    };
    // `parse` is a constant of its module.
  }, [path, turn]);
  const reload = useCallback(() => setTurn((last) => last + 1), []);
  return { value: state.value, problem: state.problem, reload };
}
