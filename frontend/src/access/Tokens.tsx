import { type ReactElement, useState } from "react";

import { parseRoles, parseUsers, roleFields } from "./Bindings";
import { call } from "./api";
import { Confirm, Dialog, Secret } from "./Dialog";
import { type Field, Form } from "./Form";
import { listOf, type Role, type Token, token } from "./model";
import { Badge, Button, Section, Shown, Table, when } from "./parts";
import { useAsked } from "./useAsked";
import { record, text } from "../read";

const parseTokens = listOf("tokens", token);

type May = (permission: string) => boolean;

/** API tokens: one's own on 'My access', all of them on the tab 'Tokens'. */
export function Tokens({ may, isOwn }: { readonly may: May; readonly isOwn: boolean }): ReactElement {
  const tokens = useAsked(isOwn ? "/tokens" : "/tokens?all=true", parseTokens);
  const roles = useAsked(may("role.read") ? "/roles" : undefined, parseRoles);
  const users = useAsked(isOwn ? undefined : "/users", parseUsers);
  const [open, setOpen] = useState<"token" | "service account">();
  const [secret, setSecret] = useState<{ readonly name: string; readonly text: string }>();
  const [step, setStep] = useState<{ readonly kind: "rotate" | "revoke"; readonly token: Token }>();
  const services = (users.value ?? []).filter((each) => each.isService && each.isActive).map((each) => each.username);
  const shown = (answer: unknown, name: string): void => {
    const made = text(record(answer)["token"]);
    if (made !== undefined) setSecret({ name, text: made });
    tokens.reload();
  };
  const now = Date.now();
  const stateOf = (each: Token): ReactElement => {
    if (each.isRevoked) return <Badge kind="bad">revoked</Badge>;
    if (each.expiresAt !== undefined && each.expiresAt <= now) return <Badge kind="bad">over</Badge>;
    return <>{each.expiresAt === undefined ? "does not expire" : `until ${when(each.expiresAt, "")}`}</>;
  };
  const isOver = (each: Token): boolean => each.isRevoked || (each.expiresAt !== undefined && each.expiresAt <= now);
  return (
    <Section
      title={isOwn ? "My API tokens" : "API tokens"}
      count={tokens.value?.filter((each) => !isOver(each)).length}
      actions={
        <>
          {!isOwn && may("user.create") && <Button onClick={() => setOpen("service account")}>Create service account</Button>}
          <Button kind="main" onClick={() => setOpen("token")}>
            Create token
          </Button>
        </>
      }
    >
      <Shown asked={tokens}>
        {(all) => (
          <Table
            label="API tokens"
            headings={["Name", ...(isOwn ? [] : ["Owner"]), "Begins", "Limited to", "Last used", "Expires", "Actions"]}
            empty={isOwn ? "You have no API token. Programs use them to act as you." : "There is no API token yet."}
            rows={all.map((each) => ({
              key: each.id,
              isPale: isOver(each),
              cells: [
                <bdi dir="ltr" className="oa-strong">
                  {each.name}
                </bdi>,
                ...(isOwn ? [] : [<bdi dir="ltr">{each.owner}</bdi>]),
                <code>{each.prefix}…</code>,
                each.role === undefined ? "–" : <bdi dir="ltr">{`${each.role} at ${each.scope ?? "here"}`}</bdi>,
                when(each.lastUsedAt, "never"),
                stateOf(each),
                isOver(each) ? (
                  "–"
                ) : (
                  <div className="oa-buttons">
                    <Button label={`Rotate ${each.name}`} onClick={() => setStep({ kind: "rotate", token: each })}>
                      Rotate
                    </Button>
                    <Button label={`Revoke ${each.name}`} kind="danger" onClick={() => setStep({ kind: "revoke", token: each })}>
                      Revoke
                    </Button>
                  </div>
                ),
              ],
            }))}
          />
        )}
      </Shown>
      {open === "token" && (
        <Dialog title="Create a token" onClose={() => setOpen(undefined)}>
          <Form
            verb="Create"
            onCancel={() => setOpen(undefined)}
            fields={tokenFields(roles.value ?? [], isOwn ? undefined : services)}
            onSend={async (filled) => {
              const name = filled.text("name") ?? "";
              const days = filled.text("days");
              const role = filled.text("role");
              const made = await call("POST", "/tokens", {
                name,
                owner: filled.text("owner"),
                role,
                scope: role === undefined ? undefined : filled.text("scope"),
                days: days === undefined ? undefined : Number(days),
              });
              setOpen(undefined);
              shown(made, name);
            }}
          />
        </Dialog>
      )}
      {open === "service account" && (
        <Dialog title="Create a service account" onClose={() => setOpen(undefined)}>
          <Form
            verb="Create"
            onCancel={() => setOpen(undefined)}
            fields={[
              {
                name: "username",
                label: "Name",
                isRequired: true,
                hint: "It has no password. Give it a role on the tab People, and a token here.",
              },
            ]}
            onSend={async (filled) => {
              await call("POST", "/users", { username: filled.text("username"), is_service_account: true });
              users.reload();
              setOpen("token");
            }}
          />
        </Dialog>
      )}
      {secret !== undefined && (
        <Secret title={`Token ${secret.name}`} label="Text of the token" text={secret.text} onClose={() => setSecret(undefined)}>
          Copy it now: it is never shown again. Only a hash of it is kept.
        </Secret>
      )}
      {step?.kind === "rotate" && (
        <Confirm
          title={`Rotate: ${step.token.name}`}
          verb="Rotate"
          onClose={() => setStep(undefined)}
          onConfirm={async () => shown(await call("POST", `/tokens/${encodeURIComponent(step.token.id)}/rotate`), step.token.name)}
        >
          It gets another text, which is shown once. The present one stops working at once.
        </Confirm>
      )}
      {step?.kind === "revoke" && (
        <Confirm
          title={`Revoke: ${step.token.name}`}
          verb="Revoke"
          onClose={() => setStep(undefined)}
          onConfirm={async () => {
            await call("DELETE", `/tokens/${encodeURIComponent(step.token.id)}`);
            tokens.reload();
          }}
        >
          Whatever uses it stops working within two seconds. This cannot be undone.
        </Confirm>
      )}
    </Section>
  );
}

function tokenFields(roles: readonly Role[], services: readonly string[] | undefined): Field[] {
  return [
    { name: "name", label: "Name", isRequired: true, hint: "By which you will know it." },
    ...(services === undefined
      ? []
      : [
          {
            name: "owner",
            label: "Owner",
            kind: "select" as const,
            choices: [{ value: "", label: "Yourself" }, ...services.map((name) => ({ value: name, label: name }))],
            hint: "It may do what its owner may.",
          },
        ]),
    { name: "days", label: "Lives for days", kind: "number", value: "90", hint: "Empty: for ever." },
    ...(roles.length === 0
      ? [
          { name: "role", label: "Limited to role", hint: "The name of a role, or empty: all that its owner may." },
          { name: "scope", label: "Scope", hint: "Empty: here. Else KIND:NAME, such as dag:sales." },
        ]
      : roleFields(roles, "No limit: all that its owner may")),
  ];
}
