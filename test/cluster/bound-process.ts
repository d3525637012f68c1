/**
 * Programs that die with the process that started them, however that one ends: nobody has to find and clear
 * them away later. The kernel sees to it (PR_SET_PDEATHSIG, set by util-linux's setpriv), so this holds on
 * Linux with util-linux; elsewhere the program is started as it is.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Path of setpriv; null where there is none, undefined before the first look. */
let setpriv: string | null | undefined;

/**
 * The command line that starts a program so that it dies with this process.
 *
 * @param signal what the program gets then, without SIG
 */
export function bound(
  program: string,
  args: readonly string[],
  signal: 'KILL' | 'TERM' = 'KILL',
): { program: string; args: string[] } {
  setpriv ??= process.platform === 'linux' ? findProgram('setpriv') : null;
  if (setpriv === null) return { program, args: [...args] };
  return { program: setpriv, args: ['--pdeathsig', signal, '--', program, ...args] };
}

/** The path of a program, looked for in PATH; null if it is not there. */
export function findProgram(name: string): string | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    if (folder === '') continue;
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not there, or not to be run: the next folder.
    }
  }
  return null;
}
