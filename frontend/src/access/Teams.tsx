import { type ReactElement, useState } from "react";

import { parseTeams, parseUsers, RolesOf } from "./Bindings";
import { call } from "./api";
import { Confirm, Dialog } from "./Dialog";
import { type Field, Form } from "./Form";
import type { Account, Team } from "./model";
import { Button, Section, Shown, Table } from "./parts";
import { useAsked } from "./useAsked";

type May = (permission: string) => boolean;

/** The tab 'Teams'. */
export function Teams({ may }: { readonly may: May }): ReactElement {
  const teams = useAsked("/teams", parseTeams);
  const users = useAsked(may("user.read") ? "/users" : undefined, parseUsers);
  const [isCreating, setIsCreating] = useState(false);
  const [managed, setManaged] = useState<string>();
  const mayManage = may("team.update") || may("team.delete") || may("binding.create");
  return (
    <Section
      title="Teams"
      count={teams.value?.length}
      actions={
        may("team.create") && (
          <Button kind="main" onClick={() => setIsCreating(true)}>
            Create team
          </Button>
        )
      }
    >
      <Shown asked={teams}>
        {(all) => (
          <>
            <Table
              label="Teams"
              headings={["Team", "Members", "Groups", ...(mayManage ? ["Actions"] : [])]}
              empty="There is no team yet. Roles that are given to a team reach all its members."
              rows={all.map((each) => ({
                key: each.name,
                cells: [
                  <>
                    <bdi dir="ltr" className="oa-strong">
                      {each.name}
                    </bdi>{" "}
                    <span className="oa-soft">{each.description}</span>
                  </>,
                  each.members.join(", ") || "–",
                  each.groups.join(", ") || "–",
                  ...(mayManage
                    ? [
                        <Button label={`Manage ${each.name}`} onClick={() => setManaged(each.name)}>
                          Manage
                        </Button>,
                      ]
                    : []),
                ],
              }))}
            />
            {all
              .filter((each) => each.name === managed)
              .map((each) => (
                <ManageTeam
                  key={each.name}
                  team={each}
                  users={users.value ?? []}
                  may={may}
                  onChange={teams.reload}
                  onClose={() => setManaged(undefined)}
                />
              ))}
          </>
        )}
      </Shown>
      {isCreating && (
        <Dialog title="Create a team" onClose={() => setIsCreating(false)}>
          <Form
            verb="Create"
            onCancel={() => setIsCreating(false)}
            fields={[
              { name: "name", label: "Name", isRequired: true },
              { name: "description", label: "Description" },
              ...memberFields(users.value ?? [], undefined),
            ]}
            onSend={async (filled) => {
              await call("POST", "/teams", {
                name: filled.text("name"),
                description: filled.text("description") ?? "",
                members: filled.texts("members"),
                groups: filled.texts("groups"),
              });
              setIsCreating(false);
              setManaged(filled.text("name"));
              teams.reload();
            }}
          />
        </Dialog>
      )}
    </Section>
  );
}

function memberFields(users: readonly Account[], team: Team | undefined): Field[] {
  return [
    {
      name: "members",
      label: "Members",
      kind: "checks",
      choices: users.map((each) => ({ value: each.username, label: each.username })),
      values: team?.members ?? [],
    },
    {
      name: "groups",
      label: "Groups of the identity provider",
      kind: "lines",
      hint: "One a line: whoever is in one of them is in the team.",
      values: team?.groups ?? [],
    },
  ];
}

function ManageTeam(props: {
  readonly team: Team;
  readonly users: readonly Account[];
  readonly may: May;
  readonly onChange: () => void;
  readonly onClose: () => void;
}): ReactElement {
  const { team, may } = props;
  const [isRemoving, setIsRemoving] = useState(false);
  const [said, setSaid] = useState("");
  const path = `/teams/${encodeURIComponent(team.name)}`;
  return (
    <Dialog title={team.name} onClose={props.onClose}>
      {may("binding.read") && <RolesOf kind="team" name={team.name} may={may} />}
      {may("team.update") && (
        <section aria-label="Who is in it">
          <h3>Who is in it</h3>
          <Form
            verb="Save"
            fields={memberFields(props.users, team)}
            onSend={async (filled) => {
              await call("PATCH", path, { members: filled.texts("members"), groups: filled.texts("groups") });
              setSaid("Saved.");
              props.onChange();
            }}
          />
        </section>
      )}
      <p className="oa-hint" role="status">
        {said}
      </p>
      {may("team.delete") && (
        <div className="oa-buttons">
          <Button kind="danger" onClick={() => setIsRemoving(true)}>
            Remove team
          </Button>
        </div>
      )}
      {isRemoving && (
        <Confirm
          title={`Remove: ${team.name}`}
          verb="Remove"
          onClose={() => setIsRemoving(false)}
          onConfirm={async () => {
            await call("DELETE", path);
            props.onClose();
            props.onChange();
          }}
        >
          Its members lose the roles that they have through it. This cannot be undone.
        </Confirm>
      )}
    </Dialog>
  );
}
