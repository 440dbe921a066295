/**
 * The head of an HTTP/1 answer, from bytes of a server that may be hostile, line by line as they come. One way to
 * write it is taken: lines end with CR LF, nothing is folded, nothing is said twice that matters.
 */
import { statedSize } from './http-body.ts';
import { INTERIM_MAX, MAX_HEADER_BYTES, badAnswer } from './http-exchange.ts';

export interface AnswerHead {
  readonly status: number;
  /** Of the body that follows; null for any status but 200, whose body is nobody's business here. */
  readonly size: number | null;
}

const STATUS_LINE = /^HTTP\/1\.[01] ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const HEADER = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)$/;
const LF = 0x0a;

export class HeadReader {
  #status: number | null = null;
  /** Name, value, name, value, as Node has them. */
  #headers: string[] = [];
  /** Of the head so far. */
  #bytes = 0;
  /** What came of a line that has not ended. */
  #line = '';
  #interim = 0;

  /**
   * Takes what came. Returns the head, once it is whole, and how many of these bytes belong to it: what follows is the
   * body. Interim answers are passed over. Throws unable('bad-answer').
   */
  push(chunk: Buffer): { readonly head: AnswerHead; readonly used: number } | null {
    for (let at = 0; at < chunk.length;) {
      const end = chunk.indexOf(LF, at);
      const next = end < 0 ? chunk.length : end + 1;
      this.#bytes += next - at;
      if (this.#bytes > MAX_HEADER_BYTES) throw notHttp('its head does not end');
      this.#line += chunk.toString('latin1', at, next);
      if (this.#status === null && !startsRight(this.#line)) throw notHttp('no status line');
      if (end < 0) return null;
      at = next;
      const head = this.#endLine();
      if (head) return { head, used: at };
    }
    return null;
  }

  #endLine(): AnswerHead | null {
    const line = this.#line;
    this.#line = '';
    if (!line.endsWith('\r\n')) throw notHttp('a line feed by itself');
    const text = line.slice(0, -2);
    if (this.#status === null) {
      const status = STATUS_LINE.exec(text)?.[1];
      if (status === undefined) throw notHttp('no status line');
      this.#status = Number(status);
      return null;
    }
    if (text === '') return this.#endHead(this.#status);
    const [, name, value] = HEADER.exec(text) ?? [];
    if (name === undefined || value === undefined) throw notHttp('a line that is no header');
    this.#headers.push(name, value.trimEnd());
    return null;
  }

  #endHead(status: number): AnswerHead | null {
    if (status === 101) throw badAnswer('it wants to speak another protocol');
    if (status === 200) {
      const size = statedSize(this.#headers);
      if (size === null) throw badAnswer('it does not say its length');
      return { status, size };
    }
    if (status > 200) return { status, size: null };
    this.#interim += 1;
    if (this.#interim > INTERIM_MAX) throw badAnswer('interim answers without end');
    this.#status = null;
    this.#headers = [];
    this.#bytes = 0;
    return null;
  }
}

const START = 'HTTP/1.';
const startsRight = (line: string): boolean => line.startsWith(START.slice(0, line.length));

const notHttp = (problem: string): Error => badAnswer(`it is not HTTP as it should be: ${problem}`);
