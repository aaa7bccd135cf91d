import { type ReactElement, useState } from "react";

import { parseBindings, parseRoles, parseUsers, roleFields, RolesOf } from "./Bindings";
import { call } from "./api";
import { Confirm, Dialog, Secret } from "./Dialog";
import { Form } from "./Form";
import { type Account, type Invitation, invitation, listOf, type Role } from "./model";
import { Badge, Button, Section, Shown, Table, when } from "./parts";
import { useAsked } from "./useAsked";
import { record, text } from "../read";

const parseInvitations = listOf("invitations", invitation);

type May = (permission: string) => boolean;

/** The tab 'People': who there is, and who is invited. */
export function People({ may }: { readonly may: May }): ReactElement {
  const users = useAsked("/users", parseUsers);
  const bindings = useAsked(may("binding.read") ? "/bindings" : undefined, parseBindings);
  const roles = useAsked("/roles", parseRoles);
  const invitations = useAsked(may("user.create") ? "/invitations" : undefined, parseInvitations);
  const [open, setOpen] = useState<"create" | "invite">();
  const [managed, setManaged] = useState<string>();
  const [link, setLink] = useState<{ readonly email: string; readonly address: string }>();
  const titles = new Map((roles.value ?? []).map((each) => [each.name, each.title]));
  const rolesOf = (each: Account): string =>
    (bindings.value ?? [])
      .filter((one) => one.principal === each.username && one.kind !== "team" && one.kind !== "group")
      .map((one) => titles.get(one.role) ?? one.role)
      .join(", ");
  const isManaged = (each: Account): boolean => each.username === managed;
  const mayManage = may("user.update") || may("user.delete") || may("binding.create");
  const changed = (): void => {
    users.reload();
    bindings.reload();
  };
  return (
    <>
      <Section
        title="People"
        count={users.value?.length}
        actions={
          may("user.create") && (
            <>
              <Button onClick={() => setOpen("create")}>Create user</Button>
              <Button kind="main" onClick={() => setOpen("invite")}>
                Invite
              </Button>
            </>
          )
        }
      >
        <Shown asked={users}>
          {(all) => (
            <>
              <Table
                label="People"
                headings={[
                  "Name",
                  "E-mail",
                  "Teams",
                  ...(may("binding.read") ? ["Roles"] : []),
                  "State",
                  ...(mayManage ? ["Actions"] : []),
                ]}
                empty="Nobody is here yet."
                rows={all.map((each) => ({
                  key: each.username,
                  isPale: !each.isActive,
                  cells: [
                    <>
                      <bdi dir="ltr" className="oa-strong">
                        {each.username}
                      </bdi>{" "}
                      {each.fullName !== each.username && <span className="oa-soft">{each.fullName}</span>}{" "}
                      {each.isService && <Badge kind="plain">service account</Badge>}
                    </>,
                    <bdi dir="ltr">{each.email ?? "–"}</bdi>,
                    each.teams.join(", ") || "–",
                    ...(may("binding.read") ? [rolesOf(each) || "–"] : []),
                    each.isActive ? <Badge kind="good">active</Badge> : <Badge kind="bad">disabled</Badge>,
                    ...(mayManage
                      ? [
                          <Button label={`Manage ${each.username}`} onClick={() => setManaged(each.username)}>
                            Manage
                          </Button>,
                        ]
                      : []),
                  ],
                }))}
              />
              {all.filter(isManaged).map((each) => (
                <Person
                  key={each.username}
                  person={each}
                  may={may}
                  onChange={changed}
                  onClose={() => {
                    setManaged(undefined);
                    changed();
                  }}
                />
              ))}
            </>
          )}
        </Shown>
      </Section>
      {may("user.create") && (
        <Section title="Invitations" count={invitations.value?.filter((each) => each.acceptedAt === undefined).length}>
          <Shown asked={invitations}>{(all) => <Invitations all={all} onChange={invitations.reload} />}</Shown>
        </Section>
      )}
      {open === "create" && (
        <CreateUser
          onClose={() => setOpen(undefined)}
          onDone={(name) => {
            setOpen(undefined);
            setManaged(name);
            users.reload();
          }}
        />
      )}
      {open === "invite" && (
        <Invite
          roles={roles.value ?? []}
          onClose={() => setOpen(undefined)}
          onDone={(made) => {
            setOpen(undefined);
            setLink(made);
            invitations.reload();
          }}
        />
      )}
      {link !== undefined && (
        <Secret
          title={`Invitation for ${link.email}`}
          label="Link of the invitation"
          text={link.address}
          onClose={() => setLink(undefined)}
        >
          Send this link to them. It is shown now and never again, works once, and for seven days.
        </Secret>
      )}
    </>
  );
}

