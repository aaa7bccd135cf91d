import { act, type ReactElement } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { AccessPage } from "./AccessPage";
import { MyAccessPage } from "./MyAccessPage";

const EVERYTHING = [
  ...["user", "team", "role", "binding", "token"].flatMap((name) =>
    ["read", "create", "update", "delete"].map((verb) => `${name}.${verb}`),
  ),
  "access_audit.read",
];
const ADA = { username: "ada", email: "ada@example.org", full_name: "Ada", is_active: true, has_password: true, teams: ["data"] };
const BINDING = { id: "b1", principal_kind: "user", principal: "ada", role: "workspace-member", scope: "workspace:default" };
const ROLE = { name: "workspace-member", title: "Workspace Member", scopes: ["workspace"], permissions: ["dag.read"] };
const TOKEN = { id: "t1", name: "laptop", owner: "ada", prefix: "orrery_pat_abcdef", is_revoked: false };

type Answer = readonly [status: number, value: unknown];

let root: Root;
let page: HTMLElement;
/** What was asked, as `POST /users {...}`. */
let asked: string[];
let answers: Record<string, Answer>;

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  asked = [];
  answers = {
    "GET /me": [200, { ...ADA, bindings: [], permissions: EVERYTHING }],
    "GET /users": [200, { users: [ADA] }],
    "GET /teams": [200, { teams: [] }],
    "GET /roles": [200, { roles: [ROLE] }],
    "GET /permissions": [200, { permissions: [] }],
    "GET /bindings": [200, { bindings: [BINDING] }],
    "GET /invitations": [200, { invitations: [] }],
    "GET /tokens": [200, { tokens: [TOKEN] }],
    "GET /tokens?all=true": [200, { tokens: [TOKEN] }],
  };
  vi.stubGlobal(
    "fetch",
    vi.fn(async (address: URL, options: RequestInit) => {
      const path = `${address.pathname.replace(/^.*\/v1\/access/, "")}${address.search}`;
      const name = `${options.method} ${path}`;
      asked.push(options.body === undefined ? name : `${name} ${String(options.body)}`);
      const [status, value] = answers[name] ?? [404, { detail: `not stubbed: ${name}` }];
      return new Response(status === 204 ? null : JSON.stringify(value), { status });
    }),
  );
  history.replaceState(null, "", "/");
  page = document.body.appendChild(document.createElement("main"));
  root = createRoot(page, { onCaughtError: () => {} });
});

