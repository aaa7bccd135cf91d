import { type ReactElement, type ReactNode, useState } from "react";

const FIRST_ROWS = 50;

export interface Row {
  readonly key: string;
  readonly isStale?: boolean;
  readonly cells: readonly ReactNode[];
}

/**
 * A table that becomes a list of cards where it is narrow. The roles are spelt out, because browsers take
 * them from a table whose rows are laid out as blocks.
 */
export function Table({
  label,
  headings,
  rows,
}: {
  readonly label: string;
  readonly headings: readonly string[];
  readonly rows: readonly Row[];
}): ReactElement {
  const [showsAll, setShowsAll] = useState(false);
  const shown = showsAll ? rows : rows.slice(0, FIRST_ROWS);
  return (
    <>
      <table className="ow-table" role="table" aria-label={label} aria-rowcount={rows.length + 1}>
        <thead role="rowgroup">
          <tr role="row">
            {headings.map((heading) => (
              <th key={heading} role="columnheader" scope="col">
                {heading}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {shown.map(({ key, isStale, cells }) => (
            <tr key={key} role="row" data-stale={isStale === true}>
              {cells.map((cell, index) => (
                <td key={headings[index]} role="cell" data-label={headings[index]}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {shown.length < rows.length && (
        <button className="ow-more" type="button" onClick={() => setShowsAll(true)}>
          Show all {rows.length}
        </button>
      )}
    </>
  );
}
