/** Which program this is. */
declare const COUNTERSIGN_VERSION: string | undefined;

/** The version of package.json, put in by the build. */
export const VERSION = typeof COUNTERSIGN_VERSION === 'string' ? COUNTERSIGN_VERSION : 'development';
