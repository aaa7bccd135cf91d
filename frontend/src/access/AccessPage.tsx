import { type ElementType, type KeyboardEvent, type ReactElement, useRef, useState } from "react";

import css from "./access.css?inline";
import { Audit } from "./Audit";
import { Bindings } from "./Bindings";
import { Explain } from "./Explain";
import { me } from "./model";
import { Banner, Shown } from "./parts";
import { People } from "./People";
import { Roles } from "./Roles";
import { Teams } from "./Teams";
import { Tokens } from "./Tokens";
import { useAsked } from "./useAsked";

type May = (permission: string) => boolean;

interface Tab {
  readonly name: string;
  readonly title: string;
  /** What it needs: the tab is there for those who have it. */
  readonly needs: string;
  readonly show: (may: May) => ReactElement;
}

const TABS: readonly Tab[] = [
  { name: "people", title: "People", needs: "user.read", show: (may) => <People may={may} /> },
  { name: "teams", title: "Teams", needs: "team.read", show: (may) => <Teams may={may} /> },
  { name: "bindings", title: "Bindings", needs: "binding.read", show: (may) => <Bindings may={may} /> },
  { name: "roles", title: "Roles", needs: "role.read", show: (may) => <Roles may={may} /> },
  { name: "tokens", title: "Tokens", needs: "token.read", show: (may) => <Tokens may={may} isOwn={false} /> },
  { name: "audit", title: "Audit", needs: "access_audit.read", show: () => <Audit /> },
  { name: "explain", title: "Effective access", needs: "binding.read", show: () => <Explain isOwn={false} /> },
];

/** The page 'Access'. Its words are English in every language; the layout turns round with the page's direction. */
export function AccessPage(): ReactElement {
  const mine = useAsked("/me", me);
  return (
    <article className="oa-page" lang="en">
      <style>{css}</style>
      <h1>Access</h1>
      <Shown asked={mine}>{(known) => <Tabs may={(permission) => known.permissions.has(permission)} />}</Shown>
    </article>
  );
}

function Tabs({ may }: { readonly may: May }): ReactElement {
  const tabs = TABS.filter((tab) => may(tab.needs));
  const [name, setName] = useState(() => location.hash.slice(1));
  const list = useRef<HTMLDivElement>(null);
  const chosen = tabs.find((tab) => tab.name === name) ?? tabs[0];
  if (chosen === undefined) {
    return (
      <>
        <Banner severity="info">Your roles show nothing of access here.</Banner>
        <p className="oa-empty">
          What you may do yourself, and your tokens: <Link path="/plugin/my-access">My access</Link>
        </p>
      </>
    );
  }
  const choose = (tab: Tab): void => {
    setName(tab.name);
    // Loading the page again, or sending its address, leads here. A fragment alone would be one of Airflow's first page.
    history.replaceState(history.state, "", `${location.pathname}${location.search}#${tab.name}`);
  };
  const turn = (event: KeyboardEvent): void => {
    const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1 };
    const at = tabs.indexOf(chosen);
    const wanted = { Home: 0, End: tabs.length - 1 }[event.key] ?? at + (steps[event.key] ?? 0);
    const tab = tabs[(wanted + tabs.length) % tabs.length];
    if (tab === undefined || tab === chosen) return;
    event.preventDefault();
    choose(tab);
    list.current?.querySelector<HTMLElement>(`#orrery-access-tab-${tab.name}`)?.focus();
  };
  return (
    <>
      <div className="oa-tabs" role="tablist" aria-label="Access" ref={list} onKeyDown={turn}>
        {tabs.map((tab) => (
          <button
            key={tab.name}
            type="button"
            role="tab"
            id={`orrery-access-tab-${tab.name}`}
            aria-selected={tab === chosen}
            aria-controls="orrery-access-panel"
            tabIndex={tab === chosen ? 0 : -1}
            onClick={() => choose(tab)}
          >
            {tab.title}
          </button>
        ))}
      </div>
      <div key={chosen.name} role="tabpanel" id="orrery-access-panel" aria-labelledby={`orrery-access-tab-${chosen.name}`}>
        {chosen.show(may)}
      </div>
    </>
  );
}

function Link({ path, children }: { readonly path: string; readonly children: string }): ReactElement {
  const Shared = (globalThis as { ReactRouterDOM?: { Link?: ElementType } }).ReactRouterDOM?.Link;
  return Shared === undefined ? (
    <a href={new URL(path.slice(1), document.baseURI).href}>{children}</a>
  ) : (
    <Shared to={path}>{children}</Shared>
  );
}
