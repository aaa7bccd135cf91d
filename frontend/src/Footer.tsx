import type { ReactElement } from "react";

import css from "./footer.css?inline";
import type { Runtime } from "./runtime";

/**
 * One quiet line at the bottom of every page. Its words are English in every language of Airflow's
 * interface: the line turns round with a right-to-left page (`dir` is inherited), each phrase does not.
 */
export function Footer({ runtime }: { readonly runtime: Runtime }): ReactElement {
  const { version, airflowVersion, imageTag, notice, links } = runtime;
  return (
    <footer className="orrery-footer" role="contentinfo" aria-label="Orrery Runtime" lang="en">
      <style>{css}</style>
      <div className="orrery-bar">
        <p className="orrery-facts">
          <Mark />
          <span className="orrery-name">
            <bdi dir="ltr">
              Orrery <span className="orrery-long">Runtime </span>
              {version}
            </bdi>
          </span>
          {airflowVersion !== undefined && (
            <span>
              <bdi dir="ltr">Airflow {airflowVersion}</bdi>
            </span>
          )}
          {imageTag !== undefined && (
            <span className="orrery-tag" title={`Image: ${imageTag}`}>
              <bdi dir="ltr">{imageTag}</bdi>
            </span>
          )}
        </p>
        {notice !== undefined && (
          <p className="orrery-notice" data-severity={notice.severity} role="status">
            <bdi dir="ltr">{notice.text}</bdi>
          </p>
        )}
        {links.length > 0 && (
          <nav className="orrery-links" aria-label="Orrery Runtime">
            {links.map(({ label, href }) => (
              <a key={label} href={href} target="_blank" rel="noopener noreferrer">
                {label}
              </a>
            ))}
          </nav>
        )}
      </div>
    </footer>
  );
}

/** A sun, an orbit and a planet. */
function Mark(): ReactElement {
  return (
    <svg className="orrery-mark" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" focusable="false">
      <circle cx="8" cy="8" r="6.25" fill="none" stroke="currentColor" strokeWidth="1" />
      <circle cx="8" cy="8" r="2.25" fill="currentColor" />
      <circle cx="12.4" cy="3.6" r="1.75" fill="currentColor" />
    </svg>
  );
}
