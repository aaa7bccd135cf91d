import { OrreryFooter } from "./OrreryFooter";

// Airflow's loader looks for the component under the name that the plug-in registered (ui/bundle.py).
Object.assign(globalThis, { OrreryFooter });
