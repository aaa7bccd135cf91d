import { type ReactElement, type ReactNode, useState } from "react";

import type { Asked } from "./useAsked";

export function Banner(props: {
  readonly severity: "info" | "good" | "error";
  readonly children: ReactNode;
}): ReactElement {
  return (
    <p className="oa-banner" role={props.severity === "error" ? "alert" : "status"} data-severity={props.severity}>
      <bdi dir="ltr">{props.children}</bdi>
    </p>
  );
}

/** A section with its heading, how many there are, and what can be done. */
export function Section(props: {
  readonly title: string;
  readonly count?: number | undefined;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}): ReactElement {
  const id = `orrery-access-${props.title.toLowerCase().replaceAll(" ", "-")}`;
  return (
    <section className="oa-section" aria-labelledby={id}>
      <div className="oa-section-head">
        <h2 id={id}>
          {props.title} {props.count !== undefined && <span className="oa-count">{props.count}</span>}
        </h2>
        <div className="oa-buttons">{props.actions}</div>
      </div>
      {props.children}
    </section>
  );
}

export function Button(props: {
  readonly children: string;
  readonly kind?: "main" | "danger" | "quiet";
  /** For those who hear it: what it acts on. */
  readonly label?: string;
  readonly onClick: () => void;
}): ReactElement {
  return (
    <button type="button" className="oa-button" data-kind={props.kind} aria-label={props.label} onClick={props.onClick}>
      {props.children}
    </button>
  );
}

/** What was asked for; until it is there, a place for it; where it failed, why, and a way to try again. */
export function Shown<T>({
  asked,
  children,
}: {
  readonly asked: Asked<T>;
  readonly children: (value: T) => ReactNode;
}): ReactElement {
  return (
    <>
      {asked.problem !== undefined && (
        <div className="oa-again">
          <Banner severity="error">{asked.problem}</Banner>
          <Button onClick={asked.reload}>Try again</Button>
        </div>
      )}
      {asked.value !== undefined
        ? children(asked.value)
        : asked.problem === undefined && (
            <p className="oa-loading" aria-busy="true">
              Loading
            </p>
          )}
    </>
  );
}

/** More rows than that are shown when they are asked for. */
const FIRST_ROWS = 100;

export interface Row {
  readonly key: string;
  readonly isPale?: boolean;
  readonly cells: readonly ReactNode[];
}

/** A table that becomes a list of cards where it is narrow; the roles are spelt out, as browsers then drop them. */
export function Table(props: {
  readonly label: string;
  readonly headings: readonly string[];
  readonly rows: readonly Row[];
  readonly empty: string;
  /** It comes by pages: all that is there was asked for. */
  readonly isPaged?: boolean;
}): ReactElement {
  const [showsAll, setShowsAll] = useState(false);
  if (props.rows.length === 0) return <p className="oa-empty">{props.empty}</p>;
  const shown = showsAll || props.isPaged === true ? props.rows : props.rows.slice(0, FIRST_ROWS);
  return (
    <>
      <table className="oa-table" role="table" aria-label={props.label} aria-rowcount={props.rows.length + 1}>
        <thead role="rowgroup">
          <tr role="row">
            {props.headings.map((heading) => (
              <th key={heading} role="columnheader" scope="col">
                {heading}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {shown.map(({ key, isPale, cells }) => (
            <tr key={key} role="row" data-pale={isPale === true}>
              {cells.map((cell, index) => (
                <td key={props.headings[index]} role="cell" data-label={props.headings[index]}>
                  <div className="oa-cell">{cell}</div>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {shown.length < props.rows.length && (
        <p className="oa-more">
          <Button onClick={() => setShowsAll(true)}>{`Show all ${props.rows.length}`}</Button>
        </p>
      )}
    </>
  );
}

export function Badge({ kind, children }: { readonly kind: "good" | "bad" | "plain"; readonly children: string }): ReactElement {
  return (
    <span className="oa-badge" data-kind={kind}>
      {children}
    </span>
  );
}

/** A moment in the reader's own time, to the minute. */
export function when(moment: number | undefined, otherwise: string): string {
  if (moment === undefined) return otherwise;
  const at = new Date(moment);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}
