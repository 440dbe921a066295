import type { Depot } from '../../src/tree/tree.ts';

/** The depot, with some of what it does done otherwise: an L that lies, or a network that fails. */
export const oddDepot = (depot: Depot, changes: Partial<Depot>): Depot => ({
  read: (path, maxBytes) => depot.read(path, maxBytes),
  open: (path) => depot.open(path),
  scan: (path, size, update) => depot.scan(path, size, update),
  place: (path) => depot.place(path),
  size: (path) => depot.size(path),
  builds: (after) => depot.builds(after),
  revoked: (after) => depot.revoked(after),
  changes: (after, signal) => depot.changes(after, signal),
  submit: (build, files) => depot.submit(build, files),
  hasBlob: (build, sha256) => depot.hasBlob(build, sha256),
  putBlob: (build, sha256, size, source) => depot.putBlob(build, sha256, size, source),
  putBlobs: (build, files) => depot.putBlobs(build, files),
  fetchBlobs: (build, blobs) => depot.fetchBlobs(build, blobs),
  putSignatures: (build, files) => depot.putSignatures(build, files),
  pushLog: (push) => depot.pushLog(push),
  publish: (build) => depot.publish(build),
  fetchReleased: (project, version, files) => depot.fetchReleased(project, version, files),
  releasedSizes: (project, version, names) => depot.releasedSizes(project, version, names),
  close: () => depot.close(),
  ...changes,
});
