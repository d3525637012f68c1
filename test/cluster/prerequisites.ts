export async function ensurePrerequisites(_: { log: (line: string) => void }): Promise<void> {}
