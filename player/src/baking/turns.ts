// Long work that leaves others their turn: it says how far it is, and ends where nobody waits for it any more.

/** Takes how much is done, 0 to 1; false where nobody waits for the rest. */
export type Turn = (share: number) => Promise<boolean>;

/** Milliseconds between two turns of others, and before anybody is told: what is quick needs no words. */
const between = 40;
const quiet = 300;

export const unhurried: Turn = () => Promise.resolve(true);

/** Turns in which messages come in; `passed`: whether nobody waits any more. */
export function turns(passed: () => boolean, tell: (share: number) => void): Turn {
  const start = performance.now();
  let last = start;
  return async (share) => {
    const now = performance.now();
    if (now - last < between) return true;
    if (now - start >= quiet) tell(share);
    await new Promise((resolve) => setTimeout(resolve, 0));
    last = performance.now();
    return !passed();
  };
}
