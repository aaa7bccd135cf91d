import { Component, type ReactNode } from "react";

interface Props {
  readonly children: ReactNode;
  /** What fails, for the browser's console. */
  readonly name: string;
  /** What is shown instead; without it nothing. */
  readonly fallback?: ReactNode;
}

/** Airflow has no error boundary above its plug-ins: without this one a fault of ours would blank every page. */
export class Guard extends Component<Props, { readonly failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override componentDidCatch(error: unknown): void {
    console.warn(`Orrery: ${this.props.name} failed and is hidden.`, error);
  }

  override render(): ReactNode {
    return this.state.failed ? (this.props.fallback ?? null) : this.props.children;
  }
}
