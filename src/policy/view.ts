/**
 * The tree as policy sees it: two questions and no way to write.
 *
 * Paths are tree paths (`builds/<build>/approval.json`). The tree implements it; policy is handed one.
 */
export interface View {
  /** The file's bytes; null where there is none. */
  read(path: string): Promise<Buffer | null>;
  /** The file's size; null where there is none. */
  size(path: string): Promise<number | null>;
}

/** One directory of the tree, with paths below it. */
export const below = (view: View, directory: string): View => ({
  read: (path) => view.read(`${directory}/${path}`),
  size: (path) => view.size(`${directory}/${path}`),
});

/**
 * The tree as it would be with these files in it: a record and its authenticators are one write, judged
 * whole (protocol §4), so each is judged in the presence of the others.
 */
export const overlay = (view: View, files: ReadonlyMap<string, Buffer>): Pick<View, 'read'> => ({
  read: async (path) => files.get(path) ?? view.read(path),
});
