import type { ReactElement } from "react";

interface Props {
  /** Who is measured, for those who do not see the bar: "Memory of node a". */
  readonly label: string;
  /** Undefined where it is not measured. */
  readonly used: number | undefined;
  /** The whole length of the bar. */
  readonly whole: number;
  /** A part that is promised, drawn behind what is used. */
  readonly requested?: number;
  /** The most that there has been, drawn as a line. */
  readonly peak?: number | undefined;
  /** More than this is marked; the words have to say so too. */
  readonly limit: number;
  /** The amounts in words. They stand under the bar and are read aloud. */
  readonly words: string;
}

/** A bar with its amounts in words: colour never says anything alone. */
export function Meter({ label, used: measured, whole, requested, peak, limit, words }: Props): ReactElement {
  const used = measured ?? 0;
  return (
    <div className="ow-meter">
      <div
        className="ow-bar"
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={whole}
        aria-valuenow={Math.min(used, whole)}
        aria-valuetext={words}
        data-over={used > limit}
      >
        {requested !== undefined && <span className="ow-requested" style={{ inlineSize: share(requested, whole) }} />}
        <span className="ow-used" style={{ inlineSize: share(used, whole) }} />
        {peak !== undefined && peak > used && <span className="ow-peak" style={{ insetInlineStart: share(peak, whole) }} />}
      </div>
      <p className="ow-words" aria-hidden="true">
        <bdi dir="ltr">{words}</bdi>
      </p>
    </div>
  );
}

function share(part: number, whole: number): string {
  return `${whole > 0 ? Math.min(100, (part / whole) * 100).toFixed(2) : 0}%`;
}
