/**
 * The tree as policy sees it: three questions and no way to write.
 *
 * Paths are tree paths (`builds/<build>/approval.json`). The tree implements it; policy is handed one.
 */
export interface View {
  /** The file's bytes; null where there is none. */
  read(path: string): Promise<Buffer | null>;
  /** The file's size; null where there is none. */
  size(path: string): Promise<number | null>;
  /** The names directly in the directory; empty where there is none. */
  list(directory: string): Promise<string[]>;
}

/**
 * The tree as it would be with these files (by tree path) in it: a record and its authenticators are one
 * write, judged whole (protocol §4), so each is judged in the presence of the others.
 */
export function overlay(view: View, files: ReadonlyMap<string, Buffer>): View {
  return {
    read: async (path) => files.get(path) ?? (await view.read(path)),
    size: async (path) => files.get(path)?.length ?? (await view.size(path)),
    list: async (directory) => {
      const prefix = `${directory}/`;
      const added = [...files.keys()]
        .filter((path) => path.startsWith(prefix))
        .map((path) => path.slice(prefix.length).split('/', 1).join(''));
      return [...new Set([...(await view.list(directory)), ...added])];
    },
  };
}
