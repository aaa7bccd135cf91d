import { type FormEvent, type ReactElement, useId, useState } from "react";

import { Problem, wordsOf } from "./api";
import { Banner } from "./parts";

export interface Choice {
  readonly value: string;
  readonly label: string;
  /** Under which heading it stands. */
  readonly group?: string;
}

/** A field of a form. */
export interface Field {
  readonly name: string;
  readonly label: string;
  readonly kind?: "text" | "email" | "password" | "number" | "select" | "lines" | "checks" | "suggest";
  readonly hint?: string;
  readonly isRequired?: boolean;
  readonly choices?: readonly Choice[];
  readonly value?: string;
  readonly values?: readonly string[];
}

/** What was filled in: empty fields are not there. */
export interface Filled {
  readonly text: (name: string) => string | undefined;
  readonly texts: (name: string) => string[];
}

/** A form that sends, says what is wrong next to what is wrong, and keeps what was filled in. */
export function Form(props: {
  readonly fields: readonly Field[];
  readonly verb: string;
  readonly onSend: (filled: Filled) => Promise<void>;
  readonly onCancel?: () => void;
  readonly isInline?: boolean;
}): ReactElement {
  const [problem, setProblem] = useState<Problem | Error>();
  const [isBusy, setIsBusy] = useState(false);

  const send = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const filled: Filled = {
      text: (name) => {
        const value = data.get(name);
        return typeof value === "string" && value !== "" ? value : undefined;
      },
      texts: (name) =>
        data
          .getAll(name)
          .flatMap((each) => (typeof each === "string" ? each.split("\n") : []))
          .map((each) => each.trim())
          .filter((each) => each !== ""),
    };
    setIsBusy(true);
    setProblem(undefined);
    try {
      await props.onSend(filled);
    } catch (caught) {
      setProblem(caught instanceof Error ? caught : new Error());
    }
    setIsBusy(false);
  };

  const of = problem instanceof Problem ? problem.fields : new Map<string, string>();
  const isTold = props.fields.some((field) => of.has(field.name));
  return (
    <form className={props.isInline === true ? "oa-form oa-inline" : "oa-form"} onSubmit={(event) => void send(event)}>
      {props.fields.map((field, index) => (
        <Control key={field.name} field={field} complaint={of.get(field.name)} isFirst={index === 0 && props.isInline !== true} />
      ))}
      {problem !== undefined && !isTold && <Banner severity="error">{wordsOf(problem)}</Banner>}
      <div className="oa-buttons">
        <button className="oa-button" data-kind="main" disabled={isBusy}>
          {props.verb}
        </button>
        {props.onCancel !== undefined && (
          <button type="button" className="oa-button" onClick={props.onCancel}>
            Cancel
          </button>
        )}
      </div>
    </form>
  );
}

function Control({
  field,
  complaint,
  isFirst,
}: {
  readonly field: Field;
  readonly complaint: string | undefined;
  readonly isFirst: boolean;
}): ReactElement {
  const id = useId();
  const told = [field.hint === undefined ? "" : `${id}-hint`, complaint === undefined ? "" : `${id}-wrong`];
  const common = {
    id,
    name: field.name,
    required: field.isRequired === true,
    "aria-invalid": complaint !== undefined,
    "aria-describedby": told.filter((each) => each !== "").join(" ") || undefined,
    autoFocus: isFirst, // where the form comes later than its dialog
    "data-first": isFirst || undefined,
  };
  const notes = (
    <>
      {field.hint !== undefined && (
        <span className="oa-hint" id={`${id}-hint`}>
          {field.hint}
        </span>
      )}
      {complaint !== undefined && (
        <span className="oa-wrong" id={`${id}-wrong`} role="alert">
          {complaint}
        </span>
      )}
    </>
  );
  if (field.kind === "checks") return <Checks field={field} notes={notes} />;
  return (
    <div className="oa-field">
      <label htmlFor={id}>{field.label}</label>
      {field.kind === "select" ? (
        <select {...common} defaultValue={field.value ?? ""}>
          {field.choices?.map((choice) => (
            <option key={choice.value} value={choice.value}>
              {choice.label}
            </option>
          ))}
        </select>
      ) : field.kind === "lines" ? (
        <textarea {...common} rows={3} defaultValue={(field.values ?? []).join("\n")} spellCheck={false} />
      ) : (
        <input
          {...common}
          type={field.kind === "suggest" || field.kind === undefined ? "text" : field.kind}
          defaultValue={field.value ?? ""}
          list={field.kind === "suggest" ? `${id}-list` : undefined}
          min={field.kind === "number" ? 1 : undefined}
          autoComplete={field.kind === "password" ? "new-password" : "off"}
          spellCheck={false}
        />
      )}
      {field.kind === "suggest" && (
        <datalist id={`${id}-list`}>
          {field.choices?.map((choice) => (
            <option key={choice.value} value={choice.value}>
              {choice.label}
            </option>
          ))}
        </datalist>
      )}
      {notes}
    </div>
  );
}

function Checks({ field, notes }: { readonly field: Field; readonly notes: ReactElement }): ReactElement {
  const groups = [...new Set((field.choices ?? []).map((choice) => choice.group))];
  return (
    <fieldset className="oa-field">
      <legend>{field.label}</legend>
      <div className="oa-checks">
        {groups.map((group) => (
          <div key={group ?? ""}>
            {group !== undefined && <p className="oa-hint">{group}</p>}
            {field.choices
              ?.filter((choice) => choice.group === group)
              .map((choice) => (
                <label key={choice.value}>
                  <input
                    type="checkbox"
                    name={field.name}
                    value={choice.value}
                    defaultChecked={field.values?.includes(choice.value) === true}
                  />
                  <span>
                    <bdi dir="ltr">{choice.label}</bdi>
                  </span>
                </label>
              ))}
          </div>
        ))}
      </div>
      {notes}
    </fieldset>
  );
}
