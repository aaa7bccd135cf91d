import { type ReactElement, useState } from "react";

import css from "./access.css?inline";
import { call } from "./api";
import { Confirm } from "./Dialog";
import { Explain } from "./Explain";
import { Form } from "./Form";
import { type Me, me } from "./model";
import { Button, Section, Shown, Table } from "./parts";
import { PermissionList } from "./Roles";
import { Tokens } from "./Tokens";
import { useAsked } from "./useAsked";

/** The page 'My access': what one may and by what, one's tokens, signing out everywhere. */
export function MyAccessPage(): ReactElement {
  const mine = useAsked("/me", me);
  return (
    <article className="oa-page" lang="en">
      <style>{css}</style>
      <h1>My access</h1>
      <Shown asked={mine}>{(known) => <Mine known={known} />}</Shown>
    </article>
  );
}

/** Airflow asks to sign in where nobody is. */
function toSignIn(): void {
  location.assign(document.baseURI);
}

function Mine({ known }: { readonly known: Me }): ReactElement {
  const [isLeaving, setIsLeaving] = useState(false);
  return (
    <>
      <p className="oa-who">
        <bdi dir="ltr" className="oa-strong">
          {known.username}
        </bdi>{" "}
        <span className="oa-soft">{[known.fullName, known.email].filter((each) => each !== known.username).join(" · ")}</span>{" "}
        {known.teams.length > 0 && <span className="oa-soft">{`in ${known.teams.join(", ")}`}</span>}
      </p>
      <Section title="My roles" count={known.bindings.length}>
        <Table
          label="My roles"
          headings={["Role", "Scope", "Comes from"]}
          empty="You have no role yet. Ask an owner of this organization for one."
          rows={known.bindings.map((each, index) => ({
            key: String(index),
            cells: [
              <span className="oa-strong">{each.title}</span>,
              <bdi dir="ltr">{each.scope}</bdi>,
              each.through ?? "given to you",
            ],
          }))}
        />
        <details>
          <summary>{`What I may everywhere here (${known.permissions.size})`}</summary>
          <PermissionList names={[...known.permissions]} known={[]} />
        </details>
        {known.onSomeDags.length > 0 && (
          <details>
            <summary>{`What I may on some Dags (${known.onSomeDags.length})`}</summary>
            <PermissionList names={known.onSomeDags} known={[]} />
          </details>
        )}
      </Section>
      <Explain isOwn />
      <Tokens isOwn may={(permission) => known.permissions.has(permission)} />
      <Section title="Sessions" actions={<Button kind="danger" onClick={() => setIsLeaving(true)}>Sign out everywhere</Button>}>
        {known.hasPassword && (
          <Form
            isInline
            verb="Change password"
            fields={[
              { name: "current", label: "Present password", kind: "password", isRequired: true },
              { name: "password", label: "New password", kind: "password", isRequired: true, hint: "12 characters or more. Signs you out everywhere." },
            ]}
            onSend={async (filled) => {
              await call("PUT", "/me/password", { current: filled.text("current"), password: filled.text("password") });
              toSignIn();
            }}
          />
        )}
      </Section>
      {isLeaving && (
        <Confirm
          title="Sign out everywhere"
          verb="Sign out"
          onClose={() => setIsLeaving(false)}
          onConfirm={async () => {
            await call("POST", "/me/sign-out");
            toSignIn();
          }}
        >
          All your sessions and access tokens end, this one too. API tokens stay.
        </Confirm>
      )}
    </>
  );
}
