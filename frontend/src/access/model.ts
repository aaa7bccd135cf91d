import { list, record, text, time } from "../read";

/** A binding as it reaches somebody. */
export interface Grant {
  readonly title: string;
  readonly role: string;
  readonly scope: string;
  readonly through: string | undefined;
}

export interface Account {
  readonly username: string;
  readonly email: string | undefined;
  readonly fullName: string | undefined;
  readonly isService: boolean;
  readonly isActive: boolean;
  readonly hasPassword: boolean;
  readonly teams: readonly string[];
}

export interface Me extends Account {
  readonly bindings: readonly Grant[];
  readonly permissions: ReadonlySet<string>;
  readonly onSomeDags: readonly string[];
}

export interface Team {
  readonly name: string;
  readonly description: string | undefined;
  readonly members: readonly string[];
  readonly groups: readonly string[];
}

export interface Role {
  readonly name: string;
  readonly title: string;
  readonly scopes: readonly string[];
  readonly permissions: readonly string[];
  readonly isCustom: boolean;
  readonly isUnlimited: boolean;
}

export interface Permission {
  readonly name: string;
  readonly meaning: string;
  readonly of: string;
}

export interface Binding {
  readonly id: string;
  readonly kind: string;
  readonly principal: string;
  readonly role: string;
  readonly scope: string;
  readonly isDangling: boolean;
}

export interface Token {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly prefix: string;
  readonly role: string | undefined;
  readonly scope: string | undefined;
  readonly expiresAt: number | undefined;
  readonly lastUsedAt: number | undefined;
  readonly isRevoked: boolean;
}

export interface Invitation {
  readonly id: string;
  readonly email: string;
  readonly role: string | undefined;
  readonly by: string;
  readonly expiresAt: number | undefined;
  readonly acceptedAt: number | undefined;
}

export interface AuditEvent {
  readonly id: number;
  readonly at: number | undefined;
  readonly event: string;
  readonly actor: string | undefined;
  readonly subject: string | undefined;
  readonly address: string | undefined;
  readonly detail: string;
}

export interface AuditPage {
  readonly events: readonly AuditEvent[];
  /** The id that the next page begins at. */
  readonly next: number | undefined;
}

export interface Explanation {
  readonly user: string;
  readonly isAllowed: boolean;
  readonly isActive: boolean;
  readonly permission: string | undefined;
  readonly reason: string;
  readonly by: Grant | undefined;
  readonly alsoBy: readonly Grant[];
}

/** Reads one of a list's items; undefined for what makes no sense. */
type Parse<T> = (facts: Record<string, unknown>) => T | undefined;

/** Reads the list that an answer has under that name. */
export function listOf<T>(name: string, parse: Parse<T>): (answer: unknown) => readonly T[] {
  return (answer) => list(record(answer)[name]).flatMap((each) => parse(record(each)) ?? []);
}

function texts(value: unknown): readonly string[] {
  return list(value).flatMap((each) => text(each) ?? []);
}

export function grant(facts: Record<string, unknown>): Grant | undefined {
  const [role, scope] = [text(facts["role"]), text(facts["scope"])];
  if (role === undefined || scope === undefined) return undefined;
  return { role, scope, title: text(facts["title"]) ?? role, through: text(facts["through"]) };
}

export function account(facts: Record<string, unknown>): Account | undefined {
  const username = text(facts["username"]);
  if (username === undefined) return undefined;
  return {
    username,
    email: text(facts["email"]),
    fullName: text(facts["full_name"]),
    isService: facts["is_service_account"] === true,
    isActive: facts["is_active"] !== false,
    hasPassword: facts["has_password"] === true,
    teams: texts(facts["teams"]),
  };
}

/** @throws TypeError it says of nobody. */
export function me(answer: unknown): Me {
  const facts = record(answer);
  const known = account(facts);
  if (known === undefined) throw new TypeError("no account");
  return {
    ...known,
    bindings: listOf("bindings", grant)(answer),
    permissions: new Set(texts(facts["permissions"])),
    onSomeDags: texts(facts["on_some_dags"]),
  };
}

export function team(facts: Record<string, unknown>): Team | undefined {
  const name = text(facts["name"]);
  if (name === undefined) return undefined;
  return {
    name,
    description: text(facts["description"]),
    members: texts(facts["members"]),
    groups: texts(facts["groups"]),
  };
}

export function role(facts: Record<string, unknown>): Role | undefined {
  const name = text(facts["name"]);
  if (name === undefined) return undefined;
  return {
    name,
    title: text(facts["title"]) ?? name,
    scopes: texts(facts["scopes"]),
    permissions: texts(facts["permissions"]),
    isCustom: facts["is_custom"] === true,
    isUnlimited: facts["is_unlimited"] === true,
  };
}

export function permission(facts: Record<string, unknown>): Permission | undefined {
  const name = text(facts["name"]);
  return name === undefined ? undefined : { name, meaning: text(facts["meaning"]) ?? "", of: text(facts["of"]) ?? "" };
}

export function binding(facts: Record<string, unknown>): Binding | undefined {
  const [id, principal] = [text(facts["id"]), text(facts["principal"])];
  if (id === undefined || principal === undefined) return undefined;
  return {
    id,
    principal,
    kind: text(facts["principal_kind"]) ?? "user",
    role: text(facts["role"]) ?? "",
    scope: text(facts["scope"]) ?? "",
    isDangling: facts["is_dangling"] === true,
  };
}

export function token(facts: Record<string, unknown>): Token | undefined {
  const [id, name] = [text(facts["id"]), text(facts["name"])];
  if (id === undefined || name === undefined) return undefined;
  return {
    id,
    name,
    owner: text(facts["owner"]) ?? "",
    prefix: text(facts["prefix"]) ?? "",
    role: text(facts["role"]),
    scope: text(facts["scope"]),
    expiresAt: time(facts["expires_at"]),
    lastUsedAt: time(facts["last_used_at"]),
    isRevoked: facts["is_revoked"] === true,
  };
}

export function invitation(facts: Record<string, unknown>): Invitation | undefined {
  const [id, email] = [text(facts["id"]), text(facts["email"])];
  if (id === undefined || email === undefined) return undefined;
  return {
    id,
    email,
    role: text(facts["role"]),
    by: text(facts["created_by"]) ?? "",
    expiresAt: time(facts["expires_at"]),
    acceptedAt: time(facts["accepted_at"]),
  };
}

export function auditPage(answer: unknown): AuditPage {
  const next = record(answer)["next"];
  return {
    events: listOf("events", auditEvent)(answer),
    next: typeof next === "number" ? next : undefined,
  };
}

function auditEvent(facts: Record<string, unknown>): AuditEvent | undefined {
  const [id, event] = [facts["id"], text(facts["event"])];
  if (typeof id !== "number" || event === undefined) return undefined;
  return {
    id,
    event,
    at: time(facts["at"]),
    actor: text(facts["actor"]),
    subject: text(facts["subject"]),
    address: text(facts["address"]),
    detail: Object.entries(record(facts["detail"]))
      .filter(([, value]) => value !== null && value !== "")
      .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
      .join(" · "),
  };
}

export function explanation(answer: unknown): Explanation {
  const facts = record(answer);
  return {
    user: text(facts["user"]) ?? "",
    isAllowed: facts["is_allowed"] === true,
    isActive: facts["is_active"] !== false,
    permission: text(facts["permission"]),
    reason: text(facts["reason"]) ?? "",
    by: grant(record(facts["by"])),
    alsoBy: listOf("also_by", grant)(answer),
  };
}