afterEach(async () => {
  await act(async () => root.unmount());
  page.remove();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await act(async () => new Promise((done) => setTimeout(done, 0)));
}

async function show(element: ReactElement): Promise<void> {
  await act(async () => root.render(element));
  await settle();
}

function button(words: string): HTMLButtonElement {
  const all = [...page.querySelectorAll("button")].filter(
    (each) => each.textContent === words || each.getAttribute("aria-label") === words,
  );
  expect(all.length, words).toBeGreaterThan(0);
  return all.at(-1)!; // that of the dialog on top
}

async function press(words: string): Promise<void> {
  await act(async () => button(words).click());
  await settle();
}

async function tab(words: string): Promise<void> {
  const found = [...page.querySelectorAll<HTMLElement>("[role=tab]")].find((each) => each.textContent === words);
  await act(async () => found!.click());
  await settle();
}

async function fill(name: string, value: string): Promise<void> {
  const field = page.querySelector<HTMLInputElement>(`dialog [name=${name}]`)!;
  await act(async () => {
    field.value = value;
  });
}

async function send(): Promise<void> {
  await act(async () => {
    page.querySelector("dialog form")!.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
  });
  await settle();
}

const tabs = (): (string | null)[] => [...page.querySelectorAll("[role=tab]")].map((each) => each.textContent);
const alerts = (): (string | null)[] => [...page.querySelectorAll("[role=alert]")].map((each) => each.textContent);
const writes = (): string[] => asked.filter((each) => !each.startsWith("GET"));

describe("the page 'Access'", () => {
  it("has a tab for each thing that one may see", async () => {
    await show(<AccessPage />);

    expect(tabs()).toEqual(["People", "Teams", "Bindings", "Roles", "Tokens", "Audit", "Effective access"]);
  });

  it.each([
    [["user.read", "team.read", "role.read"], ["People", "Teams", "Roles"]],
    [["binding.read"], ["Bindings", "Effective access"]],
    [[], []],
  ])("shows who may %j the tabs %j", async (permissions, wanted) => {
    answers["GET /me"] = [200, { ...ADA, permissions }];

    await show(<AccessPage />);

    expect(tabs()).toEqual(wanted);
    if (wanted.length === 0) expect(page.textContent).toContain("show nothing of access");
  });

  it("asks for nothing, and offers nothing, that one may not", async () => {
    answers["GET /me"] = [200, { ...ADA, permissions: ["user.read", "role.read"] }];

    await show(<AccessPage />);

    expect(asked).toEqual(["GET /me", "GET /users", "GET /roles"]);
    expect([...page.querySelectorAll("[role=tabpanel] button")]).toEqual([]);
    expect(page.querySelector("table")?.textContent).toContain("ada@example.org");
  });

  it("shows the first hundred of many, and all when asked", async () => {
    answers["GET /users"] = [200, { users: Array.from({ length: 250 }, (_, number) => ({ username: `u${number}` })) }];
    await show(<AccessPage />);
    const rows = (): number => page.querySelectorAll("table[aria-label=People] tbody tr").length;
    expect(rows()).toBe(100);

    await press("Show all 250");

    expect(rows()).toBe(250);
  });

  it("shows nothing, and breaks nothing, of what it does not understand", async () => {
    answers["GET /users"] = [200, { users: [null, 7, { email: 3 }, { username: " " }] }];

    await show(<AccessPage />);

    expect(page.textContent).toContain("Nobody is here yet.");
  });

  it.each([
    [401, {}, "signed out"],
    [500, "oops", "does not answer"],
    [409, { detail: "This deployment uses another auth manager." }, "another auth manager"],
  ])("says why there is nothing when the server answers %d, and asks again", async (status, value, words) => {
    const right = answers["GET /me"]!;
    answers["GET /me"] = [status, value];
    await show(<AccessPage />);
    expect(alerts()[0]).toContain(words);

    answers["GET /me"] = right;
    await press("Try again");

    expect(tabs()).toHaveLength(7);
    expect(alerts()).toEqual([]);
  });
});

describe("writing", () => {
  it("sends what was filled in, and leaves out what was not", async () => {
    answers["POST /users"] = [201, { username: "bob" }];
    await show(<AccessPage />);
    await press("Create user");
    await fill("username", "bob");

    await send();

    expect(writes()).toEqual(['POST /users {"username":"bob"}']);
  });

  it("tells what the server refuses in the form, which stays as it was", async () => {
    answers["POST /users"] = [409, { detail: "There is a user 'ada' already." }];
    await show(<AccessPage />);
    await press("Create user");
    await fill("username", "ada");

    await send();

    expect(page.querySelector("dialog [role=alert]")?.textContent).toBe("There is a user 'ada' already.");
    expect(page.querySelector<HTMLInputElement>("dialog [name=username]")?.value).toBe("ada");
  });

  it("tells what is wrong with a field next to it", async () => {
    answers["POST /users"] = [422, { detail: [{ loc: ["body", "email"], msg: "is no address" }] }];
    await show(<AccessPage />);
    await press("Create user");

    await send();

    const field = page.querySelector("dialog [name=email]")!;
    expect(field.getAttribute("aria-invalid")).toBe("true");
    const told = field.getAttribute("aria-describedby")!.split(" ").map((id) => document.getElementById(id)?.textContent);
    expect(told).toEqual(["is no address"]);
    expect(alerts()).toEqual(["is no address"]);
  });

  it("asks before it takes a role, and does nothing when one cancels", async () => {
    answers["DELETE /bindings/b1"] = [204, null];
    await show(<AccessPage />);
    await tab("Bindings");
    await press("Remove workspace-member from ada");
    expect(page.querySelector("dialog")?.textContent).toContain("ada loses Workspace Member at workspace:default");

    await press("Cancel");
    expect(writes()).toEqual([]);
    await press("Remove workspace-member from ada");
    await press("Remove it");

    expect(writes()).toEqual(["DELETE /bindings/b1"]);
    expect(page.querySelector("dialog")).toBeNull();
  });

  it("keeps the question open, with the reason, when it is refused", async () => {
    answers["DELETE /bindings/b1"] = [409, { detail: "The organization would be left without an owner." }];
    await show(<AccessPage />);
    await tab("Bindings");
    await press("Remove workspace-member from ada");

    await press("Remove it");

    expect(page.querySelector("dialog [role=alert]")?.textContent).toContain("without an owner");
  });

  it("chooses no role by itself", async () => {
    await show(<AccessPage />);
    await tab("Bindings");
    await press("Give a role");

    const role = page.querySelector<HTMLSelectElement>("dialog [name=role]")!;
    expect([role.value, role.required]).toEqual(["", true]);
  });

  it("does not change a role that there is by creating one of its name", async () => {
    await show(<AccessPage />);
    await tab("Roles");
    await press("Create role");
    await fill("name", "workspace-member");

    await send();

    expect(writes()).toEqual([]);
    expect(alerts()[0]).toContain("already");
  });

  it("puts the secret of an invitation into the fragment of its link", async () => {
    answers["POST /invitations"] = [201, { id: "i", email: "bob@example.org", secret: "orrery_inv_x" }];
    await show(<AccessPage />);
    await press("Invite");
    await fill("email", "bob@example.org");

    await send();

    const link = new URL(page.querySelector<HTMLInputElement>("dialog input[readonly]")!.value);
    expect([link.pathname, link.search, link.hash]).toEqual(["/auth/invitation", "", "#orrery_inv_x"]);
  });
});

describe("the audit", () => {
  it("is filtered, and goes on where the last page ended", async () => {
    const event = (id: number) => ({ id, event: "binding.created", actor: "ada", detail: { role: "owner" } });
    answers["GET /audit?limit=50"] = [200, { events: [event(9)], next: 9 }];
    answers["GET /audit?limit=50&before=9"] = [200, { events: [event(8)], next: null }];
    await show(<AccessPage />);
    await tab("Audit");

    await press("Older");

    const rows = [...page.querySelectorAll("tbody tr")].map((each) => each.textContent);
    expect(rows).toHaveLength(2);
    expect(rows[0]).toContain("role: owner");
    expect(page.textContent).not.toContain("Older");
  });
});

describe("the page 'My access'", () => {
  it("says which roles one has and where they come from", async () => {
    const bindings = [
      { role: "a", title: "Workspace Member", scope: "workspace:default", through: "team data" },
      { role: "b", title: "Dag Viewer", scope: "dag:sales", through: null },
    ];
    answers["GET /me"] = [200, { ...ADA, bindings, permissions: ["dag.read"] }];

    await show(<MyAccessPage />);

    const rows = [...page.querySelectorAll("table[aria-label='My roles'] tbody tr")].map((each) => each.textContent);
    expect(rows).toEqual(["Workspace Memberworkspace:defaultteam data", "Dag Viewerdag:salesgiven to you"]);
  });

  it("tells who has no role what to do", async () => {
    answers["GET /me"] = [200, { ...ADA, bindings: [], permissions: [] }];

    await show(<MyAccessPage />);

    expect(page.textContent).toContain("You have no role yet");
  });

  it("shows the text of a token once", async () => {
    answers["POST /tokens"] = [201, { ...TOKEN, token: "orrery_pat_secret" }];
    await show(<MyAccessPage />);
    await press("Create token");
    await fill("name", "laptop");
    await send();
    expect(page.querySelector<HTMLInputElement>("dialog input[readonly]")?.value).toBe("orrery_pat_secret");
    expect(writes()).toEqual(['POST /tokens {"name":"laptop","days":90}']);

    await press("Done");

    expect(page.innerHTML).not.toContain("orrery_pat_secret");
  });

  it("shows the new text after a rotation", async () => {
    answers["POST /tokens/t1/rotate"] = [200, { ...TOKEN, token: "orrery_pat_other" }];
    await show(<MyAccessPage />);
    await press("Rotate laptop");

    await press("Rotate");

    expect(page.querySelector<HTMLInputElement>("dialog input[readonly]")?.value).toBe("orrery_pat_other");
  });
});
