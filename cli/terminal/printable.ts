/**
 * Text of strangers on a person's terminal. Invariant: what a torrent, a tracker or a file system says can neither
 * move the cursor nor change colours, break a line or turn its direction.
 */

// Control characters, separators of lines and paragraphs, and marks that turn the direction of writing.
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** The text with a sign in the place of each character that is not to be seen. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, '\ufffd');
}
