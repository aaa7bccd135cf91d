import { defineConfig } from "vite";

/** What is built: the footer, in the default mode, and pages, each file in its own; with the components of each. */
const BUNDLES = {
  production: { entry: "src/index.tsx", file: "footer.js", components: ["OrreryFooter"] },
  workers: { entry: "src/workers/index.tsx", file: "workers.js", components: ["Workers"] },
  access: { entry: "src/access/index.tsx", file: "access.js", components: ["Access", "My access"] },
};

// Airflow imports a file as a module and shares its own React on globalThis. The wrapper round
// the bundle is for an Airflow that does not: then the component is empty instead of a broken page.
export default defineConfig(({ mode }) => {
  const { entry, file, components } = mode in BUNDLES ? BUNDLES[mode as keyof typeof BUNDLES] : BUNDLES.production;
  const none = components.map((name) => `globalThis[${JSON.stringify(name)}] = () => null;`).join(" ");
  return {
    esbuild: { jsxDev: false }, // the same file whatever NODE_ENV says
    build: {
      outDir: "../src/orrery/ui/static",
      emptyOutDir: false, // each build writes its one file
      target: "es2022",
      modulePreload: false,
      reportCompressedSize: false,
      lib: { entry, formats: ["iife"], name: "orrery", fileName: () => file },
      rollupOptions: {
        external: ["react", "react/jsx-runtime"],
        output: {
          globals: { react: "globalThis.React", "react/jsx-runtime": "globalThis.ReactJSXRuntime" },
          banner: "try {",
          footer: `} catch (e) { console.warn('Orrery:', e); ${none} }`,
        },
      },
    },
  };
});
