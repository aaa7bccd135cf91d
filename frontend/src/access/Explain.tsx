import { type ReactElement, useState } from "react";

import { parseUsers } from "./Bindings";
import { call } from "./api";
import { Form } from "./Form";
import { type Explanation, explanation, type Grant } from "./model";
import { Section } from "./parts";
import { useAsked } from "./useAsked";

const ACTIONS = ["read", "create", "update", "delete", "pause", "trigger", "clear", "mark"];
const RESOURCES = ["dag", "dag_run", "task_instance", "task_log", "xcom", "connection", "variable", "pool", "asset", "user", "binding"];

const choices = (names: readonly string[]): { value: string; label: string }[] =>
  names.map((each) => ({ value: each, label: each }));

/** May somebody do something, and by what: of oneself, or of anybody. */
export function Explain({ isOwn }: { readonly isOwn: boolean }): ReactElement {
  const users = useAsked(isOwn ? undefined : "/users", parseUsers);
  const [found, setFound] = useState<Explanation>();
  return (
    <Section title={isOwn ? "May I" : "Effective access of"}>
      <Form
        isInline
        verb="Explain"
        fields={[
          ...(isOwn
            ? []
            : [
                {
                  name: "user",
                  label: "Who",
                  kind: "suggest" as const,
                  isRequired: true,
                  choices: choices((users.value ?? []).map((each) => each.username)),
                },
              ]),
          { name: "action", label: isOwn ? "Do what" : "Does what", kind: "suggest", isRequired: true, choices: choices(ACTIONS) },
          { name: "resource", label: "With what", kind: "suggest", isRequired: true, choices: choices(RESOURCES) },
          { name: "dag_id", label: "On which Dag", hint: "Empty: on any." },
        ]}
        onSend={async (filled) => {
          setFound(undefined);
          const query = new URLSearchParams();
          for (const name of ["user", "action", "resource", "dag_id"]) {
            const value = filled.text(name);
            if (value !== undefined) query.set(name, value);
          }
          setFound(explanation(await call("GET", `/explain?${query.toString()}`)));
        }}
      />
      <div role="status">{found !== undefined && <Verdict found={found} isOwn={isOwn} />}</div>
    </Section>
  );
}

function Verdict({ found, isOwn }: { readonly found: Explanation; readonly isOwn: boolean }): ReactElement {
  return (
    <div className="oa-verdict" data-allowed={found.isAllowed}>
      <p className="oa-strong">
        {isOwn ? "You" : found.user}: {found.isAllowed ? "allowed" : "denied"}
        {found.permission !== undefined && (
          <>
            {" "}
            <code>{found.permission}</code>
          </>
        )}
      </p>
      <p>
        <bdi dir="ltr">{found.reason}</bdi>
      </p>
      {found.alsoBy.length > 0 && <p>Also by: {found.alsoBy.map(inWords).join("; ")}.</p>}
      {!found.isActive && <p>The account is disabled: it may do nothing.</p>}
    </div>
  );
}

function inWords({ title, scope, through }: Grant): string {
  return `${title} at ${scope}${through === undefined ? "" : ` through ${through}`}`;
}
