import { defineConfig } from "vite";

/** What is built: the footer, in the default mode, and the page of the workers, in its own. */
const BUNDLES = {
  production: { entry: "src/index.tsx", file: "footer.js", component: "OrreryFooter" },
  workers: { entry: "src/workers/index.tsx", file: "workers.js", component: "Workers" },
};

// Airflow imports a file as a module and shares its own React on globalThis. The wrapper round
// the bundle is for an Airflow that does not: then the component is empty instead of a broken page.
export default defineConfig(({ mode }) => {
  const { entry, file, component } = mode === "workers" ? BUNDLES.workers : BUNDLES.production;
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
          footer: `} catch (e) { console.warn('Orrery:', e); globalThis.${component} = () => null; }`,
        },
      },
    },
  };
});