function CreateUser(props: { readonly onClose: () => void; readonly onDone: (name: string | undefined) => void }): ReactElement {
  return (
    <Dialog title="Create a user" onClose={props.onClose}>
      <Form
        verb="Create"
        onCancel={props.onClose}
        fields={[
          { name: "username", label: "User name", isRequired: true, hint: "Small letters, digits and . _ @ + -" },
          { name: "email", label: "E-mail", kind: "email" },
          { name: "full_name", label: "Full name" },
          {
            name: "password",
            label: "Password",
            kind: "password",
            hint: "12 characters or more. Empty: they cannot sign in by password; inviting people is better.",
          },
        ]}
        onSend={async (filled) => {
          const made = await call("POST", "/users", {
            username: filled.text("username"),
            email: filled.text("email"),
            full_name: filled.text("full_name"),
            password: filled.text("password"),
          });
          props.onDone(text(record(made)["username"]));
        }}
      />
    </Dialog>
  );
}

function Invite(props: {
  readonly roles: readonly Role[];
  readonly onClose: () => void;
  readonly onDone: (made: { readonly email: string; readonly address: string }) => void;
}): ReactElement {
  return (
    <Dialog title="Invite somebody" onClose={props.onClose}>
      <Form
        verb="Invite"
        onCancel={props.onClose}
        fields={[
          { name: "email", label: "E-mail", kind: "email", isRequired: true },
          ...roleFields(props.roles, "No role yet"),
        ]}
        onSend={async (filled) => {
          const role = filled.text("role");
          const made = record(
            await call("POST", "/invitations", {
              email: filled.text("email"),
              role,
              scope: role === undefined ? undefined : filled.text("scope"),
            }),
          );
          // In the fragment, which browsers send to nobody: it gets into no log.
          const address = new URL("auth/invitation", document.baseURI);
          address.hash = text(made["secret"]) ?? "";
          props.onDone({ email: text(made["email"]) ?? "", address: address.href });
        }}
      />
    </Dialog>
  );
}

function Invitations({ all, onChange }: { readonly all: readonly Invitation[]; readonly onChange: () => void }): ReactElement {
  const [withdrawn, setWithdrawn] = useState<Invitation>();
  const now = Date.now();
  const stateOf = (each: Invitation): ReactElement => {
    if (each.acceptedAt !== undefined) return <Badge kind="good">accepted</Badge>;
    if (each.expiresAt !== undefined && each.expiresAt < now) return <Badge kind="bad">over</Badge>;
    return <>{`until ${when(each.expiresAt, "")}`}</>;
  };
  return (
    <>
      <Table
        label="Invitations"
        headings={["E-mail", "Role", "Invited by", "State", "Actions"]}
        empty="Nobody is invited."
        rows={all.map((each) => ({
          key: each.id,
          isPale: each.acceptedAt !== undefined,
          cells: [
            <bdi dir="ltr">{each.email}</bdi>,
            each.role ?? "–",
            <bdi dir="ltr">{each.by}</bdi>,
            stateOf(each),
            each.acceptedAt === undefined ? (
              <Button label={`Withdraw the invitation of ${each.email}`} onClick={() => setWithdrawn(each)}>
                Withdraw
              </Button>
            ) : (
              "–"
            ),
          ],
        }))}
      />
      {withdrawn !== undefined && (
        <Confirm
          title="Withdraw an invitation"
          verb="Withdraw it"
          onClose={() => setWithdrawn(undefined)}
          onConfirm={async () => {
            await call("DELETE", `/invitations/${encodeURIComponent(withdrawn.id)}`);
            onChange();
          }}
        >
          {`The link that ${withdrawn.email} was sent stops working.`}
        </Confirm>
      )}
    </>
  );
}

