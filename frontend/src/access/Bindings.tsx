import { type ReactElement, useState } from "react";

import { call } from "./api";
import { Confirm, Dialog } from "./Dialog";
import { type Choice, type Field, type Filled, Form } from "./Form";
import { account, type Binding, binding, listOf, role, type Role, team } from "./model";
import { Badge, Button, Section, Shown, Table } from "./parts";
import { type Asked, useAsked } from "./useAsked";

export const parseBindings = listOf("bindings", binding);
export const parseRoles = listOf("roles", role);
export const parseUsers = listOf("users", account);
export const parseTeams = listOf("teams", team);

const KINDS: Record<string, string> = {
  user: "user",
  service_account: "service account",
  team: "team",
  group: "group",
};

export function roleChoices(roles: readonly Role[]): Choice[] {
  return roles.map((each) => ({ value: each.name, label: each.title }));
}

const SCOPE_HINT = "Empty: here. Or KIND:NAME: dag:sales, dag_tag:finance.";

/** The fields that say which role, and where. Nothing is chosen beforehand: the first role is the mightiest. */
export function roleFields(roles: readonly Role[], none?: string): Field[] {
  return [
    {
      name: "role",
      label: "Role",
      kind: "select",
      isRequired: none === undefined,
      choices: [{ value: "", label: none ?? "Choose a role" }, ...roleChoices(roles)],
    },
    { name: "scope", label: "Scope", hint: SCOPE_HINT },
  ];
}

/** Gives a role to somebody: a user, a team or a group. */
export async function give(to: Record<string, string | undefined>, filled: Filled): Promise<void> {
  await call("POST", "/bindings", { ...to, role: filled.text("role"), scope: filled.text("scope") });
}

/** The tab 'Bindings': who has which role, where. */
export function Bindings({ may }: { readonly may: (permission: string) => boolean }): ReactElement {
  const bindings = useAsked("/bindings", parseBindings);
  const roles = useAsked("/roles", parseRoles);
  const [isGiving, setIsGiving] = useState(false);
  return (
    <Section
      title="Bindings"
      count={bindings.value?.length}
      actions={
        may("binding.create") && (
          <Button kind="main" onClick={() => setIsGiving(true)}>
            Give a role
          </Button>
        )
      }
    >
      <Shown asked={bindings}>
        {(all) => <BindingTable bindings={all} roles={roles.value ?? []} may={may} onChange={bindings.reload} />}
      </Shown>
      {isGiving && (
        <GiveDialog
          roles={roles}
          onClose={() => setIsGiving(false)}
          onGiven={() => {
            setIsGiving(false);
            bindings.reload();
          }}
        />
      )}
    </Section>
  );
}

function GiveDialog(props: {
  readonly roles: Asked<readonly Role[]>;
  readonly onClose: () => void;
  readonly onGiven: () => void;
}): ReactElement {
  return (
    <Dialog title="Give a role" onClose={props.onClose}>
      <Shown asked={props.roles}>
        {(roles) => (
          <Form
            verb="Give"
            onCancel={props.onClose}
            fields={[
              {
                name: "kind",
                label: "To a",
                kind: "select",
                choices: [
                  { value: "user", label: "User or service account" },
                  { value: "team", label: "Team" },
                  { value: "group", label: "Group of the identity provider" },
                ],
              },
              { name: "principal", label: "Name", isRequired: true },
              ...roleFields(roles),
            ]}
            onSend={async (filled) => {
              await give({ [filled.text("kind") ?? "user"]: filled.text("principal") }, filled);
              props.onGiven();
            }}
          />
        )}
      </Shown>
    </Dialog>
  );
}

export function BindingTable(props: {
  readonly bindings: readonly Binding[];
  readonly roles: readonly Role[];
  readonly may: (permission: string) => boolean;
  readonly onChange: () => void;
  /** Of one principal, who need not be named in each row. */
  readonly isOfOne?: boolean;
}): ReactElement {
  const [removed, setRemoved] = useState<Binding>();
  const titles = new Map(props.roles.map((each) => [each.name, each.title]));
  const mayTake = props.may("binding.delete");
  const who = props.isOfOne === true ? [] : ["Who"];
  return (
    <>
      <Table
        label="Bindings"
        headings={[...who, "Role", "Scope", ...(mayTake ? ["Actions"] : [])]}
        empty="No role is given."
        rows={props.bindings.map((each) => ({
          key: each.id,
          cells: [
            ...(props.isOfOne === true
              ? []
              : [
                  <>
                    <bdi dir="ltr">{each.principal}</bdi> <span className="oa-soft">{KINDS[each.kind] ?? each.kind}</span>
                  </>,
                ]),
            titles.get(each.role) ?? each.role,
            <>
              <bdi dir="ltr">{each.scope}</bdi> {each.isDangling && <Badge kind="bad">dangling</Badge>}
            </>,
            ...(mayTake
              ? [
                  <Button label={`Remove ${each.role} from ${each.principal}`} onClick={() => setRemoved(each)}>
                    Remove
                  </Button>,
                ]
              : []),
          ],
        }))}
      />
      {removed !== undefined && (
        <Confirm
          title="Remove a role"
          verb="Remove it"
          onClose={() => setRemoved(undefined)}
          onConfirm={async () => {
            await call("DELETE", `/bindings/${encodeURIComponent(removed.id)}`);
            props.onChange();
          }}
        >
          {`${removed.principal} loses ${titles.get(removed.role) ?? removed.role} at ${removed.scope}, within two seconds.`}
        </Confirm>
      )}
    </>
  );
}

/** The roles of one user or team, with a form that gives another. */
export function RolesOf(props: {
  readonly kind: "user" | "team";
  readonly name: string;
  readonly may: (permission: string) => boolean;
}): ReactElement {
  const bindings = useAsked("/bindings", parseBindings);
  const roles = useAsked("/roles", parseRoles);
  const mine = (each: Binding): boolean =>
    each.principal === props.name && (props.kind === "team" ? each.kind === "team" : each.kind !== "team" && each.kind !== "group");
  return (
    <section aria-label="Roles">
      <h3>Roles</h3>
      <Shown asked={bindings}>
        {(all) => (
          <BindingTable isOfOne bindings={all.filter(mine)} roles={roles.value ?? []} may={props.may} onChange={bindings.reload} />
        )}
      </Shown>
      {props.may("binding.create") && roles.value !== undefined && (
        <Form
          isInline
          verb="Give role"
          fields={roleFields(roles.value)}
          onSend={async (filled) => {
            await give({ [props.kind]: props.name }, filled);
            bindings.reload();
          }}
        />
      )}
    </section>
  );
}
