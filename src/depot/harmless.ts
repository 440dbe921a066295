/** Whoever only watches ends no service, and spoils no write. */

/** The same function, which throws nothing: the first time that it would have is told to the log, if that can be told. */
export function harmless<What extends unknown[]>(
  tell: (...what: What) => void,
  log: (level: 'error', message: string) => void,
): (...what: What) => void {
  let isTold = false;
  return (...what) => {
    try {
      tell(...what);
    } catch (error) {
      if (isTold) return;
      isTold = true;
      try {
        log('error', `something that only watches failed, and is not told of again: ${String(error)}`);
      } catch {
        // nobody is left to hear of it
      }
    }
  };
}
