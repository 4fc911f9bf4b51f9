import { fail, nearest } from '../core/index.ts';

/**
 * The entry of a registry by id.
 * @param kind what an entry is, for the message: "wafer", "model"
 * @throws IngotError with `code`, the nearest id where one is near enough, and the whole list
 */
export function findById<T>(registry: Readonly<Record<string, T>>, id: string, kind: string, code: string): T {
  if (Object.hasOwn(registry, id)) return registry[id];
  const ids = Object.keys(registry);
  const near = nearest(id, ids);
  return fail({
    code,
    message: `There is no ${kind} named "${id}".`,
    where: id,
    expected: `one of ${ids.join(', ')}`,
    found: id,
    suggestion: near === undefined ? `Choose a ${kind} of the list.` : `Did you mean "${near}"?`,
  });
}
