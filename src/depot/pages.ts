/** Plain pages for a browser: no script, one style sheet inside the page, allowed by its hash. */
import { createHash } from 'node:crypto';
import { printable } from '../records/printable.ts';
import { html, type Html } from './html.ts';

const style = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8884}
code,td{overflow-wrap:anywhere}`;

/** What a browser may do with anything from here: nothing but show it, with this one style. */
export const contentSecurityPolicy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

const page = (title: string, body: Html): string =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${title}</title>
        <style>
          ${{ html: style }}
        </style>
      </head>
      <body>
        <h1>${title}</h1>
        ${body}
        <hr />
        <p>
          <a href="/">depot</a> &middot; <a href="/releases/">releases</a> &middot;
          <a href="/builds/">builds</a> &middot; <a href="/log/">log</a> &middot; This server need not be
          trusted: check what you download with gpgv or <code>countersign verify</code>.
        </p>
      </body>
    </html> `.html;

const list = (rows: readonly Html[], empty: string): Html =>
  rows.length === 0
    ? html`<p>${empty}</p>`
    : html`<ul>
        ${rows}
      </ul>`;

/** The front page. */
export const frontPage = (project: string): string =>
  page(
    project,
    html`<p>Signed releases of <strong>${project}</strong>, and the builds they come from.</p>
      <ul>
        <li><a href="/releases/">releases</a>: published, signed, verified</li>
        <li><a href="/builds/">builds</a>: approved, waiting, refused or published</li>
        <li><a href="/log/">log</a>: all that the signer has decided, which nobody can take back</li>
      </ul>`,
  );

/** Every published release: where it is and what it is called. */
export const releasesPage = (
  releases: readonly { project: string; version: string; withdrawn: boolean }[],
): string =>
  page(
    'Releases',
    list(
      releases.map(
        ({ project, version, withdrawn }) =>
          html`<li>
            <a href="/releases/${project}/${version}/">${project} ${version}</a
            >${withdrawn ? html` <strong>withdrawn</strong>` : html``}
          </li>`,
      ),
      'Nothing is published yet.',
    ),
  );

/** One release: its files with sizes and digests, unless they are too many, and how to verify them. */
export const releasePage = (release: {
  project: string;
  version: string;
  build: string;
  assurance: string;
  /** How many artifacts it has. */
  count: number;
  /** Null: too much for a page. */
  manifest: ReleaseContents | null;
  /** Who withdrew it; empty for a release that stands. */
  withdrawn: readonly Revoked[];
}): string =>
  page(
    `${release.project} ${release.version}`,
    html`${
        release.withdrawn.length === 0
          ? html``
          : html`<p><strong>Withdrawn: do not install it.</strong></p>
              ${revocationList(release.withdrawn)}`
      }
      <p>
        ${
          release.manifest === null
            ? html``
            : html`Signed ${release.manifest.signedAt} by release key
                <code>${release.manifest.releaseKey}</code>;`
        }
        built by: ${release.assurance}; <a href="/builds/${release.build}/">build ${release.build}</a>.
      </p>
      ${
        release.manifest === null
          ? html`<p>${release.count} files: <a href="SHA256SUMS">SHA256SUMS</a> names all of them.</p>`
          : artifactTable(release.manifest)
      }
      <p>
        <a href="SHA256SUMS">SHA256SUMS</a> &middot; <a href="SHA256SUMS.asc">SHA256SUMS.asc</a> &middot;
        <a href="countersign/release.proof">log proof</a>
      </p>
      <pre>
gpgv --keyring ./release.gpg FILE.asc FILE
countersign verify FILE --release . -c countersign.toml</pre>`,
  );

interface ReleaseContents {
  readonly releaseKey: string;
  readonly signedAt: string;
  readonly subjects: readonly { name: string; size: number; sha256: string }[];
}

const artifactTable = ({ subjects }: ReleaseContents): Html =>
  html`<table>
    <thead>
      <tr>
        <th>file</th>
        <th>signature</th>
        <th>bytes</th>
        <th>sha256</th>
      </tr>
    </thead>
    <tbody>
      ${subjects.map(
        (s) =>
          html`<tr>
            <td><a href="${s.name}">${s.name}</a></td>
            <td><a href="${s.name}.asc">.asc</a></td>
            <td>${s.size}</td>
            <td><code>${s.sha256}</code></td>
          </tr> `,
      )}
    </tbody>
  </table>`;

