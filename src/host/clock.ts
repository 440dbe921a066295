/** The time now: the one place that reads the clock. Pure code is handed what this returns. */
export const now = (): Date => new Date();
