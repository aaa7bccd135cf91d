import { type ReactElement, useState } from "react";

import { parseRoles } from "./Bindings";
import { call, Problem } from "./api";
import { Confirm, Dialog } from "./Dialog";
import { Form } from "./Form";
import { listOf, type Permission, permission, type Role } from "./model";
import { Badge, Button, Section, Shown } from "./parts";
import { useAsked } from "./useAsked";

const parsePermissions = listOf("permissions", permission);

const KINDS: Record<string, string> = { dag: "Of a Dag", deployment: "Of the deployment", access: "Of access" };
/** What a custom role may hold of access (auth/roles.py says the same, and refuses the rest). */
const OF_ACCESS = new Set(["user.read", "team.read", "role.read", "binding.read"]);
const SCOPES = ["deployment", "dag", "dag_tag", "dag_bundle"];

/** The tab 'Roles': those that are built in, and one's own. */
export function Roles({ may }: { readonly may: (permission: string) => boolean }): ReactElement {
  const roles = useAsked("/roles", parseRoles);
  const permissions = useAsked("/permissions", parsePermissions);
  const [edited, setEdited] = useState<Role | "new">();
  const [removed, setRemoved] = useState<Role>();
  const known = permissions.value ?? [];
  return (
    <Section
      title="Roles"
      count={roles.value?.length}
      actions={
        may("role.update") && (
          <Button kind="main" onClick={() => setEdited("new")}>
            Create role
          </Button>
        )
      }
    >
      <Shown asked={roles}>
        {(all) => (
          <ul className="oa-roles">
            {all.map((each) => (
              <li key={each.name}>
                <details>
                  <summary>
                    <span className="oa-strong">{each.title}</span> <code>{each.name}</code>{" "}
                    {each.isCustom && <Badge kind="plain">custom</Badge>}{" "}
                    <span className="oa-soft">
                      at {each.scopes.join(", ")} · {each.isUnlimited ? "everything" : `${each.permissions.length} permissions`}
                    </span>
                  </summary>
                  <PermissionList names={each.permissions} known={known} />
                </details>
                {each.isCustom && (
                  <div className="oa-buttons">
                    {may("role.update") && (
                      <Button label={`Edit ${each.name}`} onClick={() => setEdited(each)}>
                        Edit
                      </Button>
                    )}
                    {may("role.delete") && (
                      <Button label={`Remove ${each.name}`} kind="danger" onClick={() => setRemoved(each)}>
                        Remove
                      </Button>
                    )}
                  </div>
                )}
              </li>
            ))}
          </ul>
        )}
      </Shown>
      {edited !== undefined && (
        <EditRole
          role={edited === "new" ? undefined : edited}
          taken={new Set((roles.value ?? []).map((each) => each.name))}
          known={known}
          onClose={() => setEdited(undefined)}
          onSaved={() => {
            setEdited(undefined);
            roles.reload();
          }}
        />
      )}
      {removed !== undefined && (
        <Confirm
          title={`Remove: ${removed.title}`}
          verb="Remove"
          onClose={() => setRemoved(undefined)}
          onConfirm={async () => {
            await call("DELETE", `/roles/${encodeURIComponent(removed.name)}`);
            roles.reload();
          }}
        >
          Whoever has it loses what it gives. Its bindings stay, and dangle.
        </Confirm>
      )}
    </Section>
  );
}

function EditRole(props: {
  readonly role: Role | undefined;
  readonly taken: ReadonlySet<string>;
  readonly known: readonly Permission[];
  readonly onClose: () => void;
  readonly onSaved: () => void;
}): ReactElement {
  const { role } = props;
  return (
    <Dialog title={role === undefined ? "Create a role" : `Edit ${role.title}`} onClose={props.onClose}>
      <Form
        verb="Save"
        onCancel={props.onClose}
        fields={[
          ...(role === undefined
            ? [{ name: "name", label: "Name", isRequired: true, hint: "Small letters, digits and hyphens." }]
            : []),
          { name: "title", label: "Title", isRequired: true, value: role?.title ?? "" },
          {
            name: "scopes",
            label: "Given at",
            kind: "checks" as const,
            choices: SCOPES.map((each) => ({ value: each, label: each })),
            values: role?.scopes ?? ["deployment"],
          },
          {
            name: "permissions",
            label: "Permissions",
            kind: "checks" as const,
            choices: props.known
              .filter((each) => each.of !== "access" || OF_ACCESS.has(each.name))
              .map((each) => ({
                value: each.name,
                label: `${each.name}: ${each.meaning}`,
                group: KINDS[each.of] ?? each.of,
              })),
            values: role?.permissions ?? [],
          },
        ]}
        onSend={async (filled) => {
          const name = role?.name ?? filled.text("name") ?? "";
          // Saving is the same request as creating: it must not change a role that was not opened.
          if (role === undefined && props.taken.has(name)) throw new Problem("refused", `There is a role '${name}' already.`);
          await call("PUT", `/roles/${encodeURIComponent(name)}`, {
            title: filled.text("title"),
            scopes: filled.texts("scopes"),
            permissions: filled.texts("permissions"),
          });
          props.onSaved();
        }}
      />
    </Dialog>
  );
}

export function PermissionList({
  names,
  known,
}: {
  readonly names: readonly string[];
  readonly known: readonly Permission[];
}): ReactElement {
  const meanings = new Map(known.map((each) => [each.name, each.meaning]));
  return (
    <ul className="oa-permissions">
      {names.map((name) => (
        <li key={name}>
          <code>{name}</code> <span className="oa-soft">{meanings.get(name)}</span>
        </li>
      ))}
    </ul>
  );
}
