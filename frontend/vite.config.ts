import { defineConfig } from "vite";

// Airflow imports the file as a module and shares its own React on globalThis. The wrapper round
// the bundle is for an Airflow that does not: then the footer is empty instead of a broken page.
export default defineConfig({
  esbuild: { jsxDev: false }, // the same file whatever NODE_ENV says
  build: {
    outDir: "../src/orrery/ui/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    reportCompressedSize: false,
    lib: { entry: "src/index.tsx", formats: ["iife"], name: "orrery", fileName: () => "footer.js" },
    rollupOptions: {
      external: ["react", "react/jsx-runtime"],
      output: {
        globals: { react: "globalThis.React", "react/jsx-runtime": "globalThis.ReactJSXRuntime" },
        banner: "try {",
        footer: "} catch (e) { console.warn('Orrery:', e); globalThis.OrreryFooter = () => null; }",
      },
    },
  },
});
