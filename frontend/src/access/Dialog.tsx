import { type ReactElement, type ReactNode, useId, useLayoutEffect, useRef, useState } from "react";

import { wordsOf } from "./api";
import { Banner } from "./parts";

/** The browser's own modal dialog: it keeps the focus, Escape closes it, and the focus goes back to where it was. */
export function Dialog(props: {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
}): ReactElement {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Before it leaves the document: only then closing it gives the focus back.
  useLayoutEffect(() => {
    const dialog = box.current;
    if (dialog !== null && !dialog.open) dialog.showModal();
    dialog?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={box}
      className="oa-dialog"
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        props.onClose();
      }}
      // Airflow's keys would act on the page behind.
      onKeyDown={(event) => event.stopPropagation()}
    >
      <div className="oa-dialog-head">
        <h2 id={id}>{props.title}</h2>
        <button type="button" className="oa-quiet" aria-label="Close" onClick={props.onClose}>
          ✕
        </button>
      </div>
      {props.children}
    </dialog>
  );
}

/** Asks before something is done that cannot be undone, and says what came of it. */
export function Confirm(props: {
  readonly title: string;
  readonly children: string;
  readonly verb: string;
  readonly onConfirm: () => Promise<void>;
  readonly onClose: () => void;
}): ReactElement {
  const [problem, setProblem] = useState<string>();
  const [isBusy, setIsBusy] = useState(false);
  const act = async (): Promise<void> => {
    setIsBusy(true);
    setProblem(undefined);
    try {
      await props.onConfirm();
      props.onClose();
    } catch (caught) {
      setProblem(wordsOf(caught));
      setIsBusy(false);
    }
  };
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <p>{props.children}</p>
      {problem !== undefined && <Banner severity="error">{problem}</Banner>}
      <div className="oa-buttons">
        <button type="button" className="oa-button" data-kind="danger" disabled={isBusy} onClick={() => void act()}>
          {props.verb}
        </button>
        <button type="button" className="oa-button" data-first onClick={props.onClose}>
          Cancel
        </button>
      </div>
    </Dialog>
  );
}

/** A secret that is shown once, with a button that copies it. */
export function Secret(props: {
  readonly title: string;
  readonly label: string;
  readonly text: string;
  readonly children: string;
  readonly onClose: () => void;
}): ReactElement {
  const [copied, setCopied] = useState("");
  const field = useRef<HTMLInputElement>(null);
  const copy = async (): Promise<void> => {
    field.current?.select();
    try {
      await navigator.clipboard.writeText(props.text);
      setCopied("Copied.");
    } catch {
      setCopied("Your browser does not let us copy: it is selected, press Ctrl+C.");
    }
  };
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <p>{props.children}</p>
      <div className="oa-secret">
        <input ref={field} readOnly value={props.text} aria-label={props.label} onFocus={(event) => event.target.select()} />
        <button type="button" className="oa-button" data-kind="main" onClick={() => void copy()}>
          Copy
        </button>
      </div>
      <p className="oa-hint" role="status">
        {copied}
      </p>
      <div className="oa-buttons">
        <button type="button" className="oa-button" onClick={props.onClose}>
          Done
        </button>
      </div>
    </Dialog>
  );
}
