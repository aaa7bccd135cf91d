import { type ReactElement, useEffect, useState } from "react";

import { addressOf, call, wordsOf } from "./api";
import { Form } from "./Form";
import { type AuditEvent, auditPage } from "./model";
import { Banner, Button, Section, Table, when } from "./parts";

const PAGE = 50;
const KINDS = ["sign-in", "sign-out", "user", "team", "role", "binding", "token", "invitation", "denied"];

interface Filter {
  readonly event: string | undefined;
  readonly actor: string | undefined;
}

/** The tab 'Audit': events, the newest first. */
export function Audit(): ReactElement {
  const [filter, setFilter] = useState<Filter>({ event: undefined, actor: undefined });
  const [events, setEvents] = useState<readonly AuditEvent[]>();
  const [next, setNext] = useState<number>();
  const [problem, setProblem] = useState<string>();

  const ask = async (before: number | undefined): Promise<void> => {
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (filter.event !== undefined) query.set("event", filter.event);
    if (filter.actor !== undefined) query.set("actor", filter.actor);
    if (before !== undefined) query.set("before", String(before));
    try {
      const page = auditPage(await call("GET", `/audit?${query.toString()}`));
      setEvents((last) => (before === undefined ? page.events : [...(last ?? []), ...page.events]));
      setNext(page.next);
      setProblem(undefined);
    } catch (caught) {
      setProblem(wordsOf(caught));
    }
  };
  useEffect(() => void ask(undefined), [filter]);

  return (
    <Section
      title="Audit"
      actions={
        <a className="oa-button" href={addressOf("/audit/export").href} download="access-audit.jsonl">
          Export as JSON lines
        </a>
      }
    >
      <Form
        isInline
        verb="Filter"
        fields={[
          {
            name: "event",
            label: "Event begins with",
            kind: "suggest",
            choices: KINDS.map((each) => ({ value: each, label: each })),
          },
          { name: "actor", label: "Done by" },
        ]}
        onSend={async (filled) => setFilter({ event: filled.text("event"), actor: filled.text("actor") })}
      />
      {problem !== undefined && <Banner severity="error">{problem}</Banner>}
      {events === undefined ? (
        problem === undefined && (
          <p className="oa-loading" aria-busy="true">
            Loading
          </p>
        )
      ) : (
        <Table
          label="Audit"
          isPaged
          headings={["At", "Event", "By", "Whom", "From", "Details"]}
          empty="Nothing of that kind has happened."
          rows={events.map((each) => ({
            key: String(each.id),
            cells: [
              when(each.at, ""),
              <code>{each.event}</code>,
              <bdi dir="ltr">{each.actor ?? "–"}</bdi>,
              <bdi dir="ltr">{each.subject ?? "–"}</bdi>,
              <bdi dir="ltr">{each.address ?? "–"}</bdi>,
              <bdi dir="ltr" className="oa-soft">
                {each.detail}
              </bdi>,
            ],
          }))}
        />
      )}
      {next !== undefined && (
        <p className="oa-more">
          <Button onClick={() => void ask(next)}>Older</Button>
        </p>
      )}
    </Section>
  );
}
