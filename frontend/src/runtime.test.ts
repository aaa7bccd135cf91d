import { describe, expect, it } from "vitest";

import { parseRuntime, UNKNOWN } from "./runtime";

const BASE = "https://airflow.example/team/";

const ANSWER = {
  version: "17.0.0",
  airflow_version: "3.3.2",
  image_tag: "17.0.0-base",
  lifecycle: { state: "bugfix", ends_on: "2029-05-31", days_left: 900 },
  notice: { severity: "warning", text: "Runtime 17 is supported until 2029-05-31" },
  links: {
    documentation: "orrery/v1/pages/documentation",
    release_notes: "https://wiki.example/notes",
    support: "orrery/v1/pages/support",
  },
};

describe("parseRuntime", () => {
  it("reads what the server answers and resolves addresses under Airflow's base", () => {
    expect(parseRuntime(ANSWER, BASE)).toEqual({
      version: "17.0.0",
      airflowVersion: "3.3.2",
      imageTag: "17.0.0-base",
      notice: { severity: "warning", text: "Runtime 17 is supported until 2029-05-31" },
      links: [
        { label: "Documentation", href: "https://airflow.example/team/orrery/v1/pages/documentation" },
        { label: "Release notes", href: "https://wiki.example/notes" },
        { label: "Support", href: "https://airflow.example/team/orrery/v1/pages/support" },
      ],
    });
  });

  it.each([undefined, null, 17, "text", [], {}, { links: null, notice: [] }, { version: {}, links: { support: 1 } }])(
    "knows nothing when the answer is %j",
    (answer) => {
      expect(parseRuntime(answer, BASE)).toEqual(UNKNOWN);
    },
  );

  it("keeps what is right beside what is wrong", () => {
    const answer = { ...ANSWER, airflow_version: 3.3, image_tag: "  ", notice: "soon" };

    const runtime = parseRuntime(answer, BASE);

    expect(runtime.version).toBe("17.0.0");
    expect([runtime.airflowVersion, runtime.imageTag, runtime.notice]).toEqual([undefined, undefined, undefined]);
  });

  it.each(["javascript:alert(1)", "data:text/html,x", "http://["])("drops the address %s", (support) => {
    expect(parseRuntime({ links: { support } }, BASE).links).toEqual([]);
  });

  it("treats an unknown severity as information", () => {
    expect(parseRuntime({ notice: { severity: "fatal", text: "x" } }, BASE).notice?.severity).toBe("info");
  });
});
