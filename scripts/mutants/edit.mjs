/** One edit: what is found, once, in the file, and what is put in its place. */
export const edit = (file, find, put) => ({ file, find, put });
/** A mistake: its name, what is wrong, and the tests that must see it. */
export const mutant = (name, wrong, tests, ...edits) => ({ name, wrong, tests, edits });