interface Revoked {
  readonly approver: string;
  readonly person: string;
  readonly reason: string;
  readonly time: string;
}

/** The reason is an approver's own words. */
const revocationList = (revocations: readonly Revoked[]): Html =>
  html`<ul>
    ${revocations.map(
      ({ approver, person, reason, time }) =>
        html`<li>${printable(reason)}: ${printable(person)} (<code>${approver}</code>), ${time}</li> `,
    )}
  </ul>`;

export interface ListedBuild {
  readonly build: string;
  readonly state: string;
  readonly project: string;
  readonly version: string;
}

/** A page of builds, oldest first, with the state that their files show; `next` is the page after it, of the same list. */
export const buildsPage = (
  builds: readonly ListedBuild[],
  { revoked, next }: { readonly revoked: boolean; readonly next: string | null },
): string =>
  page(
    revoked ? 'Revoked builds' : 'Builds',
    html`${list(
      builds.map(
        ({ build, state, project, version }) =>
          html`<li>
            <a href="/builds/${build}/"><code>${build}</code></a> ${project} ${version}: ${state}
          </li>`,
      ),
      revoked ? 'No build has been revoked.' : 'No build has been approved yet.',
    )}${next === null ? html`` : html`<p><a href="/builds/?${revoked ? 'revoked=1&' : ''}after=${next}">next</a></p>`}`,
  );

/** One build: what it is about, its state, its records, and why it was refused if it was. */
export const buildPage = (build: {
  build: string;
  state: string;
  project: string;
  version: string;
  assurance: string;
  builders: readonly { slot: string; scheme: string }[];
  files: readonly string[];
  reasons: readonly { code: string; where: string; text: string }[];
  revocations: readonly Revoked[];
}): string =>
  page(
    `Build ${build.build}`,
    html`<p>
        <strong>${build.project} ${build.version}</strong>:
        ${build.state}${
          build.state === 'published'
            ? html` (<a href="/releases/${build.project}/${build.version}/">release</a>)`
            : html``
        }
      </p>
      <p>
        ${build.assurance}, built by:
        ${build.builders.map(({ slot, scheme }) => html`<code>${slot}</code> (${scheme}) `)}
      </p>
      ${
        build.revocations.length === 0
          ? html``
          : html`<h2>Revoked</h2>
              ${revocationList(build.revocations)}`
      }
      ${
        build.reasons.length === 0
          ? html``
          : html`<h2>${build.state === 'frozen' ? 'Frozen' : 'Refused'}</h2>
              ${reasonTable(build.reasons)}`
      }
      <h2>Records</h2>
      <ul>
        ${build.files.map(
          (file) =>
            html`<li>
              <a href="${file}"><code>${file}</code></a>
            </li>`,
        )}
      </ul>`,
  );

/** Of a conflict one row an artifact: which builder says what. */
const reasonTable = (reasons: readonly { code: string; where: string; text: string }[]): Html =>
  html`<table>
    <thead>
      <tr>
        <th>code</th>
        <th>where</th>
        <th>why</th>
      </tr>
    </thead>
    <tbody>
      ${reasons.map(
        ({ code, where, text }) =>
          html`<tr>
            <td><code>${code}</code></td>
            <td>${where}</td>
            <td>${text}</td>
          </tr> `,
      )}
    </tbody>
  </table>`;

/** The log: how far it has come, and who says so. */
export const logPage = (log: {
  origin: string;
  size: number;
  /** In base64, as the checkpoint has it. */
  root: string;
  /** Those that have cosigned it. */
  witnesses: readonly string[];
}): string =>
  page(
    'Log',
    html`<p>
        What the signer of <code>${log.origin}</code> has decided, entry by entry, is written here for good.
      </p>
      <table>
        <tbody>
          <tr>
            <th>entries</th>
            <td>${log.size}</td>
          </tr>
          <tr>
            <th>root</th>
            <td><code>${log.root}</code></td>
          </tr>
          <tr>
            <th>cosigned by</th>
            <td>${log.witnesses.length === 0 ? 'no witness' : log.witnesses.join(', ')}</td>
          </tr>
        </tbody>
      </table>
      ${log.size === 0 ? html`` : html`<p><a href="/log/checkpoint">checkpoint</a></p>`}
      <pre>countersign log verify -c countersign.toml</pre>`,
  );
