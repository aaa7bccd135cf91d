import { Workers } from "./Workers";

// Airflow looks for the component under the name of the menu entry (ui/bundle.py).
Object.assign(globalThis, { Workers });
