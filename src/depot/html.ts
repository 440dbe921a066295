/** Text that may be anybody's, made into HTML that says just that text. */

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** HTML that is safe to place in a page: only `html` makes it. */
export type Html = { readonly html: string };

const escape = (text: string): string => text.replace(/[&<>"']/g, (c) => entities[c] ?? c);

const render = (value: Html | string | number | readonly Html[]): string => {
  if (typeof value === 'string' || typeof value === 'number') return escape(String(value));
  return 'html' in value ? value.html : value.map((part) => part.html).join('');
};

/** A template whose values are escaped, unless they are HTML themselves. */
export const html = (
  parts: TemplateStringsArray,
  ...values: readonly (Html | string | number | readonly Html[])[]
): Html => ({
  html: parts.reduce((out, part, i) => out + render(values[i - 1] ?? '') + part),
});
