// The library renders a template in one go, and nothing can stop it from outside: a few nested loops of a damaged or
// hostile template would hold up every request for ever. So each evaluation is counted, with the size of what it reads.

import { Interpreter } from '@huggingface/jinja';

/**
 * A message takes about 30 evaluations in the templates of instruct models, so this renders 30,000 messages, about what
 * a context of 131,072 tokens holds; and an evaluation takes about a microsecond, so it ends within seconds.
 */
export const MAX_RENDER_STEPS = 1_000_000;
/** Characters that are read or copied in the time of one evaluation. */
const CHARACTERS_PER_STEP = 100;
/** Scopes that are searched in the time of one evaluation. */
const SCOPES_PER_STEP = 32;

// What is used of the library. Its own declarations cannot be read: they name each other without extensions.
interface Statement {
  readonly type: string;
  readonly object?: Statement;
  readonly property?: Statement;
  readonly computed?: boolean;
  readonly callee?: Statement;
  readonly operand?: Statement;
  readonly filter?: { readonly value?: unknown };
  readonly assignee?: Statement;
  readonly value?: Statement;
}
interface Value {
  readonly type: string;
  readonly value: unknown;
}
interface Scope {
  readonly parent?: Scope;
}
const Unbounded = Interpreter as new (scope: Scope) => {
  run(program: unknown): Value;
  evaluate(statement: Statement | undefined, scope: Scope): Value;
};

/** An interpreter that throws an Error once a rendering takes more than `MAX_RENDER_STEPS`. */
export class BoundedInterpreter extends Unbounded {
  #steps = 0;
  /** Nodes of which the value is only looked into: a member or the length is taken. */
  readonly #lookedInto = new WeakSet<object>();
  /** Nodes of which the value is kept in a namespace. */
  readonly #kept = new WeakSet<object>();
  readonly #called = new WeakSet<object>();
  readonly #weights = new WeakMap<Value, number>();
  readonly #depths = new WeakMap<Scope, number>();

  override evaluate(statement: Statement | undefined, scope: Scope): Value {
    if (statement === undefined) return super.evaluate(statement, scope);
    this.#note(statement);
    this.#spend(1 + this.#depth(scope) / SCOPES_PER_STEP);
    const value = super.evaluate(statement, scope);
    if (this.#kept.has(statement) && isNamespace(value)) throw nested();
    if (this.#isDetached(statement, value)) throw new Error('a method that is not called at once');
    // Whoever asked for the value may read all of it: a loop, a filter, a comparison.
    if (typeof value.value === 'string' || !this.#lookedInto.has(statement)) this.#spend(this.#weight(value));
    return value;
  }

  #spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > MAX_RENDER_STEPS) throw new Error(`more than ${MAX_RENDER_STEPS} steps to render`);
  }

  #note({ type, object, property, operand, filter, assignee, value, callee }: Statement): void {
    if (type === 'MemberExpression' && isPlace(object) && property?.type !== 'SliceExpression') {
      this.#lookedInto.add(object);
    } else if (type === 'FilterExpression' && isPlace(operand) && filter?.value === 'length') {
      this.#lookedInto.add(operand);
    } else if (type === 'Set' && assignee?.type === 'MemberExpression' && value) this.#kept.add(value);
    else if (type === 'CallExpression' && callee !== undefined) this.#called.add(callee);
  }

  /** Whether a method of a text is taken without a call: calls of it later would read the text uncounted. */
  #isDetached(statement: Statement, value: Value): boolean {
    const { type, property, computed } = statement;
    if (type !== 'MemberExpression' || value.type !== 'FunctionValue' || this.#called.has(statement)) return false;
    // Schemas have keys such as `items`, which are looked up where they are absent, too.
    const isNamed = computed !== true || property?.type === 'StringLiteral';
    return !(isNamed && objectMethods.has(property?.value));
  }

  #depth(scope: Scope): number {
    let depth = this.#depths.get(scope);
    if (depth === undefined) {
      depth = scope.parent === undefined ? 0 : 1 + this.#depth(scope.parent);
      this.#depths.set(scope, depth);
    }
    return depth;
  }

  /** Steps to read a value with all that is in it, as often as it is in it: a list of lists may hold one twice. */
  #weight(value: Value): number {
    const content: unknown = value.value;
    if (typeof content === 'string') return content.length / CHARACTERS_PER_STEP;
    const items: Iterable<Value> | undefined = Array.isArray(content)
      ? (content as Value[])
      : content instanceof Map
        ? (content as Map<string, Value>).values()
        : undefined;
    if (items === undefined) return 0;
    let weight = isNamespace(value) ? undefined : this.#weights.get(value);
    if (weight !== undefined) return weight;
    weight = 0;
    for (const item of items) {
      // Only namespaces change, so only one that holds none has a weight that lasts.
      if (isNamespace(item)) throw nested();
      weight += 1 + this.#weight(item);
    }
    if (!isNamespace(value)) this.#weights.set(value, weight);
    return weight;
  }
}

const objectMethods: ReadonlySet<unknown> = new Set(['get', 'items', 'keys', 'values', 'dictsort']);
/** Holds a value that was counted when it was made. */
const isPlace = (node: Statement | undefined): node is Statement =>
  node?.type === 'Identifier' || node?.type === 'MemberExpression';
const isNamespace = (value: Value): boolean => value.type === 'NamespaceValue';
const nested = (): Error => new Error('a namespace within a list, an object or a namespace');