type Step = "disable" | "sign-out" | "remove";

const ASKS: Record<Step, readonly [title: string, verb: string, says: string]> = {
  disable: ["Disable", "Disable", "They are signed out everywhere, at once, and their tokens stop working. You can enable them again."],
  "sign-out": ["Sign out everywhere", "Sign out", "All their sessions and access tokens end. API tokens stay."],
  remove: ["Remove", "Remove", "Their bindings and tokens go too; the audit stays. This cannot be undone."],
};

function Person(props: {
  readonly person: Account;
  readonly may: May;
  readonly onChange: () => void;
  readonly onClose: () => void;
}): ReactElement {
  const { person, may } = props;
  const [step, setStep] = useState<Step>();
  const [said, setSaid] = useState("");
  const path = `/users/${encodeURIComponent(person.username)}`;
  const act: Record<Step, () => Promise<void>> = {
    disable: async () => {
      await call("PATCH", path, { is_active: false });
      props.onChange();
    },
    "sign-out": async () => {
      await call("POST", `${path}/sign-out`);
      setSaid("Signed out everywhere.");
    },
    remove: async () => {
      await call("DELETE", path);
      props.onClose();
    },
  };
  return (
    <Dialog title={person.username} onClose={props.onClose}>
      {may("binding.read") && <RolesOf kind="user" name={person.username} may={may} />}
      {may("user.update") && (
        <section aria-label="Account">
          <h3>Account</h3>
          <Form
            verb="Save"
            isInline
            fields={[
              { name: "full_name", label: "Full name", value: person.fullName ?? "" },
              { name: "email", label: "E-mail", kind: "email", value: person.email ?? "" },
            ]}
            onSend={async (filled) => {
              await call("PATCH", path, { full_name: filled.text("full_name"), email: filled.text("email") });
              setSaid("Saved.");
              props.onChange();
            }}
          />
          {!person.isService && (
            <Form
              verb="Set password"
              isInline
              fields={[{ name: "password", label: "New password", kind: "password", isRequired: true, hint: "Signs them out everywhere." }]}
              onSend={async (filled) => {
                await call("PUT", `${path}/password`, { password: filled.text("password") });
                setSaid("The password is set.");
              }}
            />
          )}
          {person.isActive ? null : (
            <Form
              verb="Enable"
              fields={[]}
              onSend={async () => {
                await call("PATCH", path, { is_active: true });
                props.onChange();
              }}
            />
          )}
        </section>
      )}
      <p className="oa-hint" role="status">
        {said}
      </p>
      <div className="oa-buttons">
        {may("user.update") && person.isActive && (
          <>
            <Button onClick={() => setStep("sign-out")}>Sign out everywhere</Button>
            <Button kind="danger" onClick={() => setStep("disable")}>
              Disable
            </Button>
          </>
        )}
        {may("user.delete") && (
          <Button kind="danger" onClick={() => setStep("remove")}>
            Remove
          </Button>
        )}
      </div>
      {step !== undefined && (
        <Confirm
          title={`${ASKS[step][0]}: ${person.username}`}
          verb={ASKS[step][1]}
          onClose={() => setStep(undefined)}
          onConfirm={act[step]}
        >
          {ASKS[step][2]}
        </Confirm>
      )}
    </Dialog>
  );
}
